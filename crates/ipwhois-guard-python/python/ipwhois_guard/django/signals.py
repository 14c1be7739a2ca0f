"""Logins by Django's signals: failed ones are counted without any code in the project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.http import HttpRequest

from .._steps import run
from .guard import get_guard


def install() -> None:
    """Listens."""
    user_login_failed.connect(_failed, dispatch_uid="ipwhois_guard.failed")
    user_logged_in.connect(_succeeded, dispatch_uid="ipwhois_guard.succeeded")


def _failed(
    *,
    credentials: Mapping[str, Any],
    request: HttpRequest | None = None,
    **_: Any,
) -> None:
    # Without a request, as in commands, there is no client to count.
    if request is not None:
        model: Any = get_user_model()
        account = credentials.get(model.USERNAME_FIELD)
        _ended(request, account, is_right=False)


def _succeeded(*, user: Any, request: HttpRequest | None = None, **_: Any) -> None:
    if request is not None:
        _ended(request, user.get_username(), is_right=True)


def _ended(request: HttpRequest, account: object, *, is_right: bool) -> None:
    name = None if account is None else str(account)
    run(get_guard().visitor(request).logged_in(name, is_right=is_right))
