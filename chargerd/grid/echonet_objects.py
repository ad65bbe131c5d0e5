"""The node's objects: the node profile (0x0EF001) and one charger (0x027E) per EVSE.

Pure. An object answers `get` property by property, and takes `put` of several at once;
None or False = not served.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from hashlib import sha256

from chargerd.config import Evse, Station
from chargerd.grid import echonet_device as device
from chargerd.grid.echonet_frame import Property, property_map
from chargerd.grid.echonet_settings import READABLE, SETTABLE, Settings
from chargerd.model import EvseReport

GARAGE = 0x69  # place code: the first garage
# Announced when they change: operation, place, fault, connection, mode.
NEWS = (0x80, 0x81, 0x88, 0xC7, 0xDA)
_CHANGING = frozenset(
    {0x88, 0xC0, 0xC2, 0xC4, 0xC7, 0xCE, 0xCF, 0xD0, 0xD3, 0xD4, 0xD5, 0xD6, 0xD8}
    | {0xDB, 0xE1, 0xE2, 0xE4}
)


def _name(station: Station, maker: bytes, number: int) -> dict[int, bytes]:
    """Who made it and which it is: 83, 8A, 8C."""
    unique = sha256(station.id.encode()).digest()[:12] + bytes((number,))
    product = station.model.encode("ascii")[:12].ljust(12, b"\0")
    return {0x83: b"\xfe" + maker + unique, 0x8A: maker, 0x8C: product}


class Profile:
    """The node itself: nothing of it can be set."""

    eoj = b"\x0e\xf0\x01"

    def __init__(
        self, station: Station, maker: str, chargers: tuple[Charger, ...]
    ) -> None:
        count = len(chargers)
        self.instances = bytes((count,)) + b"".join(c.eoj for c in chargers)
        self._values = {
            0x80: b"\x30",
            0x82: b"\x01\x0e\x01\x00",  # version 1.14, frame format 1
            0x88: b"\x42",
            0xD3: count.to_bytes(3, "big"),
            0xD4: b"\x00\x02",  # classes, this one too
            0xD6: self.instances,
            0xD7: b"\x01" + device.CLASS,
            0x9D: property_map((0x80, 0xD5)),
            0x9E: property_map(()),
            **_name(station, bytes.fromhex(maker), 0),
        }
        self._values[0x9F] = property_map((*self._values, 0x9F))

    def get(self, epc: int) -> bytes | None:
        return self._values.get(epc)

    def announced(self, epc: int) -> bytes | None:
        """D5 is for announcements only."""
        return self.instances if epc == 0xD5 else self.get(epc)

    def put(self, properties: Iterable[Property]) -> bool:
        return False


class Charger:
    """One EVSE. Its instance code is the EVSE's id."""

    def __init__(
        self,
        evse: Evse,
        station: Station,
        maker: str,
        floor_pct: float,
        place: int = GARAGE,
    ) -> None:
        self.evse_id = evse.id
        self.eoj = device.CLASS + bytes((evse.id,))
        self.settings = Settings(evse)
        self.report: EvseReport | None = None
        self.place = place
        self._floor_pct = floor_pct
        none = device.rating(0.0)
        charge = device.rating(evse.charge_w)
        discharge = device.rating(evse.discharge_w)
        self._fixed = {
            0x80: b"\x30",
            0x82: b"\x00\x00R\x00",  # appendix release R
            0xC5: charge,
            0xC6: discharge,
            0xC8: none + charge,
            0xC9: none + discharge,
            0xCA: device.current_range(evse, evse.charge_w),
            0xCB: device.current_range(evse, evse.discharge_w),
            0xCC: device.charger_type(evse),
            0xD2: device.rated_voltage(evse),
            0x9D: property_map(NEWS),
            0x9E: property_map(SETTABLE | {0x81}),
            **_name(station, bytes.fromhex(maker), evse.id),
        }
        # Current and voltage have one number in this class: none for three phases.
        self._changing = _CHANGING - ({0xD4, 0xD5} if evse.ac_phases > 1 else set())
        every = {*self._fixed, *READABLE, *self._changing, 0x81, 0x9F}
        self._fixed[0x9F] = property_map(every)

    def get(self, epc: int) -> bytes | None:
        if epc in self._fixed:
            return self._fixed[epc]
        if epc == 0x81:
            return bytes((self.place,))
        if epc == 0xC7:
            return bytes((device.connection(self.report),))
        if epc in READABLE:
            return self.settings.values()[epc]
        if self.report is None or epc not in self._changing:
            return None
        if epc == 0x88:
            return device.fault(self.report)
        return device.values(self.report, self._floor_pct).get(epc)

    def announced(self, epc: int) -> bytes | None:
        return self.get(epc)

    def put(self, properties: Iterable[Property]) -> bool:
        """All of them or, where one is not served, none: half an order is another."""
        settings, place = copy(self.settings), self.place
        for asked in properties:
            if asked.epc == 0x81 and len(asked.edt) == 1 and asked.edt != b"\xff":
                place = asked.edt[0]
            elif not settings.take(asked.epc, asked.edt):
                return False
        self.settings, self.place = settings, place
        return True

    def news(self) -> dict[int, bytes]:
        """What is announced when it changes, as far as it is known."""
        found = {epc: self.get(epc) for epc in NEWS}
        return {epc: edt for epc, edt in found.items() if edt is not None}
