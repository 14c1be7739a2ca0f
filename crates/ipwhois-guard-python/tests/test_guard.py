"""The guard without a framework."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from harness import Service, address
from ipwhois_guard import Guard, Refused, Settings, Visitor
from ipwhois_guard.asgi import IpGuardMiddleware
from ipwhois_guard.flask import IpGuard
from starlette.applications import Starlette
from starlette.testclient import TestClient


def guard_of(service: Service, **settings: Any) -> Guard:
    given: dict[str, Any] = {"api_url": service.url, "feed_url": "", "daily_budget": 1_000_000}
    return Guard(**{**given, **settings})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"min_confidence": 101}, ["min_confidence", "101"]),
        ({"max_wait": "soon"}, ["max_wait", "soon"]),
        ({"max_wait": 5}, ["max_wait"]),
        ({"trusted_proxies": ["0.0.0.0/0"]}, ["trusted_proxies", "0.0.0.0/0"]),
        ({"trusted_proxies": 3}, ["trusted_proxies"]),
        ({"trusted_proxy": ["10.0.0.0/8"]}, ["trusted_proxy", "trusted_proxies"]),
        ({"protect": ["admin"]}, ["protect", "admin"]),
        ({"protect": [{"paths": "/admin"}]}, ["protect", "paths"]),
        ({"mode": "strict"}, ["mode"]),
        ({"deny_file": Path("/nowhere")}, ["deny_file", "/nowhere"]),
        ({"allow": [object()]}, ["allow", "object"]),
        ({"ban_time": timedelta(seconds=-1)}, ["ban_time"]),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValueError) as error:
        Guard(**settings)
    assert all(word in str(error.value) for word in words), error.value


def test_no_error_shows_a_secret() -> None:
    secrets: list[dict[str, Any]] = [
        {"api_key": "hunter2 "},
        {"api_key": 5},
        {"redis_url": ["hunter2"]},
        {"api_url": "hunter2"},
    ]
    for settings in secrets:
        with pytest.raises(ValueError) as error:
            Guard(**settings)
        assert "hunter2" not in str(error.value)


def test_every_setting_has_a_type() -> None:
    for name in Settings.__annotations__:
        with pytest.raises(ValueError) as error:
            Guard(**{name: object()})  # type: ignore[misc]
        assert "unknown setting" not in str(error.value)
    with pytest.raises(ValueError, match="unknown setting"):
        Guard(**{"no_such_setting": 1})  # type: ignore[misc]


def test_values_may_be_pythons_own(service: Service) -> None:
    listed = service.listed()
    guard = guard_of(
        service,
        allow=(ipaddress.ip_address(listed), ipaddress.ip_network("10.0.0.0/8")),
        cache_ttl=timedelta(minutes=5),
        protect=["/admin", {"path": "/login", "methods": ["POST"], "sensitive": True}],
    )
    assert guard.check(listed).source == "allowlist"


def test_the_environment_is_below_the_keywords(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = service.listed()
    monkeypatch.setenv("IPWHOIS_GUARD_API_URL", service.url)
    monkeypatch.setenv("IPWHOIS_GUARD_DENY", listed)
    monkeypatch.setenv("IPWHOIS_GUARD_MODE", "monitor")
    guard = Guard.from_env(mode="enforce", feed_url="")
    assert guard.check(listed).source == "denylist"
    assert guard.health()["mode"] == "enforce"


def test_a_check_and_what_it_knows(service: Service) -> None:
    listed, clean = service.listed(92), address()
    guard = guard_of(service)
    verdict = guard.check(listed)
    assert (verdict.client_ip, verdict.allowed, verdict.source) == (listed, False, "api")
    assert (verdict.listed, verdict.confidence, verdict.threat_type) == (True, 92, "scan")
    assert guard.check(ipaddress.ip_address(listed)).source == "cache"
    assert guard.check(clean).allowed
    assert guard.check("10.0.0.1").source == "non-public"
    with pytest.raises(ValueError, match="no IP address"):
        guard.check("nobody")


def test_a_report_is_sent_once(own_service: Service) -> None:
    guard, attacker = guard_of(own_service), address()
    assert guard.report(attacker, "scan", "asked for /.env")
    assert not guard.report(attacker, "scan", "again")
    assert guard.close(timedelta(seconds=30)) == 0
    assert own_service.tell("reports") == f"{attacker} scan"
    with pytest.raises(ValueError, match="never reported"):
        guard.report("10.0.0.1")
    with pytest.raises(ValueError, match="no threat type"):
        guard.report(attacker, "rudeness")


def test_a_login_without_a_word_counts_as_failed(service: Service) -> None:
    guard, client = guard_of(service), address()
    for _ in range(4):
        with guard.login_attempt(client, account="demo"):
            pass
    with pytest.raises(Refused) as refused, guard.login_attempt(client):
        pass
    assert refused.value.denial.status == 429
    with pytest.raises(Refused), guard.login_attempt(client):
        raise AssertionError("the block runs for a banned client")
    assert not guard.check(client).allowed
    guard.unban(client)
    with guard.login_attempt(client) as attempt:
        attempt.succeeded()


def test_an_exception_in_a_login_is_a_failure_and_stays_itself(service: Service) -> None:
    guard, client = guard_of(service), address()
    for _ in range(5):
        with pytest.raises(KeyError), guard.login_attempt(client):
            raise KeyError("the database")
    assert guard.check(client).source == "banned"


def test_a_right_password_is_right_whatever_comes_after_it(service: Service) -> None:
    guard, client = guard_of(service), address()
    for _ in range(6):
        with pytest.raises(KeyError), guard.login_attempt(client) as attempt:
            attempt.succeeded()
            raise KeyError("the session")
    assert guard.check(client).allowed


def test_other_threads_run_while_one_waits(own_service: Service) -> None:
    guard, sources = guard_of(own_service, max_wait="5s", api_timeout="20s"), []
    own_service.tell("behave held")
    waiting = threading.Thread(target=lambda: sources.append(guard.check(address()).source))
    waiting.start()
    assert own_service.tell("wait-checks 1") == "true"
    own_service.tell("release")
    waiting.join(30)
    # With the interpreter's lock held, the release would have come after `max_wait`.
    assert sources == ["api"]


def test_the_event_loop_runs_while_coroutines_wait(own_service: Service) -> None:
    guard = guard_of(own_service, max_wait="300ms", api_timeout="10s")
    own_service.tell("behave hang")

    async def tick(gaps: list[float]) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            gaps.append(time.monotonic() - last)
            last = time.monotonic()

    async def work() -> tuple[Counter[str | None], list[float]]:
        await guard.astart()
        gaps: list[float] = []
        ticking = asyncio.create_task(tick(gaps))
        checks = [guard.acheck(address()) for _ in range(10)]
        verdicts = await asyncio.gather(*checks)
        ticking.cancel()
        return Counter(verdict.reason for verdict in verdicts), gaps

    reasons, gaps = asyncio.run(work())
    assert reasons == Counter({"timed-out": 10})
    # Blocked, the loop would have ticked twice.
    assert len(gaps) > 10


def test_a_thousand_coroutines_make_one_check(own_service: Service) -> None:
    guard, listed = guard_of(own_service, max_wait="20s"), own_service.listed()
    own_service.tell("behave delay 300")

    async def work() -> Counter[bool]:
        verdicts = await asyncio.gather(*(guard.acheck(listed) for _ in range(1_000)))
        return Counter(verdict.allowed for verdict in verdicts)

    assert asyncio.run(work()) == Counter({False: 1_000})
    assert own_service.checks(listed) == 1


def test_a_cancelled_wait_leaves_the_others_alone(own_service: Service) -> None:
    guard, listed = guard_of(own_service, max_wait="20s"), own_service.listed()
    own_service.tell("behave held")

    async def work() -> bool:
        cancelled = asyncio.create_task(guard.acheck(listed))
        other = asyncio.create_task(guard.acheck(listed))
        while own_service.checks(listed) == 0:
            await asyncio.sleep(0.01)
        cancelled.cancel()
        own_service.tell("release")
        verdict = await other
        assert cancelled.cancelled()
        return verdict.allowed

    assert asyncio.run(work()) is False
    assert own_service.checks(listed) == 1


def test_one_guard_serves_one_event_loop_after_the_other(service: Service) -> None:
    guard, listed = guard_of(service), service.listed()
    sources = [asyncio.run(guard.acheck(listed)).source for _ in range(3)]
    assert sources == ["api", "cache", "cache"]


def test_events_reach_logging(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ipwhois_guard")
    guard, client = guard_of(service), address()
    for _ in range(5):
        with pytest.raises(KeyError), guard.login_attempt(client):
            raise KeyError
    end = time.monotonic() + 30
    while "banned for failed logins" not in caplog.text and time.monotonic() < end:
        guard.health()
    assert client in caplog.text


def test_what_the_application_answers_is_told_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(Visitor, "answered", lambda _, status: told.append(status))
    listed = service.listed()

    app = Flask(__name__)
    IpGuard(app, guard=guard_of(service, trusted_proxies=["127.0.0.1"]))
    for client in [address(), listed]:
        app.test_client().get("/nowhere", headers={"X-Forwarded-For": client})
    assert told == [404]

    asgi = Starlette()
    asgi.add_middleware(IpGuardMiddleware, guard=guard_of(service))
    for client in [address(), listed]:
        TestClient(asgi, client=(client, 4711)).get("/nowhere")
    assert told == [404, 404]


def test_a_client_without_a_verdict_is_told_of(own_service: Service) -> None:
    guard = guard_of(own_service, daily_budget=0)
    guard.ready()
    visitor = guard.visitor({"REMOTE_ADDR": address(), "PATH_INFO": "/nowhere"})
    assert visitor.look({}) is None
    assert visitor._to_tell is not None
    visitor.answered(404)
