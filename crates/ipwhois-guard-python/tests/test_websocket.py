"""Websockets pass for allowed clients only."""

from __future__ import annotations

import asyncio

import pytest
from harness import STACKS, Server, Service, address
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

ASGI = [stack for stack in STACKS if stack.app == "fastapi"]
pytestmark = pytest.mark.parametrize("server", ASGI, ids=lambda stack: stack.name, indirect=True)


def echo(server: Server, path: str, client: str) -> int:
    """101 after the word came back, or the status of the refusal."""

    async def talk() -> int:
        uri = f"ws://127.0.0.1:{server.port}{path}"
        headers = {"X-Forwarded-For": client}
        try:
            async with connect(uri, additional_headers=headers, proxy=None) as socket:
                if path != "/private":
                    await socket.send("word")
                    assert await socket.recv() == "word"
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    return asyncio.run(talk())


def test_a_rule_holds_for_a_handshake(server: Server, service: Service) -> None:
    assert echo(server, "/admin/echo", service.listed()) == 403
    assert echo(server, "/admin/echo", address()) == 101
    assert echo(server, "/echo", service.listed()) == 101


def test_a_dependency_holds_for_a_handshake(server: Server, service: Service) -> None:
    assert echo(server, "/private", service.listed()) == 403
    assert echo(server, "/private", address()) == 101
