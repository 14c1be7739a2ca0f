"""Applications that use the published module the three ways that its documentation shows.

They import `check_ip` and `report_ip`, and nothing else of this package. What is wrong in how they
find the client stays as it is: that is their own code. What the module did wrong is mended.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Server, Service, Stack, address

SHAPES = [
    Stack("published_flask", "gunicorn", "gthread"),
    Stack("published_django", "gunicorn", "gthread"),
    Stack("published_django", "uvicorn"),
    Stack("published_fastapi", "uvicorn"),
]


@pytest.fixture(params=SHAPES, ids=lambda stack: stack.name)
def site(request: pytest.FixtureRequest, log: Path, own_service: Service) -> Iterator[Server]:
    env = {
        "IPWHOIS_GUARD_API_URL": own_service.url,
        "IPWHOIS_GUARD_FEED_URL": "",
        "IPWHOIS_GUARD_DAILY_BUDGET": "1000000",
        "IPWHOIS_GUARD_API_TIMEOUT": "3s",
    }
    server = Server(request.param, log, env=env)
    yield server
    server.end()


def test_a_listed_client_is_blocked_and_asked_about_once(
    site: Server, own_service: Service
) -> None:
    listed, clean = own_service.listed(), address()
    for _ in range(3):
        denied = site.send("/admin/", listed)
        # The FastAPI one raises its refusal in a middleware.
        assert denied.status == (500 if "fastapi" in site.stack.app else 403)
        assert "admin" not in denied.text
        assert site.send("/admin/", clean).text == "admin"
        assert site.send("/", listed).text == "index"
    assert own_service.checks(listed) == own_service.checks(clean) == 1


def test_a_service_that_hangs_costs_one_short_wait(site: Server, own_service: Service) -> None:
    own_service.tell("behave hang")
    begun = time.monotonic()
    stranger = address()
    # The published module waits for 3 s each time: it does not remember failures.
    assert {site.status("/admin/", stranger) for _ in range(30)} == {200}
    assert time.monotonic() - begun < 20
    assert own_service.checks(stranger) == 1


def test_an_answer_that_is_no_verdict_lets_in(site: Server, own_service: Service) -> None:
    for behaviour in ["html", "status 500", 'json {"listed":"yes","confidence":100}']:
        own_service.tell(f"behave {behaviour}")
        assert site.status("/admin/", address()) == 200


def test_the_flask_login_reports_once(log: Path, own_service: Service) -> None:
    env = {"IPWHOIS_GUARD_API_URL": own_service.url, "IPWHOIS_GUARD_FEED_URL": ""}
    server = Server(SHAPES[0], log, env=env)
    try:
        statuses = [server.status("/login", address(), method="POST") for _ in range(8)]
    finally:
        server.end()
    assert statuses == [401] * 4 + [429] * 4
    # The client is 127.0.0.1 to this application, which is never reported.
    assert own_service.tell("reports") == ""
