"""The cases that hold in every framework, over real servers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import Server, Service, address

# Whatever a framework makes of these: no handler of /admin runs for a listed client.
SPELLINGS = [
    "/admin",
    "/admin/",
    "/admin/users/1",
    "//admin",
    "/admin//users",
    "/./admin",
    "/x/../admin",
    "/admin/../admin/users",
    "/admin/./",
    "/admin/..",
    "/%61dmin",
    "/%61%64%6d%69%6e",
    "/%61dmin/../x",
    "/admin%2fusers",
    "/admin%2Fusers",
    "/x%2f..%2fadmin",
    "/%2e/admin",
    "/x/%2e%2e/admin",
    "/%3f/../admin",
    "/%23/../admin",
    "/admin?x=/public",
    "/admin/%zz",
    "/admin/%",
    "/admin/%00",
    "/admin/%ff",
    "/admin/%25",
]


def test_a_listed_client_is_denied_and_a_clean_one_is_not(server: Server, service: Service) -> None:
    listed, clean = service.listed(), address()
    denied = server.send("/admin", listed)
    assert denied.status == 403
    assert denied.headers["content-type"] == "application/json"
    assert denied.headers["cache-control"] == "no-store"
    assert set(denied.json()) == {"error", "reference"}
    assert denied.json()["error"] == "Blocked"
    assert server.send("/admin", clean).text == "admin"
    assert server.send("/", listed).text == "index"


def test_a_browser_reads_a_page(server: Server, service: Service) -> None:
    denied = server.send("/admin", service.listed(), headers={"Accept": "text/html"})
    assert denied.status == 403
    assert denied.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>Blocked</h1>" in denied.text


def test_head_is_denied_without_a_body(server: Server, service: Service) -> None:
    denied = server.send("/admin", service.listed(), method="HEAD")
    assert denied.status == 403
    assert denied.body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_any_method_is_denied(server: Server, service: Service, method: str) -> None:
    assert server.status("/admin", service.listed(), method=method) == 403


def test_no_spelling_of_a_path_slips_past_its_rule(server: Server, service: Service) -> None:
    listed = service.listed()
    before = server.handled()
    for path in SPELLINGS:
        assert server.status(path, listed) in (400, 403), path
        assert server.handled() == before, f"{path} reached a handler"


def test_a_rule_covers_whole_segments_only(server: Server, service: Service) -> None:
    listed = service.listed()
    for path in ["/administrator", "/admi", "/x/admin", "/ADMIN", "/admin%3Fx", "/?path=/admin"]:
        assert server.status(path, listed) != 403, path


def test_a_decoded_path_is_not_decoded_again(server: Server, service: Service) -> None:
    listed = service.listed()
    for path in ["/%2561dmin", "/%2525", "/x%253F"]:
        assert server.status(path, listed) != 403, path
    # An exempt path is open in its plain spelling only.
    assert server.status("/handled", listed) == 200


def test_only_the_trusted_proxys_word_counts(server: Server, service: Service) -> None:
    listed, clean = service.listed(), address()
    for spoofed in [
        f"{clean}, {listed}",
        f"127.0.0.1, {clean},{listed}",
        f'"{clean}, {listed}',
        f",,, {listed} ,,",
        f"{clean}, {listed}, 127.0.0.9",
        f"[::ffff:{listed}]:80",
    ]:
        assert server.status("/admin", spoofed) == 403, spoofed
    assert server.status("/admin", f"{listed}, {clean}") == 200
    assert server.status("/admin", clean, listed) == 403
    others = {"X-Real-IP": clean, "Forwarded": f"for={clean}", "CF-Connecting-IP": clean}
    assert server.status("/admin", listed, headers=others) == 403


def test_a_client_that_cannot_be_determined_meets_the_rule(
    server: Server, service: Service
) -> None:
    clean = address()
    assert server.status("/admin") == 200
    for bad in ["unknown", "25.0.0.07", "25.0.0.7:port", "_hidden", "", f"{clean}, 0.0.0.0"]:
        denied = server.send("/admin/keys", bad)
        assert denied.status == 503, bad
        assert denied.json() == {"error": "Unverified"}
        assert denied.headers["retry-after"] == "30"
    latin = server.status("/admin/keys", b"\xff\xfe\x80, " + service.listed().encode())
    assert latin in (400, 403)


def test_an_underscore_is_no_dash(server: Server, service: Service) -> None:
    # In WSGI both spellings end in one variable, unless the server drops the wrong one.
    listed = service.listed()
    spoof = {"X_Forwarded_For": address()}
    assert server.status("/admin", listed, headers=spoof) in (403, 400)


def test_four_failures_are_the_applications_and_the_fifth_is_the_guards(
    server: Server, service: Service
) -> None:
    client = address()
    for _ in range(4):
        answer = server.guess(client)
        assert (answer.status, answer.text) == (401, "wrong")
    fifth = server.guess(client)
    assert fifth.status == 429
    assert fifth.headers["retry-after"] == "3600"
    assert fifth.json() == {"error": "Too many attempts"}
    assert server.guess(client, "right").status == 429
    assert server.status("/admin", client) == 429
    assert server.guess(address(), "right").text == "right"


def test_a_right_password_forgives(server: Server) -> None:
    client = address()
    for password in ["wrong", "wrong", "wrong", "wrong", "right", "wrong", "wrong", "wrong"]:
        assert server.guess(client, password).status == (200 if password == "right" else 401)


def test_an_exception_in_the_password_check_is_a_failure(server: Server) -> None:
    client = address()
    statuses = [server.guess(client, "broken").status for _ in range(6)]
    assert statuses == [500, 500, 500, 500, 429, 429]


def test_rotating_inside_an_ipv6_64_does_not_help(server: Server) -> None:
    network = "3ffe:" + ":".join(address().split(".")[1:3]) + ":3"
    statuses = [server.guess(f"{network}::{n}").status for n in range(1, 7)]
    assert statuses == [401, 401, 401, 401, 429, 429]


def test_a_handler_may_ask_for_allowed_clients_where_no_rule_holds(
    server: Server, service: Service
) -> None:
    assert server.status("/data", service.listed()) == 403
    assert server.send("/data", address()).text == "data"


def test_a_verdict_informs_and_refuses_nobody(server: Server, service: Service) -> None:
    listed = service.listed()
    seen = server.send("/whoami", listed).json()
    assert seen == {"client_ip": listed, "source": "api", "allowed": False}
    assert server.send("/whoami", listed).json()["source"] == "cache"


def test_a_stranger_is_asked_about_once(server: Server, service: Service) -> None:
    client = service.listed()
    for path in ["/admin", "/data", "/admin", "/whoami"]:
        server.send(path, client)
    assert service.checks(client) == 1


def test_many_concurrent_requests_of_one_stranger_make_one_check(
    server: Server, service: Service
) -> None:
    requests = 1_000 if server.stack.kind != "sync" else 100
    client = service.listed()
    service.tell("behave delay 500")
    try:
        statuses = asyncio.run(flood(server, client, requests))
    finally:
        service.tell("behave normal")
    assert statuses == Counter({403: requests})
    assert service.checks(client) == 1


async def flood(server: Server, client: str, requests: int) -> Counter[int]:
    head = (
        f"GET /admin HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: {client}\r\n\r\n"
    )

    async def one() -> int:
        for _ in range(20):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            except OSError:  # The server's queue of connections is full.
                await asyncio.sleep(0.05)
                continue
            writer.write(head.encode())
            answer = await reader.read()
            writer.close()
            return int(answer.split(b" ", 2)[1])
        raise AssertionError("no connection")

    return Counter(await asyncio.gather(*(one() for _ in range(requests))))


def test_a_stream_passes_untouched(server: Server) -> None:
    answer = server.send("/stream", address())
    assert answer.body == b"part 0\npart 1\npart 2\n"


def test_a_refused_upload_gets_its_answer(server: Server, service: Service) -> None:
    listed = service.listed()
    for size in [1, 100_000, 4_000_000]:
        assert server.status("/admin", listed, method="POST", body=b"x" * size) == 403, size


def test_a_ban_meets_concurrent_guesses(server: Server) -> None:
    client = address()
    with ThreadPoolExecutor(20) as threads:
        guesses = [threads.submit(server.guess, client) for _ in range(20)]
        statuses = Counter(guess.result().status for guess in guesses)
    assert statuses[401] <= 4
    assert statuses[401] + statuses[429] == 20


def test_health_is_plain_data(server: Server) -> None:
    health = json.loads(server.send("/health").body)
    assert health["mode"] == "enforce"
    assert all(set(problem) == {"code", "message"} for problem in health["problems"])
