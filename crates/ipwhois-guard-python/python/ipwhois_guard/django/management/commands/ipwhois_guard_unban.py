"""Lifts a ban."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...guard import get_guard


class Command(BaseCommand):
    """Reaches the running workers by the shared store."""

    help = "Lifts the ban of an address, in all processes that share a store."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ip")

    def handle(self, *, ip: str, **options: Any) -> None:
        try:
            get_guard().unban(ip)
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{ip} is not banned any more.")
