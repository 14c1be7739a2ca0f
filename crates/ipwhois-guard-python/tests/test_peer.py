"""Who the peer is, in the words of each server."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from harness import Server, Service, Stack, address, env_of
from ipwhois_guard import Guard
from ipwhois_guard.asgi import note_rewritten_peer
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import create_environ

CLIENT, PROXY, SPOOFED = "26.0.0.1", "10.0.0.1", "25.0.0.7"


@pytest.fixture
def guard(service: Service) -> Guard:
    proxies = ["10.0.0.0/8", "unix:"]
    return Guard(api_url=service.url, feed_url="", trusted_proxies=proxies)


def environ(peer: str | None, **headers: str) -> dict[str, Any]:
    found = create_environ("/admin", headers=headers)
    found.pop("REMOTE_ADDR", None)
    return found if peer is None else {**found, "REMOTE_ADDR": peer}


def scope(client: Any, server: Any = ("127.0.0.1", 80), *lines: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/admin",
        "headers": [(b"x-forwarded-for", line.encode()) for line in lines],
        "client": client,
        "server": server,
    }


def test_wsgi(guard: Guard) -> None:
    forwarded = {"X-Forwarded-For": f"{SPOOFED}, {CLIENT}"}
    assert guard.client_ip(environ(CLIENT)) == CLIENT
    assert guard.client_ip(environ(CLIENT, **{"X-Forwarded-For": SPOOFED})) == CLIENT
    assert guard.client_ip(environ(PROXY, **forwarded)) == CLIENT
    assert guard.client_ip(environ("", **forwarded)) == CLIENT, "a Unix socket"
    assert guard.client_ip(environ("fe80::1%eth0")) == "fe80::1"
    assert guard.client_ip(environ(None, **forwarded)) is None
    assert guard.client_ip(environ("localhost", **forwarded)) is None


def test_asgi(guard: Guard) -> None:
    tcp, unix = ("127.0.0.1", 80), ("/run/site.sock", None)
    assert guard.client_ip(scope((CLIENT, 1))) == CLIENT
    assert guard.client_ip(scope((PROXY, 1), tcp, SPOOFED, CLIENT)) == CLIENT
    assert guard.client_ip(scope([PROXY, 1], tcp, f"{SPOOFED}, {CLIENT}")) == CLIENT
    assert guard.client_ip(scope(None, unix, CLIENT)) == CLIENT
    assert guard.client_ip(scope(None, tcp, CLIENT)) is None
    assert guard.client_ip(scope(("testclient", 1), tcp, CLIENT)) is None


def test_a_peer_that_proxy_fix_has_replaced(guard: Guard) -> None:
    seen: list[str | None] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(guard.client_ip(environ))
        return []

    # With one proxy too many it believes the client's own words.
    fixed = ProxyFix(app, x_for=2)  # type: ignore[arg-type]
    list(fixed(environ(PROXY, **{"X-Forwarded-For": f"{SPOOFED}, {CLIENT}"}), lambda *_: None))
    assert seen == [CLIENT]


def test_a_peer_that_the_server_has_replaced_is_noticed(
    guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "ipwhois_guard")
    note_rewritten_peer(guard, scope((CLIENT, 4711), ("127.0.0.1", 80), CLIENT))
    assert not any(found["code"] == "peer_rewritten" for found in guard.health()["problems"])
    for _ in range(3):
        note_rewritten_peer(guard, scope((CLIENT, 0), ("127.0.0.1", 80), CLIENT))
    health = guard.health()
    assert [found["code"] for found in health["problems"]].count("peer_rewritten") == 1
    assert health["status"] == "degraded"
    assert caplog.text.count("--no-proxy-headers") == 1


def test_uvicorn_with_proxy_headers_is_noticed(log: Path, service: Service) -> None:
    stack = Stack("fastapi", "uvicorn")
    server = Server(stack, log, "--proxy-headers", env=env_of(service))
    try:
        listed = service.listed()
        assert server.status("/admin", f"{address()}, {listed}") == 403
        problems = server.send("/health").json()["problems"]
        assert "peer_rewritten" in [problem["code"] for problem in problems]
    finally:
        server.end()
