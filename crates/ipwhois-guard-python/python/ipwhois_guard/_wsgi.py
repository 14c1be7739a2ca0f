"""What WSGI integrations have in common."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ._core import Denial

_CHUNK = 64 * 1024


def drain(environ: Mapping[str, Any]) -> None:
    """Reads and discards the body of a refused request, after the answer and within a bound.

    A server that closes a connection with unread bytes resets it, and the client or the proxy loses
    the answer. Only gunicorn shows its socket, so only there can the wait be bounded. Other servers
    read the body themselves or are behind a server that does.
    """
    body, socket = environ.get("wsgi.input"), environ.get("gunicorn.socket")
    if body is None or socket is None:
        return
    end = time.monotonic() + Denial.MAX_UNREAD_SECONDS
    left = Denial.MAX_UNREAD_BYTES
    wait = socket.gettimeout()
    try:
        while left > 0 and (seconds := end - time.monotonic()) > 0:
            socket.settimeout(seconds)
            chunk = body.read(min(_CHUNK, left))
            if not chunk:
                break
            left -= len(chunk)
    except Exception:  # The client is gone, slow or breaks the protocol: the server closes.
        return
    finally:
        socket.settimeout(wait)
