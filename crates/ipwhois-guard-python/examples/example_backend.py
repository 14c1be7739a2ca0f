"""Who may log in to the example app on Django: `demo` with the password `demo`."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import User
from django.http import HttpRequest


class DemoBackend(BaseBackend):
    """Needs no database."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **_: Any,
    ) -> User | None:
        is_right = username == "demo" and password == "demo"
        return User(username="demo") if is_right else None
