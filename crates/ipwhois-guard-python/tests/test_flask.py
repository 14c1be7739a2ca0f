"""What is Flask's own."""

from __future__ import annotations

import pytest
from flask import Flask, g
from flask.typing import ResponseReturnValue
from harness import Service, address
from ipwhois_guard import Refused
from ipwhois_guard.flask import IpGuard


def make(service: Service, **settings: object) -> tuple[Flask, IpGuard]:
    app = Flask(__name__)
    given = {"API_URL": service.url, "FEED_URL": "", "TRUSTED_PROXIES": ["127.0.0.1"], **settings}
    app.config.update({f"IPWHOIS_GUARD_{name}": value for name, value in given.items()})
    ip_guard = IpGuard()
    ip_guard.init_app(app)
    return app, ip_guard


def test_a_wrong_setting_is_named(service: Service) -> None:
    with pytest.raises(ValueError, match="max_wait"):
        make(service, MAX_WAIT="soon")


def test_the_client_is_known_to_every_view(service: Service) -> None:
    app, _ = make(service, PROTECT=["/admin"])
    app.add_url_rule("/", view_func=lambda: str(g.client_ip), endpoint="index")
    client = address()
    answer = app.test_client().get("/", headers={"X-Forwarded-For": client})
    assert answer.text == client
    assert app.test_client().get("/").text == "None"


def test_a_refused_client_reaches_no_function_of_the_application(service: Service) -> None:
    app, _ = make(service)
    ran: list[str] = []
    app.before_request(lambda: ran.append("before"))
    headers = {"X-Forwarded-For": service.listed()}
    assert app.test_client().get("/nowhere", headers=headers).status_code == 403
    assert ran == []
    assert (
        app.test_client().get("/nowhere", headers={"X-Forwarded-For": address()}).status_code == 404
    )
    assert ran == ["before"]


def test_a_handler_of_all_exceptions_hides_no_refusal(service: Service) -> None:
    app, ip_guard = make(service, MAX_FAILURES=1)

    @app.post("/login")
    def login() -> ResponseReturnValue:
        try:
            with ip_guard.login_attempt("demo"):
                pass
        except Refused:
            pass
        return "wrong", 401

    headers = {"X-Forwarded-For": address()}
    assert app.test_client().post("/login", headers=headers).status_code == 429


def test_async_views(service: Service) -> None:
    app, ip_guard = make(service, PROTECT=["/admin"])

    @app.post("/login")
    @ip_guard.allowed
    async def login() -> ResponseReturnValue:
        async with ip_guard.login_attempt("demo"):
            return "wrong", 401

    headers = {"X-Forwarded-For": address()}
    statuses = [app.test_client().post("/login", headers=headers).status_code for _ in range(6)]
    assert statuses == [401, 401, 401, 401, 429, 429]


def test_commands(service: Service) -> None:
    app, _ = make(service, MODE="monitor")
    run = app.test_cli_runner().invoke
    assert '"mode": "monitor"' in run(args=["ipwhois-guard", "status"]).output
    listed = service.listed()
    assert "denied" in run(args=["ipwhois-guard", "check", listed]).output
    assert run(args=["ipwhois-guard", "unban", listed]).exit_code == 0
