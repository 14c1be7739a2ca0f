"""A Django project of the shape that the published module's documentation shows."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from ipwhois_guard import check_ip

GUARDED = ("/admin/", "/accounts/login/")


class BlacklistMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(GUARDED):
            forwarded = request.META.get("HTTP_X_FORWARDED_FOR")
            client = forwarded.split(",")[0].strip() if forwarded else request.META["REMOTE_ADDR"]
            if check_ip(client):
                return JsonResponse({"error": "Blocked"}, status=403)
        return self.get_response(request)


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse("index")


def admin(request: HttpRequest) -> HttpResponse:
    return HttpResponse("admin")


urlpatterns = [path("", index), path("admin/", admin)]

settings.configure(
    SECRET_KEY="test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[f"{__name__}.BlacklistMiddleware"],
)
wsgi = get_wsgi_application()
asgi = get_asgi_application()
