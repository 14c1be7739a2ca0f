"""The example apps, with the environment as their only configuration."""

from __future__ import annotations

import os
from pathlib import Path

import harness
import pytest
from harness import Server, Service, Stack, address

EXAMPLES = Path(__file__).parent.parent / "examples"
STACKS = [
    Stack("flask", "gunicorn", "gthread"),
    Stack("django", "gunicorn", "gthread"),
    Stack("django", "uvicorn"),
    Stack("fastapi", "uvicorn"),
]


@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: stack.name)
def test_an_example(
    stack: Stack, log: Path, own_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "APPS", EXAMPLES)
    env = {
        "IPWHOIS_GUARD_API_URL": own_service.url,
        "IPWHOIS_GUARD_TRUSTED_PROXIES": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")]),
    }
    listed, clean = own_service.listed(), address()
    server = Server(stack, log, env=env)
    try:
        assert server.send("/", listed).text.startswith("Hello")
        assert server.send("/whoami", listed).json()["allowed"] is False
        assert server.status("/admin", listed) == server.status("/api/data", listed) == 403
        assert server.send("/admin/users/7", clean).text == "User 7.\n"
        assert server.send("/api/data", clean).json() == {"data": "example"}
        assert "ipwhois_guard_checks_spent" in server.send("/metrics").text
        assert server.send("/guard/health").json()["checks_today"] >= 2

        def login(password: str) -> int:
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            body = f"username=demo&password={password}".encode()
            return server.status("/login", clean, method="POST", headers=form, body=body)

        assert login("demo") == 200
        assert [login("guess") for _ in range(5)] == [401, 401, 401, 401, 429]
    finally:
        server.end()
