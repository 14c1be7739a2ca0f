"""A Flask application of the shape that the published module's documentation shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from ipwhois_guard import check_ip, report_ip

wsgi = Flask(__name__)
failures: dict[str, int] = {}


def only_unlisted(view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        forwarded = request.headers.get("X-Forwarded-For", request.remote_addr or "")
        if check_ip(forwarded.split(",")[0].strip()):
            return jsonify(error="Blocked"), 403
        return view(*args, **kwargs)

    return wrapped


@wsgi.get("/")
def index() -> str:
    return "index"


@wsgi.get("/admin/")
@only_unlisted
def admin() -> str:
    return "admin"


@wsgi.post("/login")
@only_unlisted
def login() -> ResponseReturnValue:
    peer = request.remote_addr or ""
    failures[peer] = failures.get(peer, 0) + 1
    if failures[peer] >= 5:
        report_ip(peer, "brute-force", f"{failures[peer]} failed logins")
        return jsonify(error="Too many attempts"), 429
    return jsonify(error="Wrong password"), 401
