"""The views of the example app on Django."""

from __future__ import annotations

from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from ipwhois_guard.django import allowed_ip, get_guard, verdict_of


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello from a guarded application.\n", content_type="text/plain")


def whoami(request: HttpRequest) -> HttpResponse:
    """Guarded by nothing; tells what the guard knows."""
    verdict = verdict_of(request)
    return JsonResponse(
        {
            "client_ip": verdict.client_ip,
            "allowed": verdict.allowed,
            "source": verdict.source,
            "confidence": verdict.confidence,
        }
    )


@csrf_exempt
@require_POST
@allowed_ip
def login(request: HttpRequest) -> HttpResponse:
    """Guarded by `allowed_ip`. `authenticate` sends the signal by which failures are counted."""
    user = authenticate(
        request,
        username=request.POST.get("username", ""),
        password=request.POST.get("password", ""),
    )
    if user is None:
        return JsonResponse({"error": "Invalid credentials"}, status=401)  # the fifth: 429
    return JsonResponse({"status": "ok"})


def admin(request: HttpRequest) -> HttpResponse:
    return HttpResponse("The admin area.\n", content_type="text/plain")


def user(request: HttpRequest, user: str) -> HttpResponse:
    """Guarded by the rule `/admin`."""
    return HttpResponse(f"User {user}.\n", content_type="text/plain")


@allowed_ip
def data(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"data": "example"})


def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_guard().metrics(), content_type="text/plain; version=0.0.4")


def health(request: HttpRequest) -> HttpResponse:
    """200 whatever is wrong: no reason to take the site out of rotation."""
    return JsonResponse(get_guard().health())


urlpatterns: list[URLPattern] = [
    path("", index),
    path("whoami", whoami),
    path("login", login),
    path("admin", admin),
    path("admin/users/<str:user>", user),
    path("api/data", data),
    path("metrics", metrics),
    path("guard/health", health),
]
