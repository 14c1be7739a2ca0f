"""The functions of the published module, over a guard that the environment configures."""

from __future__ import annotations

from typing import Any

from ._core import Verdict
from ._guard import Guard
from ._log import logger

ThreatData = dict[str, Any]

MIN_CONFIDENCE = 90

# No lock: a child that is forked while another thread holds it would wait for ever.
_guards: dict[str, Guard | None] = {}


def check_ip(ip: str, min_confidence: int = MIN_CONFIDENCE) -> ThreatData | None:
    """What the blacklist says of a listed address, or `None`. Never raises an exception."""
    try:
        guard = _default()
        return None if guard is None else _data(guard.check(ip), min_confidence)
    except Exception as error:
        logger.debug("%s is not checked: %s", ip, error)
        return None


async def acheck_ip(ip: str, min_confidence: int = MIN_CONFIDENCE) -> ThreatData | None:
    """As `check_ip`, without blocking the event loop."""
    try:
        guard = _default()
        return None if guard is None else _data(await guard.acheck(ip), min_confidence)
    except Exception as error:
        logger.debug("%s is not checked: %s", ip, error)
        return None


def report_ip(
    ip: str, threat_type: str = "brute-force", message: str = "", source: str = "waf"
) -> None:
    """Reports an attacker. Returns at once, and never raises an exception."""
    try:
        guard = _default()
        if guard is not None:
            guard.report(ip, threat_type, message, source)
    except Exception as error:
        logger.warning("%s is not reported: %s", ip, error)


def _default() -> Guard | None:
    """The guard that the environment configures. A wrong variable is logged once."""
    if "default" not in _guards:
        try:
            guard: Guard | None = Guard.from_env()
        except ValueError as error:
            guard = None
            logger.error("nothing is checked: %s", error)
        # The first of several threads wins. A guard that was never used has no threads.
        return _guards.setdefault("default", guard)
    return _guards["default"]


def _data(verdict: Verdict, min_confidence: int) -> ThreatData | None:
    """In the shape of the service's reply."""
    if verdict.source in ("denylist", "banned"):
        listed, confidence = True, 100
    else:
        listed, confidence = bool(verdict.listed), verdict.confidence or 0
    if not listed or confidence < min_confidence:
        return None
    return {
        "ip": verdict.client_ip,
        "listed": True,
        "confidence": confidence,
        "threat_type": verdict.threat_type,
        "source": verdict.source,
    }
