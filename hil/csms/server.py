"""The small CSMS: accepts stations, checks basic auth, holds what it shall answer.

For tests, the demo and newcomers; OCPP 2.1 and 2.0.1. Every message both ways is judged
by the schemas (`violations`). The product's OCPP code is not used here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from hil.csms.answers import default_answer
from hil.csms.judge import FOLDERS
from hil.csms.link import Peer
from hil.csms.wire import CsmsError, Message, Refusal, Violation

Override = (
    dict[str, Any]
    | Refusal
    | Callable[[Peer, dict[str, Any]], dict[str, Any] | Refusal]
)
MAX_MESSAGE = 8 * 1024 * 1024  # bytes


class Csms:
    """Start it with `await Csms.start(...)`; the attributes may be changed any time."""

    def __init__(self, versions: Sequence[str], password: str | None) -> None:
        unknown = set(versions) - set(FOLDERS)
        if unknown:
            raise CsmsError(f"versions {sorted(unknown)}: known are {list(FOLDERS)}")
        self.versions = tuple(versions)
        self.password = password
        self.peers: dict[str, Peer] = {}
        self.refused: list[str] = []  # connections turned away, and why
        self.boot_status = "Accepted"
        self.boot_interval_s = 300
        self.accept_without_boot = False  # a CSMS that knows its stations (restart)
        self.latency_s = 0.0  # wait before every answer
        self.mute: bool | Collection[str] = False  # never answer: all, or these actions
        self.station_timeout_s = 30.0  # after it a station may CALL again
        self.blocked: set[str] = set()  # id tokens
        self.known_tokens: set[str] | None = None  # None = every token is accepted
        self.allowed_energy_transfer: Sequence[str] = ()  # Authorize (2.1, Q01)
        self.certificate_status = "Accepted"  # of every contract (C07)
        # A vehicle's request (EXI) to the answer's EXI; None = no such service (M01).
        self.ev_certificates: Callable[[bytes], bytes] | None = None
        self.overrides: dict[str, Override] = {}
        self.on_message: Callable[[Peer, Message], None] | None = None
        self.on_violation: Callable[[Peer, Violation], None] | None = None
        self._server: Server | None = None
        self._changed = asyncio.Event()

    @classmethod
    async def start(
        cls,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        versions: Sequence[str] = ("ocpp2.1", "ocpp2.0.1"),
        password: str | None = None,
    ) -> Self:
        """Listen; port 0 takes a free one (`csms.port`). OSError when it is taken."""
        csms = cls(versions, password)
        csms._server = await serve(
            csms._connection,
            host,
            port,
            process_request=csms._admit,
            select_subprotocol=csms._choose,
            compression=None,
            max_size=MAX_MESSAGE,
            ping_interval=None,  # the station watches the link
            close_timeout=1.0,
        )
        return csms

    @property
    def port(self) -> int:
        if self._server is None:
            raise CsmsError("not started: use await Csms.start(...)")
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def violations(self) -> list[Violation]:
        """All rules broken so far, by either side, over all stations."""
        return [broken for peer in self.peers.values() for broken in peer.violations]

    async def stop(self) -> None:
        """Close all connections and the port."""
        if self._server is None:
            return
        for peer in self.peers.values():
            await peer.drop()
        self._server.close()
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def wait_station(
        self,
        timeout: float = 10.0,  # noqa: ASYNC109
        *,
        identity: str | None = None,
        booted: bool = False,
    ) -> Peer:
        """A connected station (`booted`: one whose BootNotification was accepted)."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    changed = self._changed
                    for peer in self.peers.values():
                        named = identity in (None, peer.identity)
                        ready = not booted or peer.boot == "Accepted"
                        if peer.connected and named and ready:
                            return peer
                    await changed.wait()
        except TimeoutError:
            whom = identity or "any station"
            text = f"{whom} not there in {timeout} s; refused so far: {self.refused}"
            raise CsmsError(text) from None

    def answer(self, action: str, override: Override | None) -> None:
        """Answer `action` with a payload, a Refusal, or a function; None = default."""
        if override is None:
            self.overrides.pop(action, None)
        else:
            self.overrides[action] = override

    def answer_to(
        self, peer: Peer, action: str, payload: dict[str, Any]
    ) -> dict[str, Any] | Refusal:
        """What a valid CALL of the station is answered."""
        override = self.overrides.get(action)
        if override is None:
            return default_answer(peer, action, payload, datetime.now(UTC))
        return override(peer, payload) if callable(override) else override

    def is_muted(self, action: str) -> bool:
        return self.mute if isinstance(self.mute, bool) else action in self.mute

    def wake(self) -> None:
        """Something changed: let `wait_station` look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _connection(self, ws: ServerConnection) -> None:
        identity = identity_of(ws.request.path if ws.request else "")
        if ws.subprotocol is None:  # part 4, 3.1.2: shake hands, then close at once
            self.refused.append(f"{identity}: no common subprotocol")
            await ws.close(1002, "no common subprotocol")
            return
        peer = self.peers.setdefault(identity, Peer(self, identity))
        await peer.serve(ws)

    def _choose(
        self, ws: ServerConnection, offered: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        """The station's order counts."""
        return next((name for name in offered if name in self.versions), None)

    def _admit(self, ws: ServerConnection, request: Request) -> Response | None:
        """Basic auth (security profile 1): user = identity, as in part 4 and A00."""
        identity = identity_of(request.path)
        if not identity or ":" in identity:
            self.refused.append(f"{request.path}: no station identity in the path")
            return ws.respond(HTTPStatus.NOT_FOUND, "no station identity\n")
        if self.password is None:
            return None
        user, word = credentials(request.headers.get("Authorization", ""))
        right = hmac.compare_digest(word.encode(), self.password.encode())
        if right and user == identity:
            return None
        self.refused.append(f"{identity}: wrong or missing credentials")
        response = ws.respond(HTTPStatus.UNAUTHORIZED, "wrong credentials\n")
        response.headers["WWW-Authenticate"] = 'Basic realm="ocpp"'
        return response


def identity_of(path: str) -> str:
    """The last part of the URL's path, percent-decoded."""
    return unquote(path.split("?", 1)[0].rsplit("/", 1)[-1])


def credentials(header: str) -> tuple[str, str]:
    """(user, password) of a basic Authorization header; empty when it is none."""
    scheme, _, value = header.partition(" ")
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    user, colon, password = text.partition(":")
    return (user, password) if colon and scheme.lower() == "basic" else ("", "")
