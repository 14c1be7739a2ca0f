"""Logins by Django's signals: failed ones are counted without any code in the project."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.http import HttpRequest

from .._steps import run
from .guard import get_guard


def install() -> None:
    """Listens."""
    user_login_failed.connect(_failed, dispatch_uid="ipwhois_guard.failed")
    user_logged_in.connect(_succeeded, dispatch_uid="ipwhois_guard.succeeded")


def _failed(*, request: HttpRequest | None = None, **_: Any) -> None:
    # Without a request, as in commands, nobody is there to be counted.
    if request is not None:
        run(get_guard().visitor(request).failed_login())


def _succeeded(*, request: HttpRequest | None = None, **_: Any) -> None:
    if request is not None:
        run(get_guard().visitor(request).successful_login())
