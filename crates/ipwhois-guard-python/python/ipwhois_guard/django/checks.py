"""System checks."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

from .guard import get_guard

_MIDDLEWARE = "ipwhois_guard.django.middleware.IpGuardMiddleware"

_BEHIND_A_PROXY = (
    "SECURE_PROXY_SSL_HEADER",
    "USE_X_FORWARDED_HOST",
    "USE_X_FORWARDED_PORT",
)


def install() -> None:
    """Registers them."""
    register(Tags.security)(check)


def check(**_: Any) -> list[CheckMessage]:
    """What is wrong with the project's settings."""
    try:
        guard = get_guard()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="ipwhois_guard.E001")]
    found = [_order()]
    behind = [name for name in _BEHIND_A_PROXY if getattr(settings, name, None)]
    if behind and not guard.core.trusts_proxies:
        found.append(
            Warning(
                f"{behind[0]} says that a proxy is in front, and IPWHOIS_GUARD trusts none.",
                hint="Every client has the proxy's address then. Name the proxy in "
                "`trusted_proxies`, or say how many there are in `trusted_hops`.",
                id="ipwhois_guard.W003",
            )
        )
    return [message for message in found if message is not None]


def _order() -> CheckMessage | None:
    middleware = list(settings.MIDDLEWARE)
    if _MIDDLEWARE not in middleware:
        return Warning(
            "The guard's middleware is not installed.",
            hint=f'Put "{_MIDDLEWARE}" first in MIDDLEWARE.',
            id="ipwhois_guard.W001",
        )
    if middleware[0] != _MIDDLEWARE:
        return Warning(
            "The guard's middleware is not the first one.",
            hint=f"{middleware[0]} works for clients that are refused afterwards. Put the guard's "
            "middleware first in MIDDLEWARE, or silence this check.",
            id="ipwhois_guard.W002",
        )
    return None
