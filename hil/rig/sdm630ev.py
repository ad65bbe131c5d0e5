"""Eastron SDM630-EV: an SDM630 that signs transactions as OCMF. Pure.

Registers as in EVerest's module Eastron_SDM630EV; text as in the public OCMF
specification. That import and export are both in the text is an assumption. The key is
made of the seed: a test key, never a secret.
"""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hil.rig import modbus, sdm630
from hil.rig.faults import Faults
from hil.rig.sdm630 import Sdm630

KINDS = {
    **sdm630.KINDS,
    "no_signature": "the crypto chip fails: signature status `code` (default 18)",
    "power_loss": "the meter lost its mains: a transaction that runs is interrupted",
}
SIGN_S = 0.4
STATUS, CONTROL, SIGNATURE_STATUS = 0x17A1, 0x17A2, 0x17AC
FORMAT, ALGORITHM, TIME_ZONE, TIME = 0x17B0, 0x17B1, 0xEFFE, 0xF000
ID_STATUS, ID_FLAGS, ID_TYPE, ID_DATA = 0x1800, 0x1802, 0x1804, 0x1805
SIGNATURE, DOCUMENT, KEY = 0x1D00, 0x2100, 0x2300
_WIDTHS = {  # what may be written, and in how many registers
    CONTROL: 1, FORMAT: 1, ALGORITHM: 1, TIME_ZONE: 2, TIME: 4, ID_STATUS: 1,
    ID_FLAGS: 2, ID_TYPE: 1, ID_DATA: 20, 0x1819: 1, 0x181A: 20,
}  # fmt: skip
_TYPES = {0: "NONE", 3: "ISO14443", 0x0A: "CENTRAL", 0x0D: "LOCAL"}
_FLAGS = {0: "RFID_NONE", 4: "OCPP_NONE", 12: "ISO15118_NONE", 14: "PLMN_NONE"}


class Sdm630Ev(Sdm630):
    """One transaction at a time; the last document stays until the next one."""

    def __init__(self, faults: Faults, seed: int, serial: str, **more: float) -> None:
        super().__init__(faults, seed, **more)
        self.serial = serial
        self._key = ec.derive_private_key(0x5D630E0000 + seed, ec.SECP256R1())
        point = self._key.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
        self._holding: dict[int, int] = {STATUS: 0, SIGNATURE_STATUS: 0}
        self._put(KEY, point[1:])
        self._page = 0
        self._now = 0.0
        self._clock: tuple[datetime, float] | None = None  # as set, and when
        self._begin: list[dict[str, Any]] = []
        self._sign_at: float | None = None

    def step(
        self, now: float, dt_s: float, phases_w: tuple[float, float, float],
        voltage_v: float, frequency_hz: float,
    ) -> None:  # fmt: skip
        super().step(now, dt_s, phases_w, voltage_v, frequency_hz)
        self._now = now
        if "power_loss" in self.faults and self._holding[STATUS] == 1:
            self._holding[STATUS] = 2
        if self._sign_at is not None and now >= self._sign_at:
            self._sign_at = None
            self._sign()

    def read(self, function: int, address: int, count: int) -> list[int]:
        if function == modbus.READ_INPUT:
            return super().read(function, address, count)
        if count > 80:
            raise modbus.ModbusError(modbus.ILLEGAL_VALUE)
        if not 0x1770 <= address <= 0x2400 - count and address not in (TIME_ZONE, TIME):
            raise modbus.ModbusError(modbus.ILLEGAL_ADDRESS)
        return [self._holding.get(address + n, 0) for n in range(count)]

    def write(self, address: int, values: list[int]) -> None:
        """One parameter a message, whole."""
        if _WIDTHS.get(address) != len(values):
            raise modbus.ModbusError(modbus.ILLEGAL_ADDRESS)
        self._holding |= {address + n: value for n, value in enumerate(values)}
        if address == TIME:
            self._set_clock(struct.pack(">4H", *values))
        elif address == CONTROL and values == [1] and self._holding[STATUS] == 0:
            self._holding |= {STATUS: 1, SIGNATURE_STATUS: 1}
            self._begin = self._readings("B")
        elif address == CONTROL and values == [2] and self._holding[STATUS] != 0:
            self._holding[SIGNATURE_STATUS] = 2
            self._sign_at = self._now + SIGN_S

    def _set_clock(self, bcd: bytes) -> None:
        second, minute, hour, _, day, month, year, century = (
            10 * (byte >> 4) + (byte & 15) for byte in bcd
        )
        try:
            at = datetime(
                100 * century + year, month, day, hour, minute, second, 0, UTC
            )
        except ValueError as error:
            raise modbus.ModbusError(modbus.ILLEGAL_VALUE) from error
        self._clock = at, self._now

    def _readings(self, reason: str) -> list[dict[str, Any]]:
        at, since = self._clock or (datetime(2000, 1, 1, tzinfo=UTC), self._now)
        moment = at + timedelta(seconds=self._now - since)
        stamp = f"{moment:%Y-%m-%dT%H:%M:%S},{moment.microsecond // 1000:03d}+0000"
        state = "U" if self._clock is None else "S"
        pairs = (("1-0:1.8.0", self.import_kwh), ("1-0:2.8.0", self.export_kwh))
        return [
            {"TM": f"{stamp} {state}", "TX": reason, "RV": round(kwh, 4), "RI": obis,
             "RU": "kWh", "RT": "AC", "EF": "", "ST": "G"}
            for obis, kwh in pairs
        ]  # fmt: skip

    def _sign(self) -> None:
        status, self._holding[STATUS] = self._holding[STATUS], 0
        if "no_signature" in self.faults or self._clock is None:
            code = self.faults.number("no_signature", "code", 18)
            self._holding[SIGNATURE_STATUS] = 4 if self._clock is None else int(code)
            return
        self._page += 1
        flags = self._holding.get(ID_FLAGS, 0) << 16 | self._holding.get(
            ID_FLAGS + 1, 0
        )
        identity = self._text(ID_DATA, 20)
        fields = {
            "FV": "1.0", "GI": "Eastron SDM630-EV (bench)", "GS": self.serial,
            "PG": f"T{self._page}", "MV": "Eastron", "MM": "SDM630-EV",
            "MS": self.serial, "IS": self._holding.get(ID_STATUS) == 0,
            "IF": [name for bit, name in _FLAGS.items() if flags >> bit & 1],
            "IT": _TYPES.get(self._holding.get(ID_TYPE, 0), "UNDEFINED"),
            "ID": identity,
            "RD": self._begin + self._readings("E" if status == 1 else "P"),
        }  # fmt: skip
        payload = json.dumps(fields, separators=(",", ":"))
        signature = self._key.sign(payload.encode(), ec.ECDSA(hashes.SHA256()))
        self._put(DOCUMENT + 1, f"OCMF|{payload}".encode())
        self._put(SIGNATURE + 1, signature)
        self._holding |= {
            DOCUMENT: len(payload) + 5,
            SIGNATURE: len(signature),
            SIGNATURE_STATUS: 3,
        }

    def _text(self, address: int, count: int) -> str:
        words = (self._holding.get(address + n, 0) for n in range(count))
        data = b"".join(word.to_bytes(2, "big") for word in words)
        return data.split(b"\0")[0].decode("ascii", "replace")

    def _put(self, address: int, data: bytes) -> None:
        words = struct.unpack(
            f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)
        )
        self._holding |= {address + n: word for n, word in enumerate(words)}
