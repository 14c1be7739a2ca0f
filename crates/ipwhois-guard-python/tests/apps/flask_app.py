"""The application of the conformance cases on Flask."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from flask import Flask, request
from flask.typing import ResponseReturnValue
from ipwhois_guard.flask import IpGuard

METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]

app = wsgi = Flask(__name__)
for name, value in json.loads(os.environ["GUARD"]).items():
    app.config["IPWHOIS_GUARD_" + name.upper()] = value
ip_guard = IpGuard(app)
handled = 0


@app.route("/")
def index() -> str:
    return "index"


@app.route("/whoami")
def whoami() -> ResponseReturnValue:
    verdict = ip_guard.verdict()
    return {"client_ip": verdict.client_ip, "source": verdict.source, "allowed": verdict.allowed}


@app.route("/login", methods=["POST"])
@ip_guard.allowed
def login() -> ResponseReturnValue:
    with ip_guard.login_attempt(account="demo") as attempt:
        if request.get_data() == b"right":
            attempt.succeeded()
            return "right"
        if request.get_data() == b"broken":
            raise ValueError("the password check is broken")
    return "wrong", 401


@app.errorhandler(ValueError)
def broken(error: ValueError) -> ResponseReturnValue:
    return "broken", 500


@app.route("/admin", methods=METHODS)
@app.route("/admin/", methods=METHODS)
@app.route("/admin/<path:rest>", methods=METHODS)
def admin(rest: str = "") -> str:
    global handled
    handled += 1
    return "admin"


@app.route("/data")
@ip_guard.allowed
def data() -> str:
    return "data"


@app.route("/stream")
def stream() -> ResponseReturnValue:
    def parts() -> Iterator[bytes]:
        for n in range(3):
            yield b"part %d\n" % n

    return parts()


@app.route("/handled")
def count() -> str:
    return str(handled)


@app.route("/health")
def health() -> ResponseReturnValue:
    return ip_guard.guard.health()
