"""What views ask of the guard."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest

from .._core import Verdict
from .._steps import arun, run
from .guard import get_guard
from .responses import DenialResponse

_View = TypeVar("_View", bound=Callable[..., Any])


def allowed_ip(view: _View) -> _View:
    """Runs the view for allowed clients only, whatever the rules cover."""
    if iscoroutinefunction(view):

        @wraps(view)
        async def aguarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            visitor = get_guard().visitor(request)
            await arun(visitor.admit())
            if visitor.denial is not None:
                return DenialResponse(visitor.denial, request)
            return await view(request, *args, **kwargs)

        return aguarded  # type: ignore[return-value]

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        visitor = get_guard().visitor(request)
        run(visitor.admit())
        if visitor.denial is not None:
            return DenialResponse(visitor.denial, request)
        return view(request, *args, **kwargs)

    return guarded  # type: ignore[return-value]


def verdict_of(request: HttpRequest) -> Verdict:
    """What is known of the client of a request. Refuses nobody. May block: not for async views."""
    return run(get_guard().visitor(request).judge())
