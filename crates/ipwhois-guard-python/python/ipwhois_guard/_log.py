"""The guard's events in Python's `logging`, as the logger `ipwhois_guard`."""

from __future__ import annotations

import logging
import os

from . import _core

logger = logging.getLogger("ipwhois_guard")

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_core.after_fork)


def deliver() -> None:
    """Logs what the guard's threads have left. They never call Python themselves."""
    if _core.has_events():
        for level, message in _core.take_events():
            logger.log(level, "%s", message)


def follow_level() -> None:
    """Has the guard keep its `DEBUG` events where the logger wants them."""
    _core.set_log_level(logging.DEBUG if logger.isEnabledFor(logging.DEBUG) else logging.INFO)
