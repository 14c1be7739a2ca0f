"""What is Django's own: checks, commands, and the one settings dictionary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from harness import Service, address

GUARD = "ipwhois_guard.django.middleware.IpGuardMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"


@pytest.fixture
def project(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("GUARD", json.dumps({"api_url": service.url, "feed_url": ""}))
    monkeypatch.syspath_prepend("tests/apps")
    import django_app  # type: ignore[import-not-found]  # noqa: F401
    from django.conf import settings
    from django.test.utils import override_settings

    def change(**changes: Any) -> Any:
        guard = {"api_url": service.url, "feed_url": "", **changes.pop("guard", {})}
        return override_settings(IPWHOIS_GUARD=guard, **changes)

    assert settings.configured
    yield change


def found() -> list[str]:
    from django.core.checks import run_checks

    ids = [message.id for message in run_checks() if message.id]
    return [name for name in ids if name.startswith("ipwhois_guard")]


def test_system_checks(project: Any) -> None:
    with project():
        assert found() == []
    with project(guard={"max_wait": "soon"}):
        assert found() == ["ipwhois_guard.E001"]
    with project(MIDDLEWARE=[COMMON]):
        assert found() == ["ipwhois_guard.W001"]
    with project(MIDDLEWARE=[COMMON, GUARD]):
        assert found() == ["ipwhois_guard.W002"]
    behind = {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}
    with project(**behind):
        assert found() == ["ipwhois_guard.W003"]
    with project(guard={"trusted_hops": 1}, **behind):
        assert found() == []


def test_a_wrong_setting_stops_the_start(project: Any) -> None:
    from django.core.exceptions import ImproperlyConfigured
    from django.test import Client

    with (
        project(guard={"trusted_proxies": ["0.0.0.0/0"]}),
        pytest.raises(ImproperlyConfigured, match="trusted_proxies"),
    ):
        Client().get("/")


def test_commands(project: Any) -> None:
    from django.core.management import CommandError, call_command

    def run(*arguments: str) -> str:
        output = StringIO()
        call_command(*arguments, stdout=output)
        return output.getvalue()

    with project(guard={"mode": "monitor"}):
        assert json.loads(run("ipwhois_guard_status"))["mode"] == "monitor"
        assert "not banned" in run("ipwhois_guard_unban", address())
        with pytest.raises(CommandError, match="no IP address"):
            run("ipwhois_guard_unban", "nobody")


def test_a_failed_login_without_a_request_counts_for_nobody(project: Any) -> None:
    from django.contrib.auth import authenticate
    from ipwhois_guard.django import get_guard

    with project():
        for _ in range(10):
            assert authenticate(password="wrong") is None
        assert get_guard().health()["active_bans"] == 0


def test_djangos_own_test_client(project: Any, service: Service) -> None:
    from django.test import Client

    with project(guard={"trusted_proxies": ["127.0.0.1"], "protect": ["/admin"]}):
        answer = Client().get("/admin/x", headers={"X-Forwarded-For": service.listed()})
        assert answer.status_code == 403
        assert answer["Cache-Control"] == "no-store"
        assert answer.wsgi_request.client_ip is not None
