"""The figures of a guard in Prometheus' text format."""

from __future__ import annotations

from typing import Any

_COUNTERS = {
    "allowed": ("ipwhois_guard_decisions_total", 'outcome="allowed"'),
    "denied": ("ipwhois_guard_decisions_total", 'outcome="denied"'),
    "monitored": ("ipwhois_guard_decisions_total", 'outcome="monitored"'),
}

_GAUGES = {
    "checks_today": "ipwhois_guard_checks_spent",
    "checks_left": "ipwhois_guard_checks_left",
    "cache_entries": "ipwhois_guard_cache_entries",
    "feed_entries": "ipwhois_guard_feed_entries",
    "feed_age_seconds": "ipwhois_guard_feed_age_seconds",
    "reports_pending": "ipwhois_guard_reports_pending",
    "active_bans": "ipwhois_guard_active_bans",
}


def text(health: dict[str, Any]) -> str:
    """The metrics of one process, by what its health says."""
    lines = ["# TYPE ipwhois_guard_decisions_total counter"]
    for field, (name, labels) in _COUNTERS.items():
        lines.append(f"{name}{{{labels}}} {health[field]}")
    for field, name in _GAUGES.items():
        if health[field] is not None:
            lines += [f"# TYPE {name} gauge", f"{name} {health[field]}"]
    lines.append("# TYPE ipwhois_guard_problem gauge")
    lines += [f'ipwhois_guard_problem{{code="{found["code"]}"}} 1' for found in health["problems"]]
    return "\n".join(lines) + "\n"
