"""What a request costs with the guard, beside the bare application and a hand-written check.

`python bench.py URL` with the URL of a stand-in service. The applications are called in this
process, so that no server and no socket blurs the figures. Time is this thread's CPU time, and the
variants take turns, so that other load falls on all of them alike.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import requests
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import FastAPI, Request
from flask import Flask, jsonify
from flask import request as flask_request
from ipwhois_guard import Guard
from ipwhois_guard.asgi import IpGuardMiddleware
from ipwhois_guard.flask import IpGuard

URL = sys.argv[1]
CLIENT = "26.200.0.1"
SETTINGS: dict[str, Any] = {
    "api_url": URL,
    "feed_url": "",
    "trusted_proxies": ["127.0.0.0/8"],
}
ROUNDS, REQUESTS = 15, 400

_cache: dict[str, tuple[float, bool]] = {}


def check_by_hand(ip: str) -> bool:
    """As a plain module does it: a dictionary, and a call that blocks."""
    kept = _cache.get(ip)
    if kept is not None and time.time() - kept[0] < 3600:
        return kept[1]
    try:
        data = requests.get(f"{URL}/check", params={"ip": ip}, timeout=3).json()
        listed = bool(data.get("listed")) and data.get("confidence", 0) >= 90
    except Exception:
        return False
    _cache[ip] = (time.time(), listed)
    return listed


def client_of(forwarded: str) -> str:
    return forwarded.split(",")[0].strip()


def flask_apps() -> dict[str, Any]:
    def make() -> Flask:
        app = Flask("bench")
        app.add_url_rule("/admin", view_func=lambda: "admin", endpoint="admin")
        return app

    guarded = make()
    IpGuard(guarded, guard=Guard(**SETTINGS))
    by_hand = make()

    @by_hand.before_request
    def check() -> Any:
        if check_by_hand(client_of(flask_request.headers.get("X-Forwarded-For", ""))):
            return jsonify(error="Blocked"), 403
        return None

    return {"bare": make(), "guard": guarded, "by hand": by_hand}


class ByHand:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if check_by_hand(client_of(request.META.get("HTTP_X_FORWARDED_FOR", ""))):
            return HttpResponse(status=403)
        return self.get_response(request)


urlpatterns = [path("admin", lambda request: HttpResponse("admin"))]


async def _aview(request: HttpRequest) -> HttpResponse:
    return HttpResponse("admin")


def django_apps(handler: Callable[[], Any]) -> dict[str, Any]:
    apps = {}
    guard = "ipwhois_guard.django.middleware.IpGuardMiddleware"
    for name, middleware in {
        "bare": [],
        "guard": [guard],
        "by hand": [f"{__name__}.ByHand"],
    }.items():
        settings.MIDDLEWARE = middleware
        apps[name] = handler()
    return apps


def fastapi_apps() -> dict[str, Any]:
    def make() -> FastAPI:
        app = FastAPI()
        app.add_api_route("/admin", _admin)
        return app

    async def _admin() -> str:
        return "admin"

    guarded = make()
    guarded.add_middleware(IpGuardMiddleware, guard=Guard(**SETTINGS))
    by_hand = make()

    @by_hand.middleware("http")
    async def check(request: Request, call_next: Any) -> Any:
        check_by_hand(client_of(request.headers.get("x-forwarded-for", "")))
        return await call_next(request)

    return {"bare": make(), "guard": guarded, "by hand": by_hand}


def wsgi_round(app: Any) -> float:
    from io import BytesIO

    def once() -> None:
        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/admin",
            "QUERY_STRING": "",
            "SERVER_NAME": "a",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "a",
            "HTTP_USER_AGENT": "Mozilla/5.0",
            "HTTP_X_FORWARDED_FOR": CLIENT,
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
            "wsgi.errors": sys.stderr,
        }
        response = app(environ, lambda *_: None)
        b"".join(response)
        response.close()

    once()
    begun = time.thread_time()
    for _ in range(REQUESTS):
        once()
    return (time.thread_time() - begun) / REQUESTS


def asgi_round(app: Any) -> float:
    async def send(message: Any) -> None:
        pass

    async def once() -> None:
        headers = [
            (b"host", b"a"),
            (b"user-agent", b"Mozilla/5.0"),
            (b"x-forwarded-for", CLIENT.encode()),
        ]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/admin",
            "raw_path": b"/admin",
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 5000),
            "server": ("127.0.0.1", 80),
        }
        body = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if not body:
                await asyncio.Event().wait()
            return body.pop()

        await app(scope, receive, send)

    async def work() -> float:
        await once()
        begun = time.thread_time()
        for _ in range(REQUESTS):
            await once()
        return (time.thread_time() - begun) / REQUESTS

    return asyncio.run(work())


def measure(name: str, apps: dict[str, Any], one_round: Callable[[Any], float]) -> None:
    times: dict[str, list[float]] = {variant: [] for variant in apps}
    for _ in range(ROUNDS):
        for variant, app in apps.items():
            times[variant].append(one_round(app))
    # Other load only ever adds to a round.
    best = {variant: min(found) for variant, found in times.items()}
    bare = best["bare"]
    cells = [f"{best[variant] * 1e6:7.1f} us ({bare / best[variant]:.2f})" for variant in apps]
    print(f"{name:16}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


def main() -> None:
    settings.configure(
        SECRET_KEY="bench",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[],
        IPWHOIS_GUARD=SETTINGS,
    )
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "unused")
    import django

    django.setup()
    print("CPU time of a request, and requests/s as a share of the bare application's")
    print(f"{'':16}{'bare':>20}{'guard':>20}{'by hand':>20}")
    measure("Flask", flask_apps(), wsgi_round)
    measure("Django (WSGI)", django_apps(WSGIHandler), wsgi_round)
    urlpatterns[:] = [path("admin", _aview)]
    measure("Django (ASGI)", django_apps(ASGIHandler), asgi_round)
    measure("FastAPI", fastapi_apps(), asgi_round)


if __name__ == "__main__":
    main()
