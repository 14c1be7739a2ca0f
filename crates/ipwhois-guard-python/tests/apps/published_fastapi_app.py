"""A FastAPI application of the shape that the published module's documentation shows.

It raises an `HTTPException` in a middleware. Starlette answers that 500, whatever the module does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse
from ipwhois_guard import check_ip

asgi = FastAPI()


@asgi.middleware("http")
async def blacklist(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    peer = request.client.host if request.client else ""
    client = request.headers.get("x-forwarded-for", peer).split(",")[0].strip()
    if request.url.path.startswith(("/login", "/admin")) and check_ip(client):
        raise HTTPException(403, "Blocked")
    return await call_next(request)


@asgi.get("/", response_class=PlainTextResponse)
async def index() -> str:
    return "index"


@asgi.get("/admin/", response_class=PlainTextResponse)
async def admin() -> str:
    return "admin"
