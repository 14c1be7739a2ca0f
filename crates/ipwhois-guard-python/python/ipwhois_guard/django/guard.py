"""The guard of a Django project."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from .._guard import Guard

_guards: dict[str, Guard] = {}


def get_guard() -> Guard:
    """The project's guard. Raises `ImproperlyConfigured` with the name of a wrong setting."""
    guard = _guards.get("default")
    if guard is None:
        try:
            guard = Guard.from_env(**getattr(settings, "IPWHOIS_GUARD", {}))
        except ValueError as error:
            raise ImproperlyConfigured(f"IPWHOIS_GUARD: {error}") from error
        # The first of several threads wins.
        guard = _guards.setdefault("default", guard)
    return guard


def _forget(*, setting: str, **_: Any) -> None:
    """Tests change settings."""
    if setting == "IPWHOIS_GUARD":
        _guards.clear()


setting_changed.connect(_forget)
