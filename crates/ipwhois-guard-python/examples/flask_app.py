"""The example app on Flask: `flask --app flask_app run`, or `gunicorn flask_app:app`."""

from __future__ import annotations

import json

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from ipwhois_guard.flask import IpGuard

app = wsgi = Flask(__name__)
# The environment comes on top: IPWHOIS_GUARD_API_KEY, IPWHOIS_GUARD_TRUSTED_PROXIES and so on.
app.config["IPWHOIS_GUARD_PROTECT"] = ["/admin"]
app.config["IPWHOIS_GUARD_EXEMPT"] = ["/metrics", "/guard/health"]
ip_guard = IpGuard(app)


@app.get("/")
def index() -> str:
    return "Hello from a guarded application.\n"


@app.get("/whoami")
def whoami() -> ResponseReturnValue:
    """Guarded by nothing; tells what the guard knows."""
    verdict = ip_guard.verdict()
    return {
        "client_ip": verdict.client_ip,
        "allowed": verdict.allowed,
        "source": verdict.source,
        "confidence": verdict.confidence,
    }


@app.post("/login")
@ip_guard.allowed
def login() -> ResponseReturnValue:
    """Guarded by `allowed`: a refused client does not reach the password check."""
    username = request.form.get("username", "")
    with ip_guard.login_attempt(account=username) as attempt:  # the fifth failure: 429
        if username == "demo" and request.form.get("password") == "demo":
            attempt.succeeded()
            return {"status": "ok"}
    return {"error": "Invalid credentials"}, 401


@app.get("/admin")
def admin() -> str:
    return "The admin area.\n"


@app.get("/admin/users/<user>")
def user(user: str) -> str:
    """Guarded by the rule `/admin`."""
    return f"User {user}.\n"


@app.get("/api/data")
@ip_guard.allowed
def data() -> ResponseReturnValue:
    return {"data": "example"}


@app.get("/metrics")
def metrics() -> Response:
    return Response(ip_guard.guard.metrics(), content_type="text/plain; version=0.0.4")


@app.get("/guard/health")
def health() -> Response:
    """200 whatever is wrong: no reason to take the site out of rotation."""
    return Response(json.dumps(ip_guard.guard.health()), content_type="application/json")
