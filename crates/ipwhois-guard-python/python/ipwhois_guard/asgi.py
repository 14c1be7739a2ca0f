"""The guard as ASGI middleware, for Starlette, FastAPI and any other ASGI application.

app = FastAPI()
app.add_middleware(IpGuardMiddleware, guard=Guard(protect=["/admin"]))
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ._core import Denial
from ._guard import Guard
from ._steps import wait
from ._visitor import Request, Visitor

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Request, Receive, Send], Awaitable[None]]

_POLICY_VIOLATION = 1008


class IpGuardMiddleware:
    """Decides HTTP requests and handshakes of websockets. What it lets through is untouched.

    Without `guard` the environment configures one.
    """

    def __init__(self, app: App, guard: Guard | None = None) -> None:
        self._app = app
        self._guard = guard or Guard.from_env()

    async def __call__(self, scope: Request, receive: Receive, send: Send) -> None:
        # With the first of the scopes, which is `lifespan` where the server has that.
        if not self._guard.core.is_started:
            await self._guard.astart()
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        note_rewritten_peer(self._guard, scope)
        visitor = Visitor(self._guard, scope)
        pending = visitor.look(scope)
        if pending is not None:
            visitor.seen(await wait(pending))
        exchange = _Exchange(visitor, scope, receive, send)
        if visitor.denial is not None:
            await exchange.refuse(visitor.denial)
            return
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:
            # A refusal in a handler is an answer, whatever the application makes of it.
            denial = visitor.denial or getattr(error, "denial", None)
            if exchange.has_answered or not isinstance(denial, Denial):
                raise
            await exchange.refuse(denial)


class _Exchange:
    """One request and its answer. A refusal takes the place of what the application answers."""

    def __init__(self, visitor: Visitor, scope: Request, receive: Receive, send: Send) -> None:
        self._visitor = visitor
        self._scope = scope
        self._receive = receive
        self._send = send
        self._has_more = scope["type"] == "http"
        self._is_refused = False
        self.has_answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._has_more = message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if not self.has_answered:
            denial = self._visitor.denial
            if denial is not None:
                await self.refuse(denial)
            else:
                self.has_answered = True
                self._tell(message)
        if not self._is_refused:
            await self._send(message)

    def _tell(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self._visitor.answered(message["status"])
        elif kind == "websocket.close":
            # Servers answer it 403.
            self._visitor.answered(403)

    async def refuse(self, denial: Denial) -> None:
        self.has_answered = self._is_refused = True
        if self._scope["type"] == "http":
            await self._refuse_http(denial)
        elif "websocket.http.response" in self._scope.get("extensions", {}):
            await self._answer("websocket.http.response", denial, is_last=True)
        else:
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION})

    async def _refuse_http(self, denial: Denial) -> None:
        """The client has the whole answer before what it still sends is discarded."""
        await self._answer("http.response", denial, is_last=not self._has_more)
        if self._has_more:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._drain(), Denial.MAX_UNREAD_SECONDS)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drain(self) -> None:
        left = Denial.MAX_UNREAD_BYTES
        while self._has_more and left > 0:
            message = await self.receive()
            if message["type"] != "http.request":
                return
            left -= len(message.get("body", b""))

    async def _answer(self, kind: str, denial: Denial, *, is_last: bool) -> None:
        headers = [(name.encode(), value.encode()) for name, value in denial.headers]
        await self._send({"type": f"{kind}.start", "status": denial.status, "headers": headers})
        # To HEAD the headers are the answer: no server but the application knows that.
        is_head = self._scope.get("method") == "HEAD"
        body = b"" if is_head else denial.body.encode()
        await self._send({"type": f"{kind}.body", "body": body, "more_body": not is_last})


def note_rewritten_peer(guard: Guard, scope: Request) -> None:
    """Notices a server that puts a header's word in place of the peer, as uvicorn does."""
    client = scope.get("client")
    if client is None or client[1] != 0:
        return
    if any(name == b"x-forwarded-for" for name, _ in scope["headers"]):
        guard.note(
            "peer_rewritten",
            "the server replaces the peer's address by what X-Forwarded-For says, before the guard "
            "sees it: run uvicorn with --no-proxy-headers, and name the proxy in `trusted_proxies`",
        )
