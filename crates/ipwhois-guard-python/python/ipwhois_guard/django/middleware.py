"""The middleware."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Union

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from .._core import Context, Pending
from .._steps import wait
from .._visitor import Refused, Visitor, mapping_of
from ..asgi import note_rewritten_peer
from .guard import get_guard
from .responses import DenialResponse

_Answer = Union[HttpResponseBase, Awaitable[HttpResponseBase]]


class IpGuardMiddleware:
    """Decides each request, with threads and with event loops alike.

    `request.client_ip` is the client's address, or `None` when it cannot be determined.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._guard = get_guard()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> _Answer:
        if self._is_async:
            return self._acall(request)
        visitor, pending = self._look(request)
        if pending is not None:
            visitor.seen(pending.wait())
        if (denial := self._refusal(request, visitor)) is not None:
            return denial
        response: HttpResponseBase = self._get_response(request)
        return self._out(request, visitor, response)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        if not self._guard.core.is_started:
            await self._guard.astart()
        visitor, pending = self._look(request)
        if pending is not None:
            visitor.seen(await wait(pending))
        if (denial := self._refusal(request, visitor)) is not None:
            return denial
        response: HttpResponseBase = await self._get_response(request)
        return self._out(request, visitor, response)

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> HttpResponseBase | None:
        """A view let the refusal of a login through."""
        if not isinstance(exception, Refused):
            return None
        visitor = self._guard.visitor(request)
        visitor.denial = visitor.denial or exception.denial
        return DenialResponse(visitor.denial, request)

    def _look(self, request: HttpRequest) -> tuple[Visitor, Pending[Context] | None]:
        mapping = mapping_of(request)
        note_rewritten_peer(self._guard, mapping)
        visitor = Visitor(self._guard, mapping)
        return visitor, visitor.look(mapping)

    def _refusal(self, request: HttpRequest, visitor: Visitor) -> HttpResponseBase | None:
        request.client_ip = visitor.client_ip  # type: ignore[attr-defined]
        return None if visitor.denial is None else DenialResponse(visitor.denial, request)

    def _out(
        self, request: HttpRequest, visitor: Visitor, response: HttpResponseBase
    ) -> HttpResponseBase:
        if visitor.denial is None:
            visitor.answered(response.status_code)
        elif not isinstance(response, DenialResponse):
            # A login failed once too often, as a signal said.
            response.close()
            return DenialResponse(visitor.denial, request)
        return response
