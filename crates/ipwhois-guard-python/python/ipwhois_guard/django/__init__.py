"""The guard for Django: a middleware, system checks, commands, and failed logins by signals.

Add `"ipwhois_guard.django"` to `INSTALLED_APPS`, and put
`"ipwhois_guard.django.middleware.IpGuardMiddleware"` first in `MIDDLEWARE`. The settings are in the
dictionary `IPWHOIS_GUARD` and in the environment.
"""

from .guard import get_guard
from .views import allowed_ip, verdict_of

__all__ = ["allowed_ip", "get_guard", "verdict_of"]
