"""A small HTTP/1.1 client for doors that ask a server: one connection, one call at a
time, every answer bounded in time and bytes.

Must never follow a redirect, nor believe a server whose certificate does not verify.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h11

from chargerd.grid.errors import GridError

CALL_S = 15.0  # to connect, ask and read
BODY_MAX = 1 << 20
HEAD_MAX = 16_384
_CHUNK_BYTES = 16_384
_TURN = 32  # pieces of a body, then it is others' turn: a piece may be of 1 byte


class HttpError(GridError):
    """No answer. `reason` is a counter's name."""

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(text or reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes = field(repr=False)


class Http:
    """Kept open between calls to the same host; opened anew when the server left."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._protocol = h11.Connection(h11.CLIENT)
        self._where: tuple[str, str, int] | None = None

    async def call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
    ) -> Answer:
        """Raises HttpError."""
        try:
            async with asyncio.timeout(CALL_S):
                return await self._call(method, url, headers, body)
        except (OSError, ValueError, h11.ProtocolError, HttpError) as error:
            await self.close()
            raise _named(error) from None

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        asked = {"Host": parts.netloc, "Accept": "application/json", **headers}
        if body:
            asked["Content-Length"] = str(len(body))
        request = h11.Request(method=method, target=target, headers=list(asked.items()))
        reused = await self._open(parts.scheme, parts.hostname or "", parts.port)
        try:
            return await self._exchange(request, body)
        except ConnectionError:
            # A kept connection that the server has just closed: once more, on a new
            # one.
            if not reused or method != "GET":
                raise
        await self.close()
        await self._open(parts.scheme, parts.hostname or "", parts.port)
        return await self._exchange(request, body)

    async def _open(self, scheme: str, host: str, port: int | None) -> bool:
        """True if it was open already."""
        where = (scheme, host, port or (443 if scheme == "https" else 80))
        streams = self._streams
        ready = self._protocol.our_state is h11.IDLE
        if streams and self._where == where and ready and not streams[0].at_eof():
            return True
        await self.close()
        context = self._context if scheme == "https" else None
        self._streams = await asyncio.open_connection(
            host, where[2], ssl=context, limit=_CHUNK_BYTES
        )
        self._where = where
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_MAX)
        return False

    async def _exchange(self, request: h11.Request, body: bytes) -> Answer:
        if self._streams is None:
            raise HttpError("connection", "not open")
        reader, writer = self._streams
        protocol = self._protocol
        for part in (request, h11.Data(data=body), h11.EndOfMessage()):
            writer.write(protocol.send(part) or b"")
        await writer.drain()
        head: h11.Response | None = None
        found, heard, pieces = bytearray(), False, 0
        while True:
            event = protocol.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(_CHUNK_BYTES)
                heard = heard or bool(data)
                if not heard:
                    raise ConnectionResetError("the server closed the connection")
                protocol.receive_data(data)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                found += event.data
                if len(found) > BODY_MAX:
                    raise HttpError("size", f"an answer of over {BODY_MAX} bytes")
                pieces += 1
                if not pieces % _TURN:
                    await asyncio.sleep(0)
            elif isinstance(event, h11.EndOfMessage):
                break
        if protocol.our_state is h11.DONE and protocol.their_state is h11.DONE:
            protocol.start_next_cycle()
        if head is None:
            raise HttpError("malformed", "no head")
        names = {
            key.decode("latin-1"): value.decode("latin-1")
            for key, value in head.headers
        }
        return Answer(head.status_code, names, bytes(found))

    async def close(self) -> None:
        """At once: what was to be said has been said."""
        streams, self._streams = self._streams, None
        self._where = None
        if streams is not None:
            streams[1].transport.abort()


def _named(error: Exception) -> HttpError:
    match error:
        case HttpError():
            return error
        case TimeoutError():
            return HttpError("timeout")
        case ssl.SSLError():
            return HttpError("tls", str(error))
        case OSError():
            return HttpError("connection", str(error))
    return HttpError("malformed", str(error))  # ValueError: a URL that is none
