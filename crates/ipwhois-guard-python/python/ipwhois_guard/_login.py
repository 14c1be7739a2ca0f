"""Logins under way."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from ._core import Attempt, Client, Denial
from ._steps import Steps, arun, run
from ._visitor import Refused, Visitor

if TYPE_CHECKING:
    from ._guard import Guard


class LoginAttempt:
    """A login, before the password is checked: `with guard.login_attempt(request) as attempt:`.

    It takes one of the client's `max_failures` places. Say `attempt.succeeded()` when the password
    is right. Anything else counts as a failure: `attempt.failed()`, an exception, the end of the
    block. Beginning and ending it raise `Refused` when the client is banned.
    """

    def __init__(self, guard: Guard, client: str | Visitor, account: str | None) -> None:
        self._guard = guard
        self._client = client
        self._account = account
        self._attempt: Attempt | None = None
        self._is_right = False

    def succeeded(self) -> None:
        """The password is right."""
        self._is_right = True

    def failed(self) -> None:
        """The password is wrong."""
        self._is_right = False

    def __enter__(self) -> LoginAttempt:
        self._check(run(self._begin()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._check(run(self._end()), during=error)

    async def __aenter__(self) -> LoginAttempt:
        self._check(await arun(self._begin()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._check(await arun(self._end()), during=error)

    def _begin(self) -> Steps[Denial | None]:
        if isinstance(self._client, str):
            begun = yield self._guard.core.login_attempt(self._client, self._account)
        else:
            client = yield from self._client.admit()
            if not isinstance(client, Client):
                return client
            begun = yield client.login_attempt(self._account)
        if isinstance(begun, Denial):
            return begun
        self._attempt = begun
        return None

    def _end(self) -> Steps[Denial | None]:
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return None
        if self._is_right:
            yield attempt.succeeded()
            return None
        denial: Denial | None = yield attempt.failed()
        return denial

    def _check(self, denial: Denial | None, during: BaseException | None = None) -> None:
        if denial is None:
            return
        if isinstance(self._client, Visitor):
            # The integrations answer with it, whatever becomes of the exception.
            self._client.denial = denial
        if during is None:
            raise Refused(denial)
