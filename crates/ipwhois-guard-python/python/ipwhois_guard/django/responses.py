"""Refusals as Django's responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from .._core import Denial
from .._wsgi import drain


class DenialResponse(HttpResponse):
    """A refusal. Closing it discards what the client still sends."""

    def __init__(self, denial: Denial, request: HttpRequest) -> None:
        body = b"" if request.method == "HEAD" else denial.body.encode()
        super().__init__(body, status=denial.status, headers=dict(denial.headers))
        self._environ: Mapping[str, Any] = getattr(request, "environ", {})

    def close(self) -> None:
        super().close()
        drain(self._environ)
