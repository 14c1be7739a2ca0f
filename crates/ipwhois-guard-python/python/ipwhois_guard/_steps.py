"""Waiting for the guard, once for threads and once for event loops.

What has to wait is written as a generator that yields each `Pending`. `run` blocks the thread for
it, and `arun` suspends the coroutine.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Generator
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from ._core import Pending, Signal

_T = TypeVar("_T")
Steps = Generator["Pending[Any]", Any, _T]


def run(steps: Steps[_T]) -> _T:
    """Runs the steps to their end on this thread."""
    result = None
    while True:
        try:
            pending = steps.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        result = pending.wait()


async def arun(steps: Steps[_T]) -> _T:
    """Runs the steps to their end without blocking the event loop."""
    result = None
    while True:
        try:
            pending = steps.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        result = await wait(pending)


async def wait(pending: Pending[_T]) -> _T:
    """What comes of `pending`."""
    loop = asyncio.get_running_loop()
    waiters = _WAITERS.get(loop)
    if waiters is None:
        waiters = _WAITERS[loop] = _Waiters(loop)
    return await waiters.wait(pending)


class _Waiters:
    """The coroutines of one event loop that wait for the guard."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._signal = Signal()
        self._futures: dict[int, asyncio.Future[None]] = {}
        self._numbers = itertools.count()
        loop.add_reader(self._signal.fileno(), self._wake)

    def _wake(self) -> None:
        for number in self._signal.take():
            future = self._futures.get(number)
            if future is not None and not future.done():
                future.set_result(None)

    async def wait(self, pending: Pending[_T]) -> _T:
        loop = asyncio.get_running_loop()
        number = next(self._numbers)
        try:
            while True:
                # It is there before the poll: the guard may be quicker than this.
                future = self._futures[number] = loop.create_future()
                ended = pending.poll(self._signal, number)
                if ended is not None:
                    return ended[0]
                await future
        finally:
            del self._futures[number]


_WAITERS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Waiters] = WeakKeyDictionary()
