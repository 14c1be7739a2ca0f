"""The guard, without a framework."""

from __future__ import annotations

import asyncio
import atexit
import json
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Union
from weakref import WeakSet

from . import _core, _metrics
from ._core import Verdict
from ._log import deliver, follow_level, logger
from ._login import LoginAttempt
from ._steps import arun, run, wait
from ._visitor import Visitor, mapping_of, visitor_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._settings import Settings

Address = Union[str, IPv4Address, IPv6Address]

_LAST_REPORTS = timedelta(seconds=5)
"""How long the end of the interpreter waits for reports that are not sent yet."""


class Guard:
    """Keeps blacklisted clients out of an application.

    Its threads start when it is first used. So it may be made before a server forks its workers.
    Make one for an application, and keep it.

    Methods with a name that begins with `a` are for coroutines. None blocks the event loop.
    """

    def __init__(self, **settings: Unpack[Settings]) -> None:
        """Takes the settings as keywords. Raises `ValueError` with the name of a wrong one."""
        self._made_of(_core.Guard(**settings))

    @classmethod
    def from_env(cls, **settings: Unpack[Settings]) -> Guard:
        """A guard by the environment, `IPWHOIS_GUARD_…`. Keywords take precedence."""
        guard = cls.__new__(cls)
        guard._made_of(_core.Guard(from_env=True, **settings))
        return guard

    def _made_of(self, core: _core.Guard) -> None:
        self.core = core
        self._notes: dict[str, str] = {}
        follow_level()
        deliver()
        _GUARDS.add(self)

    def start(self) -> None:
        """Starts the guard's threads now, in this process. The first request does it otherwise."""
        self.core.start()

    async def astart(self) -> None:
        """As `start`. It may read files, which takes a moment."""
        if not self.core.is_started:
            await asyncio.get_running_loop().run_in_executor(None, self.core.start)

    def check(self, ip: Address) -> Verdict:
        """What is known of an address.

        Asks the service if need be, for `max_wait` at most. It may use the day's budget to its last
        check: do not let clients decide how often it is called.
        """
        return self.core.check(str(ip)).wait()

    async def acheck(self, ip: Address) -> Verdict:
        """As `check`."""
        await self.astart()
        return await wait(self.core.check(str(ip)))

    def report(
        self,
        ip: Address,
        threat_type: str = "brute-force",
        message: str = "",
        source: str = "waf",
    ) -> bool:
        """Queues a report of an attacker. `False`: the same was reported in the last 15 minutes.

        Raises `ValueError` for addresses that are never reported, such as private ones.
        """
        return self._report(ip, threat_type, message, source).wait()

    async def areport(
        self,
        ip: Address,
        threat_type: str = "brute-force",
        message: str = "",
        source: str = "waf",
    ) -> bool:
        """As `report`."""
        await self.astart()
        return await wait(self._report(ip, threat_type, message, source))

    def _report(
        self, ip: Address, threat_type: str, message: str, source: str
    ) -> _core.Pending[bool]:
        text = message.encode("utf-8", "replace")
        return self.core.report(str(ip), threat_type, text, source)

    def login_attempt(self, request_or_ip: object, *, account: str | None = None) -> LoginAttempt:
        """Begins a login: `with` or `async with` this, and check the password inside.

        Takes a request of Flask, Django, Starlette or FastAPI, a WSGI environment, an ASGI scope,
        or an address. `account` is what the client logs in to.
        """
        if isinstance(request_or_ip, (str, IPv4Address, IPv6Address)):
            return LoginAttempt(self, str(request_or_ip), account)
        if isinstance(request_or_ip, Visitor):
            return LoginAttempt(self, request_or_ip, account)
        return LoginAttempt(self, visitor_of(self, request_or_ip), account)

    def visitor(self, request: object) -> Visitor:
        """The sender of a request."""
        return visitor_of(self, request)

    def client_ip(self, request: object) -> str | None:
        """The client's address, by `trusted_proxies`. `None` when it cannot be determined."""
        return self.core.client_ip(self.core.head(mapping_of(request)))

    def ban(self, ip: Address, length: timedelta) -> None:
        """Answers a client 429 for this long."""
        self.core.ban(str(ip), length)

    def unban(self, ip: Address) -> None:
        """Lifts a ban."""
        self.core.unban(str(ip))

    def health(self) -> dict[str, Any]:
        """Whether the guard works, and what is silently wrong. It can be shown as JSON."""
        deliver()
        health: dict[str, Any] = json.loads(self.core.health())
        for code, message in self._notes.items():
            health["problems"].append({"code": code, "message": message})
            health["status"] = "degraded"
        return health

    def metrics(self) -> str:
        """The figures of this process in Prometheus' text format."""
        return _metrics.text(self.health())

    def ready(self) -> None:
        """Waits until what the last run kept is loaded, and the feed if it can be had."""
        self.core.ready().wait()

    async def aready(self) -> None:
        """As `ready`."""
        await self.astart()
        await wait(self.core.ready())

    def close(self, within: timedelta = _LAST_REPORTS) -> int:
        """Sends the reports that wait. Answers how many could not be delivered.

        The end of the interpreter does it for every guard.
        """
        return self.core.shutdown(within).wait()

    def note(self, code: str, message: str) -> None:
        """Has `health` name something that an integration has noticed. It is logged once."""
        if code not in self._notes:
            self._notes[code] = message
            logger.warning("%s", message)


_GUARDS: WeakSet[Guard] = WeakSet()


@atexit.register
def _close_all() -> None:
    for guard in _started():
        guard.close()
        deliver()


def _started() -> Iterator[Guard]:
    return (guard for guard in list(_GUARDS) if guard.core.is_here)


__all__ = ["Address", "Guard", "arun", "run"]
