"""A service that fails, hangs or lies never takes the site down."""

from __future__ import annotations

import time
from pathlib import Path

from harness import Service, Stack, address, serving


def test_a_failing_service_lets_clients_in_unless_the_rule_says_no(
    stack: Stack, log: Path, own_service: Service
) -> None:
    listed = own_service.listed()
    with serving(stack, log, own_service, max_wait="200ms") as server:
        own_service.tell("behave status 500")
        assert server.status("/admin", listed) == 200
        assert server.status("/admin/keys", listed) == 503
        own_service.tell("behave html")
        assert server.status("/admin", address()) == 200

        own_service.tell("behave hang")
        stranger = address()
        begun = time.monotonic()
        assert server.status("/admin/keys", stranger) == 503
        # A wait each would take a minute.
        assert {server.status("/admin", stranger) for _ in range(300)} == {200}
        assert time.monotonic() - begun < 45
        assert own_service.checks(stranger) <= 1

        own_service.tell("refuse")
        assert {server.status("/admin", address()) for _ in range(10)} == {200}


def test_without_a_trusted_proxy_no_header_is_read(
    stack: Stack, log: Path, own_service: Service
) -> None:
    listed = own_service.listed()
    with serving(stack, log, own_service, trusted_proxies=[]) as server:
        headers = {"X-Real-IP": listed, "Forwarded": f"for={listed}"}
        seen = server.send("/whoami", listed, headers=headers).json()
        assert (seen["client_ip"], seen["source"]) == ("127.0.0.1", "non-public")
        assert server.status("/admin", listed) == 200
        assert own_service.checks() == 0
