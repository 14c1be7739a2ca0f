"""The app."""

from django.apps import AppConfig


class IpGuardConfig(AppConfig):
    """Registers the system checks, and listens for logins."""

    name = "ipwhois_guard.django"
    label = "ipwhois_guard"
    verbose_name = "IPWhois guard"

    def ready(self) -> None:
        from . import checks, signals

        checks.install()
        signals.install()
