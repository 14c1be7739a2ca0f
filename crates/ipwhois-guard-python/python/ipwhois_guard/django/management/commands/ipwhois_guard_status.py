"""Says whether the guard works."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from ...guard import get_guard


class Command(BaseCommand):
    """The guard's health as JSON."""

    help = "Says whether the guard works, and what is wrong."

    def handle(self, **options: Any) -> None:
        guard = get_guard()
        guard.ready()
        self.stdout.write(json.dumps(guard.health(), indent=2))
