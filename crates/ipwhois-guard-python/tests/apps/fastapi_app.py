"""The application of the conformance cases on FastAPI."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from ipwhois_guard import Guard, Verdict, Visitor
from ipwhois_guard.fastapi import IpGuardMiddleware, allowed_ip, ip_verdict

guard = Guard(**json.loads(os.environ["GUARD"]))
app = asgi = FastAPI(default_response_class=PlainTextResponse, openapi_url=None)
app.add_middleware(IpGuardMiddleware, guard=guard)
handled = 0

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]


@app.get("/")
async def index() -> str:
    return "index"


@app.get("/whoami")
async def whoami(verdict: Annotated[Verdict, Depends(ip_verdict)]) -> str:
    seen = {"client_ip": verdict.client_ip, "source": verdict.source, "allowed": verdict.allowed}
    return json.dumps(seen)


@app.post("/login")
async def login(
    request: Request, client: Annotated[Visitor, Depends(allowed_ip)]
) -> PlainTextResponse:
    password = await request.body()
    try:
        async with client.login_attempt(account="demo") as attempt:
            if password == b"right":
                attempt.succeeded()
                return PlainTextResponse("right")
            if password == b"broken":
                raise ValueError("the password check is broken")
    except ValueError:
        return PlainTextResponse("broken", 500)
    return PlainTextResponse("wrong", 401)


@app.api_route("/admin", methods=METHODS)
@app.api_route("/admin/{rest:path}", methods=METHODS)
async def admin(rest: str = "") -> str:
    global handled
    handled += 1
    return "admin"


@app.get("/data")
async def data(_client: Annotated[Visitor, Depends(allowed_ip)]) -> str:
    return "data"


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for n in range(3):
            yield b"part %d\n" % n

    return StreamingResponse(parts())


@app.websocket("/admin/echo")
@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()


@app.websocket("/private")
async def private(socket: WebSocket, _client: Annotated[Visitor, Depends(allowed_ip)]) -> None:
    await socket.accept()
    await socket.close()


@app.get("/handled")
async def count() -> str:
    return str(handled)


@app.get("/health")
async def health() -> str:
    found: dict[str, Any] = guard.health()
    return json.dumps(found)
