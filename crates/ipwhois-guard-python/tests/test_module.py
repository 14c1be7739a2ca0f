"""The published module's functions: their parameters, their results, and no exception ever."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys

import ipwhois_guard
import pytest
from harness import Service, address
from ipwhois_guard import _module, acheck_ip, check_ip, report_ip


@pytest.fixture(autouse=True)
def environment(own_service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("IPWHOIS_GUARD_API_URL", own_service.url)
    monkeypatch.setattr(_module, "_guards", {})
    return own_service


def test_the_signatures_are_those_of_the_published_module() -> None:
    parameters = inspect.signature(check_ip).parameters
    assert {name: found.default for name, found in parameters.items()} == {
        "ip": inspect.Parameter.empty,
        "min_confidence": 90,
    }
    parameters = inspect.signature(report_ip).parameters
    assert {name: found.default for name, found in parameters.items()} == {
        "ip": inspect.Parameter.empty,
        "threat_type": "brute-force",
        "message": "",
        "source": "waf",
    }


def test_a_listed_address_is_data_and_another_is_none(environment: Service) -> None:
    listed, doubtful = environment.listed(95), environment.listed(60)
    data = check_ip(listed)
    assert data is not None
    assert (data["listed"], data["confidence"], data["ip"]) == (True, 95, listed)
    assert check_ip(address()) is None
    assert check_ip(doubtful) is None
    assert check_ip(doubtful, 50) is not None
    assert check_ip(doubtful, min_confidence=60) is not None
    assert check_ip(doubtful, 61) is None
    assert environment.checks(doubtful) == 1


def test_coroutines_have_their_own(environment: Service) -> None:
    listed = environment.listed()
    assert asyncio.run(acheck_ip(listed)) == {**(check_ip(listed) or {}), "source": "api"}
    assert asyncio.run(acheck_ip(address())) is None


@pytest.mark.parametrize("ip", ["", "nobody", "25.0.0.7:80", "10.0.0.1", None, 5, b"25.0.0.7"])
def test_no_argument_raises(ip: str) -> None:
    assert check_ip(ip) is None
    assert asyncio.run(acheck_ip(ip)) is None
    assert report_ip(ip) is None  # type: ignore[func-returns-value]


def test_no_state_of_the_service_raises(environment: Service) -> None:
    for behaviour in ["status 500", "html", "reset", "json []"]:
        environment.tell(f"behave {behaviour}")
        assert check_ip(address()) is None
    environment.tell("refuse")
    assert check_ip(address()) is None
    assert report_ip(address()) is None  # type: ignore[func-returns-value]


def test_no_environment_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPWHOIS_GUARD_MAX_WAIT", "soon")
    assert check_ip(address()) is None
    assert report_ip(address()) is None  # type: ignore[func-returns-value]


def test_a_report_of_a_script_that_ends_at_once_arrives(own_service: Service) -> None:
    attacker = address()
    script = f"import ipwhois_guard; ipwhois_guard.report_ip({attacker!r}, 'spam', 'x')"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    assert own_service.tell("reports") == f"{attacker} spam"


def test_everything_public_is_there() -> None:
    assert all(hasattr(ipwhois_guard, name) for name in ipwhois_guard.__all__)
