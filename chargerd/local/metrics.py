"""Prometheus text on a loopback address: a few gauges per EVSE, nothing else.

Reads one request line, answers, closes. Bounded in connections, bytes and time; refuses
any address that is not loopback.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections.abc import Callable

from chargerd.local.read_model import Json
from chargerd.local.values import LocalError

MAX_CONNECTIONS = 4
MAX_REQUEST_BYTES = 8 * 1024
TIMEOUT_S = 3.0
_GAUGES = (  # name, help, path in a status row
    ("meter_watts", "AC power, positive = into the vehicle", ("meter_w",)),
    ("setpoint_watts", "commanded AC power", ("decision", "power_w")),
    ("soc_percent", "state of charge the vehicle reports", ("vehicle", "soc_pct")),
    ("session_import_wh", "energy into the vehicle, this session", ("energy_in_wh",)),
    ("session_export_wh", "energy out of it, this session", ("energy_out_wh",)),
    ("meter_age_seconds", "age of the meter's last good answer", ("meter_age_s",)),
)


class Metrics:
    """`run()` serves `address` ("127.0.0.1:9464") until cancelled."""

    def __init__(
        self,
        address: str,
        status: Callable[[], list[Json]],
        station: Callable[[], Json],
    ) -> None:
        self._host, self._port = _loopback(address)
        self._status, self._station = status, station
        self._open = 0

    async def run(self) -> None:
        server = await asyncio.start_server(
            self._serve, self._host, self._port, limit=MAX_REQUEST_BYTES
        )
        async with server:
            await server.serve_forever()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._open >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with asyncio.timeout(TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the scraper left
        except asyncio.LimitOverrunError:
            writer.write(_response("431 Request Header Fields Too Large", ""))
        finally:
            self._open -= 1
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        if head.split(b"\r\n", 1)[0].split(b" ")[:2] != [b"GET", b"/metrics"]:
            return _response("404 Not Found", "try GET /metrics\n")
        return _response("200 OK", render(self._status(), self._station()))


def render(evses: list[Json], station: Json) -> str:
    """The exposition text; values that are not known are left out."""
    lines: list[str] = []
    for name, text, path in _GAUGES:
        lines += [f"# HELP chargerd_{name} {text}", f"# TYPE chargerd_{name} gauge"]
        for evse in evses:
            value = _at(evse, path)
            if _is_number(value):
                lines.append(
                    f'chargerd_{name}{{evse="{evse["evse_id"]}"}} {value:.10g}'
                )
    lines.append("# TYPE chargerd_faults gauge")
    lines += [
        f'chargerd_faults{{evse="{evse["evse_id"]}"}} {len(evse.get("faults", ()))}'
        for evse in evses
    ]
    for evse_id, found in station.get("v2g", {}).items():
        lines.append(
            f'chargerd_v2g_late_answers{{evse="{evse_id}"}} {found["late_answers"]}'
        )
        lines += [
            f'chargerd_v2g_margin_ms{{evse="{evse_id}",request="{request}"}} {ms:.10g}'
            for request, ms in found["margins_ms"].items()
        ]
    for key, value in sorted(station.items()):
        if _is_number(value) and key.isidentifier():
            lines.append(f"chargerd_{key} {float(value):.10g}")
    return "\n".join(lines) + "\n"


def _at(row: object, path: tuple[str, ...]) -> object:
    for step in path:
        row = row.get(step) if isinstance(row, dict) else None
    return row


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _response(status: str, body: str) -> bytes:
    data = body.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n"
        f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + data


def _loopback(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    try:
        if (
            ipaddress.ip_address(host.strip("[]")).is_loopback
            and 0 <= int(port) < 65536
        ):
            return host.strip("[]"), int(port)
    except ValueError:
        pass
    raise LocalError(
        f"[local] metrics {address!r}: give a loopback address and a port, "
        'e.g. "127.0.0.1:9464"'
    )
