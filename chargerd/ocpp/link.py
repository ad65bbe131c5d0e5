"""How the station reaches its central system: TLS, identity, back-off, one WebSocket.

Owns the arguments of the one WebSocket connection (part 4, sections 3 and 5; profiles
of A00). Never weakens them: no ws:// from profile 2 on, no TLS below 1.2, no proxy.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from chargerd.ocpp.connection import MUTUAL_PROFILE, TLS_PROFILE, Connection
from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.queue import Retry
from chargerd.ocpp.rpc import Rpc
from chargerd.trust import layout as files

log = structlog.get_logger(__name__)

MAX_FRAME_BYTES = 4 * 1024 * 1024  # rpc refuses far less, but can say so politely
MAX_FRAMES = 4
PONG_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
MAX_UNSENT = 32  # texts; then the reader waits until the peer reads its answers
HANG_UP_S = 1.0  # for the last answers before we close

_CIPHERS = (  # A00.FR.319, with the ECDHE variants of the RSA suites
    "@SECLEVEL=2:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
    ":ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"
    ":AES128-GCM-SHA256:AES256-GCM-SHA384"
)
_HINTS = {
    401: ": identity or password is not the one it has ([ocpp] identity, password)",
    403: ": it does not let this station in ([ocpp] identity)",
    404: ": it has nothing there ([ocpp] url, identity)",
}
_TLS_EVENTS = (  # part of OpenSSL's reason -> OCPP security event
    ("PROTOCOL", "InvalidTLSVersion"),
    ("VERSION", "InvalidTLSVersion"),
    ("CIPHER", "InvalidTLSCipherSuite"),
    ("HANDSHAKE_FAILURE", "InvalidTLSCipherSuite"),
)

# websockets logs headers (the password) at level DEBUG: never let it.
_quiet = logging.getLogger("chargerd.ocpp.websocket")
_quiet.setLevel(logging.WARNING)


class LinkError(OcppError):
    """No link. `event`: the security event it is worth, "" for none."""

    def __init__(self, description: str, event: str = "") -> None:
        super().__init__(description)
        self.event = event


class Numbers(Protocol):
    """Reads a number of the device model (OcppStation.number)."""

    def __call__(self, component: str, variable: str, instance: str = "") -> int: ...


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """The OCPPCommCtrlr variables that shape the link, as they are now."""

    ping_s: float = 10.0  # 0 = no pings
    message_timeout_s: float = 30.0
    retry: Retry = field(default_factory=Retry)
    wait_minimum_s: float = 3.0
    random_range_s: float = 2.0
    repeat_times: int = 5

    @classmethod
    def read(cls, number: Numbers) -> LinkSettings:
        def comm(variable: str, instance: str = "") -> int:
            return number("OCPPCommCtrlr", variable, instance)

        return cls(
            ping_s=comm("WebSocketPingInterval"),
            message_timeout_s=comm("MessageTimeout", "Default"),
            retry=Retry(
                comm("MessageAttempts", "TransactionEvent"),
                comm("MessageAttemptInterval", "TransactionEvent"),
            ),
            wait_minimum_s=comm("RetryBackOffWaitMinimum"),
            random_range_s=comm("RetryBackOffRandomRange"),
            repeat_times=comm("RetryBackOffRepeatTimes"),
        )


class BackOff:
    """Waiting times between attempts (part 4, 5.4): doubled, then constant."""

    def __init__(self) -> None:
        self._attempts = 0
        self._wait_s = 0.0

    def reset(self) -> None:
        """A link stood."""
        self._attempts = 0

    def next_s(self, settings: LinkSettings, chance: float) -> float:
        """The wait before the next attempt; `chance` is random in 0..1."""
        extra_s = chance * settings.random_range_s
        if self._attempts == 0:
            self._wait_s = settings.wait_minimum_s + extra_s
        elif self._attempts <= settings.repeat_times:
            self._wait_s = 2 * self._wait_s + extra_s
        self._attempts += 1
        return self._wait_s


class HangUp(Exception):
    """We end the link."""


class Session:
    """One link: what waits to be written, and why it shall end."""

    def __init__(self, websocket: ClientConnection, rpc: Rpc) -> None:
        self.websocket = websocket
        self.rpc = rpc
        self.unsent: asyncio.Queue[str] = asyncio.Queue()
        self._why = ""
        self._over = asyncio.Event()

    def put(self, text: str) -> None:
        self.unsent.put_nowait(text)

    @property
    def ending(self) -> bool:
        """True once we decided to hang up: nothing new may start."""
        return self._over.is_set()

    def hang_up(self, why: str) -> None:
        self._why = self._why or why
        self._over.set()

    async def room(self, timeout_s: float) -> None:
        """Back-pressure on a peer that asks but does not read."""
        if self.unsent.qsize() >= MAX_UNSENT:
            async with asyncio.timeout(timeout_s):
                await self.unsent.join()

    async def write(self, timeout_s: float) -> None:
        while True:
            text = await self.unsent.get()
            async with asyncio.timeout(timeout_s):
                await self.websocket.send(text)
            self.unsent.task_done()

    async def until_hang_up(self) -> None:
        await self._over.wait()
        try:
            async with asyncio.timeout(HANG_UP_S):
                await self.unsent.join()
        except TimeoutError:
            log.info("ocpp.answers_unsent", messages=self.unsent.qsize())
        raise HangUp(self._why)


def headers(connection: Connection) -> dict[str, str]:
    """HTTP Basic authentication of profiles 1 and 2 (A00.FR.202-205)."""
    if connection.security_profile not in (1, 2) or not connection.password:
        return {}
    pair = f"{connection.identity}:{connection.password}".encode()
    return {"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}


def tls(connection: Connection) -> ssl.SSLContext | None:
    """TLS 1.2 or newer with the CSMS root pinned; reads files, so call off the loop.

    `certificates_dir` holds ca.pem (the CSMS root; below profile 2 the system's roots
    do without it) and, for profile 3, station.pem and station.key: trust/layout.py
    says what OCPP adds.
    """
    if not connection.is_tls:
        return None
    folder = Path(connection.certificates_dir)
    roots = files.csms_roots(folder, before=connection.spare_root)
    if connection.security_profile >= TLS_PROFILE and not roots:
        raise LinkError(
            f"{folder / files.CA} is missing: put the root certificate of the CSMS "
            "there, or install it by OCPP"
        )
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for root in roots:
            context.load_verify_locations(cafile=root)
        if not roots:
            context.load_default_certs()
        # A new root may be signed by the one that it replaces (M05.FR.10).
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION
        context.set_ciphers(_CIPHERS)
        if connection.security_profile >= MUTUAL_PROFILE:
            pair = files.station_pair(folder, spare=connection.spare_client)
            context.load_cert_chain(*pair)
    except (OSError, ssl.SSLError) as error:
        raise LinkError(f"certificates in {folder} cannot be used: {error}") from error
    return context


async def open_link(
    connection: Connection, ping_s: float, context: ssl.SSLContext | None
) -> ClientConnection:
    """A WebSocket that agreed on one of our versions. Raises LinkError.

    `ping_s` 0 = no pings. A dead link is known after `ping_s` + PONG_TIMEOUT_S.
    """
    try:
        websocket = await connect(
            connection.address(),
            subprotocols=[Subprotocol(version) for version in connection.versions],
            additional_headers=headers(connection),
            user_agent_header="chargerd",
            ssl=context,
            compression=None,
            proxy=None,
            max_size=MAX_FRAME_BYTES,
            max_queue=MAX_FRAMES,
            open_timeout=connection.connect_timeout_s,
            ping_interval=ping_s or None,
            ping_timeout=PONG_TIMEOUT_S if ping_s else None,
            close_timeout=CLOSE_TIMEOUT_S,
            logger=_quiet,
        )
    except ssl.SSLCertVerificationError as error:
        text = f"certificate of the CSMS refused: {error.verify_message}"
        raise LinkError(text, "InvalidCsmsCertificate") from error
    except ssl.SSLError as error:
        raise LinkError(f"TLS failed: {error.reason}", tls_event(error)) from error
    except InvalidStatus as error:
        status = error.response.status_code
        event = "FailedToAuthenticateAtCsms" if status in (401, 403) else ""
        hint = _HINTS.get(status, "")
        raise LinkError(f"CSMS answered HTTP {status}{hint}", event) from error
    except (OSError, WebSocketException, TimeoutError, ValueError) as error:
        # ValueError: a name that cannot be one, such as "csms..example"
        why = str(error) or type(error).__name__
        raise LinkError(f"no link: {why}"[:200]) from error
    if websocket.subprotocol is None:
        await websocket.close(1002)
        raise LinkError(f"CSMS speaks none of {', '.join(connection.versions)}")
    return websocket


async def leave(websocket: ClientConnection) -> None:
    """Close within CLOSE_TIMEOUT_S. The library's own timeout does not run while what
    was sent before waits for a peer that does not read."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await websocket.close()
    except TimeoutError:
        websocket.transport.abort()


def tls_event(error: ssl.SSLError) -> str:
    """The security event a failed handshake is worth (A00.FR.309-316), "" for none."""
    reason = error.reason or ""
    return next((event for part, event in _TLS_EVENTS if part in reason), "")
