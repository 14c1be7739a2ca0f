"""The application of the conformance cases on Django, for WSGI and ASGI."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIRequest
from django.core.wsgi import get_wsgi_application

if not settings.configured:
    settings.configure(
        SECRET_KEY="test",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        USE_TZ=True,
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "ipwhois_guard.django",
        ],
        MIDDLEWARE=["ipwhois_guard.django.middleware.IpGuardMiddleware"],
        AUTHENTICATION_BACKENDS=[f"{__name__}.Backend"],
        APPEND_SLASH=False,
        IPWHOIS_GUARD=json.loads(os.environ["GUARD"]),
    )
    django.setup()

from django.contrib.auth import authenticate
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt
from ipwhois_guard.django import allowed_ip, get_guard, verdict_of

# There is no database.
user_logged_in.disconnect(dispatch_uid="update_last_login")
handled = 0


class Backend(BaseBackend):
    def authenticate(
        self, request: HttpRequest | None, password: str | None = None, **_: Any
    ) -> User | None:
        return User(username="demo") if password == "right" else None


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse("index")


def whoami(request: HttpRequest) -> HttpResponse:
    verdict = verdict_of(request)
    seen = {"client_ip": verdict.client_ip, "source": verdict.source, "allowed": verdict.allowed}
    return JsonResponse(seen)


@csrf_exempt
@allowed_ip
def login(request: HttpRequest) -> HttpResponse:
    if request.body == b"broken":
        try:
            with get_guard().login_attempt(request):
                raise ValueError("the password check is broken")
        except ValueError:
            return HttpResponse("broken", status=500)
    user = authenticate(request, username="demo", password=request.body.decode())
    if user is None:
        return HttpResponse("wrong", status=401)
    user_logged_in.send(type(user), request=request, user=user)
    return HttpResponse("right")


@csrf_exempt
def admin(request: HttpRequest) -> HttpResponse:
    global handled
    handled += 1
    return HttpResponse("admin")


@allowed_ip
def data(request: HttpRequest) -> HttpResponse:
    return HttpResponse("data")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        for n in range(3):
            yield b"part %d\n" % n

    async def aparts() -> AsyncIterator[bytes]:
        for part in parts():
            yield part

    return StreamingHttpResponse(aparts() if isinstance(request, ASGIRequest) else parts())


def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(handled))


def health(request: HttpRequest) -> HttpResponse:
    return JsonResponse(get_guard().health())


urlpatterns = [
    re_path(r"^$", index),
    re_path(r"^whoami$", whoami),
    re_path(r"^login$", login),
    re_path(r"^admin(/.*)?$", lambda request, *_: admin(request)),
    re_path(r"^data$", data),
    re_path(r"^stream$", stream),
    re_path(r"^handled$", count),
    re_path(r"^health$", health),
]

wsgi = get_wsgi_application()
asgi = get_asgi_application()
