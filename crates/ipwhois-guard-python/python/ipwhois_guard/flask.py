"""The guard as a Flask extension.

    app = Flask(__name__)
    ip_guard = IpGuard(app)

Settings are read from `app.config["IPWHOIS_GUARD_…"]` and from the environment.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar

import click
from flask import Flask, Response, current_app, g, request
from flask.cli import AppGroup

from ._core import Denial, Verdict
from ._guard import Guard
from ._login import LoginAttempt
from ._steps import run
from ._visitor import KEY, Refused, Visitor
from ._wsgi import drain

_PREFIX = "IPWHOIS_GUARD_"
_NAME = "ipwhois_guard"
_View = TypeVar("_View", bound=Callable[..., Any])


class IpGuard:
    """Decides each request before the application's own functions see it.

    `g.client_ip` is the client's address, or `None` when it cannot be determined.
    """

    def __init__(self, app: Flask | None = None, *, guard: Guard | None = None) -> None:
        self._guard = guard
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Installs the guard. Raises `ValueError` with the name of a wrong setting."""
        guard = self._guard or Guard.from_env(**_settings(app))
        app.extensions[_NAME] = guard
        # First on the way in, and last on the way out.
        app.before_request_funcs.setdefault(None, []).insert(0, partial(_before, guard))
        app.after_request_funcs.setdefault(None, []).insert(0, _after)
        app.register_error_handler(Refused, _refused)
        app.cli.add_command(_commands)

    @property
    def guard(self) -> Guard:
        """The guard of the current application."""
        return _guard()

    def allowed(self, view: _View) -> _View:
        """Runs the view for allowed clients only, whatever the rules cover."""

        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            run(_visitor().admit())
            denial = _visitor().denial
            if denial is not None:
                return _response(denial)
            return current_app.ensure_sync(view)(*args, **kwargs)

        return guarded  # type: ignore[return-value]

    def verdict(self) -> Verdict:
        """What is known of the client of this request. Refuses nobody."""
        return run(_visitor().judge())

    def login_attempt(self, account: str | None = None) -> LoginAttempt:
        """Begins a login of the client of this request. See `Guard.login_attempt`."""
        return _visitor().login_attempt(account)


def _settings(app: Flask) -> dict[str, Any]:
    given = app.config.get_namespace(_PREFIX)
    return {name.lower(): value for name, value in given.items()}


def _guard() -> Guard:
    guard: Guard = current_app.extensions[_NAME]
    return guard


def _visitor() -> Visitor:
    return _guard().visitor(request.environ)


def _before(guard: Guard) -> Response | None:
    environ = request.environ
    visitor = Visitor(guard, environ)
    pending = visitor.look(environ)
    if pending is not None:
        visitor.seen(pending.wait())
    g.client_ip = visitor.client_ip
    return None if visitor.denial is None else _response(visitor.denial)


def _after(response: Response) -> Response:
    visitor: Visitor | None = request.environ.get(KEY)
    if visitor is None:
        return response
    if visitor.denial is None:
        visitor.answered(response.status_code)
    elif not isinstance(response, _DenialResponse):
        # A handler that swallowed the refusal of a login.
        response.close()
        return _response(visitor.denial)
    return response


def _refused(refused: Refused) -> Response:
    visitor = _visitor()
    visitor.denial = visitor.denial or refused.denial
    return _response(visitor.denial)


class _DenialResponse(Response):
    """Known by its type to what comes after it."""


def _response(denial: Denial) -> Response:
    response = _DenialResponse(denial.body, denial.status, denial.headers)
    environ = request.environ
    response.call_on_close(lambda: drain(environ))
    return response


_commands = AppGroup("ipwhois-guard", help="The guard of this application.")


@_commands.command("status")
def _status() -> None:
    """Says whether the guard works, and what is wrong."""
    click.echo(json.dumps(_guard().health(), indent=2))


@_commands.command("check")
@click.argument("ip")
def _check(ip: str) -> None:
    """Checks an address."""
    click.echo(repr(_guard().check(ip)))


@_commands.command("unban")
@click.argument("ip")
def _unban(ip: str) -> None:
    """Lifts a ban. It reaches the running workers by the shared store."""
    _guard().unban(ip)
