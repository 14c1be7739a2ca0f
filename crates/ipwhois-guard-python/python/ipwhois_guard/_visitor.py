"""The sender of one request, as the guard sees it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from ._core import Client, Context, Denial, Pending, Verdict
from ._log import deliver
from ._steps import Steps

if TYPE_CHECKING:
    from ._guard import Guard
    from ._login import LoginAttempt

KEY = "ipwhois_guard.visitor"
"""Where a WSGI environment or an ASGI scope keeps its visitor."""

Request = MutableMapping[str, Any]
"""A WSGI environment or an ASGI scope."""


class Refused(Exception):
    """The client is refused. The integrations answer it with `denial`."""

    def __init__(self, denial: Denial) -> None:
        super().__init__(f"the client is refused: {denial.status} (reference {denial.reference})")
        self.denial = denial


class Visitor:
    """The sender of a request: what is known of it, and its logins."""

    __slots__ = ("_context", "_head", "_outer", "_to_tell", "denial", "guard")

    def __init__(self, guard: Guard, request: Request) -> None:
        self.guard = guard
        self.denial: Denial | None = None
        """The answer to this request, if it is refused."""
        self._head = guard.core.head(request)
        self._context: Context | None = None
        self._to_tell: Context | None = None
        self._outer: Context | None = None

    @property
    def verdict(self) -> Verdict | None:
        """What is known of the client. `None` before the guard has looked at it."""
        return self._context.verdict if self._context else None

    @property
    def client_ip(self) -> str | None:
        """The client's address, or `None` when it cannot be determined."""
        known = self._context.client_ip if self._context else None
        return known or self.guard.core.client_ip(self._head)

    def login_attempt(self, account: str | None = None) -> LoginAttempt:
        """Begins a login of this client. See `Guard.login_attempt`."""
        return self.guard.login_attempt(self, account=account)

    def look(self, request: Request) -> Pending[Context] | None:
        """The middleware's look, by the rules. What it returns is for `seen` when it has ended."""
        deliver()
        outer = request.get(KEY)
        if isinstance(outer, Visitor):
            self._outer = outer._context
        request[KEY] = self
        step = self.guard.core.by_rules(self._head, self._outer)
        if isinstance(step, Context):
            self.seen(step)
            return None
        return step

    def seen(self, context: Context) -> None:
        """What the look has found."""
        self._context = context
        self.denial = context.denial
        self._to_tell = context.to_tell(self._outer)

    def admit(self) -> Steps[Client | Denial]:
        """The handler's look: by the rules, or by the defaults where no rule holds."""
        context: Context = yield self.guard.core.by_handler(self._head, self._context)
        self._context = context
        client = context.admit()
        if isinstance(client, Denial):
            self.denial = client
        return client

    def judge(self) -> Steps[Verdict]:
        """As `admit`, but refuses nobody."""
        context: Context = yield self.guard.core.by_handler(self._head, self._context)
        self._context = context
        return context.verdict

    def logged_in(self, account: str | None, *, is_right: bool) -> Steps[None]:
        """Counts a login that has ended, for an application that begins none."""
        client = yield from self.admit()
        if not isinstance(client, Client):
            return
        attempt = yield client.login_attempt(account)
        if isinstance(attempt, Denial):
            self.denial = None if is_right else attempt
        elif is_right:
            yield attempt.succeeded()
        else:
            self.denial = yield attempt.failed()

    def answered(self, status: int) -> None:
        """What the application answered. Many refusals make a client suspicious."""
        if self._to_tell is not None and self.denial is None:
            self._to_tell.answered(status)


def visitor_of(guard: Guard, request: object) -> Visitor:
    """The visitor that a middleware has left in a request, or a new one."""
    mapping = mapping_of(request)
    visitor = mapping.get(KEY)
    if isinstance(visitor, Visitor):
        return visitor
    visitor = mapping[KEY] = Visitor(guard, mapping)
    return visitor


def mapping_of(request: object) -> Request:
    """The WSGI environment or the ASGI scope of a framework's request."""
    if isinstance(request, dict):
        return request
    for name in ("scope", "environ", "META"):
        mapping = getattr(request, name, None)
        if isinstance(mapping, MutableMapping):
            return mapping
    raise TypeError(f"a `{type(request).__name__}` is neither a request nor an address")
