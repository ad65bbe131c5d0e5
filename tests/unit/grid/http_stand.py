"""A server on loopback that answers HTTP as the test says, byte for byte. Owns no
test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any


def answer(body: Any, status: str = "200 OK", *more: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", *more, "", ""]
    return "\r\n".join(head).encode() + data


class Server:
    """`respond(method, path, body)` gives the bytes; b"" closes the connection."""

    def __init__(self, respond: Callable[[str, str, bytes], bytes]) -> None:
        self._respond = respond
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.port = 0
        self.leaves = False  # after its first answer
        self.tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.tasks.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = head[0].split(" ")
                pairs = (line.split(": ", 1) for line in head[1:] if line)
                headers = {name.lower(): value for name, value in pairs}
                length = int(headers.get("content-length", "0"))
                body = await reader.readexactly(length)
                self.asked.append((method, path))
                self.headers.append(headers)
                told = self._respond(method, path, body)
                if not told:
                    return
                writer.write(told)
                await writer.drain()
                if self.leaves:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def server(
    respond: Callable[[str, str, bytes], bytes],
) -> AsyncIterator[Server]:
    made = Server(respond)
    listening = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listening.close()
        for task in made.tasks:
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)
