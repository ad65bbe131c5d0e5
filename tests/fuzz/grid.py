"""The grid's doors without passwords, as fuzz targets: any bytes, from a host that may.

Law of both: nothing is asked of the heart beyond the rating, or for ever.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from functools import cache

from chargerd.config import Config
from chargerd.grid.echonet import Node
from chargerd.grid.echonet_objects import Charger, Profile
from chargerd.grid.errors import GridError
from chargerd.grid.sunspec import Server
from chargerd.grid.sunspec_modbus import Stream
from chargerd.grid.sunspec_points import BASE, POINTS
from chargerd.model import DispatchSignal

HOST, NOW_MONO, LONGEST_S = "127.0.0.1", 100.0, 90_000.0
_AT = {point.name: point.address for point in POINTS}


@cache
def _config() -> Config:
    device = {"driver": "none", "at": "serial:/dev/null"}
    peers = {"controllers": [f"{HOST}/32"]}
    return Config.model_validate(
        {
            "station": {"id": "CS1"},
            "evse": [{"id": 1, "devices": {"pilot": device, "meter": device}}],
            "grid": {"echonet": peers, "sunspec": peers},
        }
    )


def echonet(data: bytes) -> None:
    """Datagrams behind two bytes of length each."""
    config = _config()
    asked = config.grid.echonet
    if asked is None:
        raise AssertionError("not configured")
    chargers = tuple(Charger(e, config.station, "FFFFFF", 20.0) for e in config.evse)
    node = Node(asked, Profile(config.station, "FFFFFF", chargers), chargers)
    at = 0
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        _judge(node.receive(data[at + 2 : at + 2 + size], HOST, NOW_MONO).signals)
        at += 2 + size
    _judge(node.tick(NOW_MONO + LONGEST_S).signals)


def modbus(data: bytes) -> None:
    """One connection's bytes. First byte: the size of the pieces."""
    config = _config()
    if config.grid.sunspec is None:
        raise AssertionError("not configured")
    server = Server(config.grid.sunspec, config.station, config.evse)
    stream, size = Stream(), (data[0] or 1) if data else 1
    for start in range(1, len(data), size):
        try:
            requests = stream.feed(data[start : start + size])
        except GridError:
            return
        for request in requests:
            _, signals = server.serve(request, NOW_MONO, may_write=True)
            _judge(signals)


def _judge(signals: Iterable[DispatchSignal]) -> None:
    for signal in signals:
        if not signal.valid_until_mono <= NOW_MONO + LONGEST_S:
            raise AssertionError(f"for ever: {signal}")
        for segment in signal.segments:
            power_w = segment.setpoint_w or segment.discharge_limit_w or 0.0
            if not math.isfinite(power_w) or abs(power_w) > 6000.0:
                raise AssertionError(f"beyond the rating: {segment}")


def seeds(target: str) -> Iterator[bytes]:
    """Good inputs to begin with."""
    if target == "echonet":
        words = (
            "1081000105ff01027e016201da00",
            "1081000205ff01027e016103dd0103ec0400000bb8da0143",
            "1081000305ff010ef0016301d500",
            "1081000405ff01027e006e01da014402da00e400",
        )
        datagrams = [bytes.fromhex(word) for word in words]
        yield b"".join(len(one).to_bytes(2, "big") + one for one in datagrams)
        return
    read = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, BASE, 70)
    points = struct.pack(">HHi", 1, 1, 3000)  # WSetEna, WSetMod, WSet
    head = struct.pack(">HHHBBHHB", 2, 0, 15, 1, 16, _AT["704.WSetEna"], 4, 8)
    pulse = struct.pack(">HHHBBHHBI", 3, 0, 11, 1, 16, _AT["715.ControllerHb"], 2, 4, 1)
    yield b"\x20" + read + head + points + pulse
