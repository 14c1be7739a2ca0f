"""Servers and the stand-in service, each in a process of its own that ends with its test."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

APPS = Path(__file__).parent / "apps"
PATIENCE = 60.0

_networks = itertools.count(1)


def address() -> str:
    """An address that no other test uses, in a network of its own."""
    number = next(_networks)
    return f"26.{number // 250}.{number % 250}.1"


class Service:
    """The stand-in for the blacklist."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [os.environ["GUARD_TEST_SERVICE"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._answer()

    def tell(self, command: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        assert not answer.startswith("error"), answer
        return answer

    def listed(self, confidence: int = 95) -> str:
        """An address that is on the blacklist."""
        ip = address()
        self.tell(f"list {ip} {confidence}")
        return ip

    def checks(self, ip: str = "") -> int:
        return int(self.tell(f"checks {ip}".strip()))

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Stack:
    """A framework on a server."""

    app: str
    server: str
    kind: str = ""

    @property
    def name(self) -> str:
        return "-".join(filter(None, (self.app, self.server, self.kind)))

    @property
    def is_asgi(self) -> bool:
        return self.server != "gunicorn"

    def command(self, options: tuple[str, ...]) -> list[str]:
        target = f"{self.app}_app:{'asgi' if self.is_asgi else 'wsgi'}"
        python = [sys.executable, "-m", self.server]
        if self.server == "gunicorn":
            kind = [
                "--worker-class",
                self.kind,
                "--threads",
                "16" if self.kind == "gthread" else "1",
            ]
            return [*python, "--bind", "127.0.0.1:0", *kind, *options, target]
        if self.server == "uvicorn":
            bare = ["--port", "0", "--no-proxy-headers", "--lifespan", "auto"]
            return [*python, *bare, *options, target]
        return [*python, "--bind", "127.0.0.1:0", *options, target]


STACKS = [
    Stack("flask", "gunicorn", "sync"),
    Stack("flask", "gunicorn", "gthread"),
    Stack("django", "gunicorn", "sync"),
    Stack("django", "gunicorn", "gthread"),
    Stack("django", "uvicorn"),
    Stack("django", "hypercorn"),
    Stack("fastapi", "uvicorn"),
    Stack("fastapi", "hypercorn"),
]

SETTINGS: dict[str, Any] = {
    "trusted_proxies": ["127.0.0.0/8"],
    "protect": ["/admin", {"path": "/admin/keys", "on_unverified": "deny"}],
    "exempt": ["/handled", "/health"],
    "daily_budget": 1_000_000,
    "feed_url": "",
    "max_wait": "30s",
    "api_timeout": "30s",
}


class Server:
    """A server that runs one of the applications in `apps`."""

    def __init__(self, stack: Stack, log: Path, *options: str, env: dict[str, str]) -> None:
        self.stack = stack
        self.log = log
        self._process = subprocess.Popen(
            stack.command(options),
            cwd=APPS,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.port = self._wait_for_port()

    def _wait_for_port(self) -> int:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            text = self.log.read_text(errors="replace")
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", text):
                return int(found[1])
            assert self._process.poll() is None, text
            time.sleep(0.02)
        raise AssertionError(f"no server: {self.log.read_text(errors='replace')}")

    def send(
        self,
        path: str,
        *clients: str | bytes,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        """Sends a request. Each of `clients` is a line of X-Forwarded-For."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_accept_encoding=True)
            for client in clients:
                connection.putheader("X-Forwarded-For", client)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Response(answer.status, names, answer.read())

    def status(self, path: str, *clients: str | bytes, **options: Any) -> int:
        return self.send(path, *clients, **options).status

    def guess(self, client: str, password: str = "wrong") -> Response:
        return self.send("/login", client, method="POST", body=password.encode())

    def handled(self) -> int:
        """How many requests reached a handler of `/admin`."""
        return int(self.send("/handled").text)

    def signal_children(self, number: signal.Signals) -> int:
        """Signals the oldest worker."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        workers = [int(pid) for pid in children.read_text().split()]
        if not workers:
            return 0
        with contextlib.suppress(ProcessLookupError):
            os.kill(workers[0], number)
        return len(workers)

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)


def env_of(service: Service, **settings: Any) -> dict[str, str]:
    """How the applications are told their settings."""
    return {"GUARD": json.dumps({**SETTINGS, "api_url": service.url, **settings})}


@contextlib.contextmanager
def serving(
    stack: Stack, log: Path, service: Service, *options: str, **settings: Any
) -> Iterator[Server]:
    server = Server(stack, log, *options, env=env_of(service, **settings))
    try:
        yield server
    finally:
        server.end()
