"""Keeps clients of the IPWhois.net blacklist out of Python applications.

`check_ip`, `acheck_ip` and `report_ip` are configured by the environment. `Guard` is the guard with
everything else. The integrations are in `ipwhois_guard.flask`, `ipwhois_guard.django` and
`ipwhois_guard.asgi`.
"""

from ._core import Denial, Verdict
from ._guard import Guard
from ._login import LoginAttempt
from ._module import acheck_ip, check_ip, report_ip
from ._settings import Rule, Settings
from ._visitor import Refused, Visitor

__all__ = [
    "Denial",
    "Guard",
    "LoginAttempt",
    "Refused",
    "Rule",
    "Settings",
    "Verdict",
    "Visitor",
    "acheck_ip",
    "check_ip",
    "report_ip",
]
