"""Driver of the Eastron SDM630-EV on Modbus: `api.SigningMeter`.

Measures as `EastronMeter`; beside it, begins and ends the meter's own transactions and
fetches what it signed. Signing that fails never stops the measuring. Register map from
a public driver, not verified on hardware.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from firmware_bridge.api import MeterReading, Reading, SignedReading
from firmware_bridge.drivers.eastron_sdm630 import TCP_POLL_S, EastronMeter
from firmware_bridge.drivers.polling import poll_for_ever
from firmware_bridge.health import Stats
from firmware_bridge.transport.modbus import RegisterDevice
from firmware_bridge.units import BridgeError
from firmware_bridge.wire import sdm630ev as wire

SIGN_WITHIN_S = 10.0
LOOK_EVERY_S = 5.0  # at a transaction that runs; and the pause after a failure
CLOCK_SET_YEAR = 2026  # before: a machine without a clock of its own, just started
MEASURE_WITHIN_S = 1.0  # while a long document is fetched


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SigningEastron:
    """`api.SigningMeter` on one unit of a Modbus link."""

    def __init__(
        self,
        link: RegisterDevice,
        unit: int,
        stats: Stats,
        poll_s: float = TCP_POLL_S,
        clock: Callable[[], float] = time.monotonic,
        utc: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._meter = EastronMeter(link, unit, stats, poll_s, clock=clock)
        self._link, self._unit, self._stats = link, unit, stats
        self._poll_s, self._clock, self._utc = poll_s, clock, utc
        self._wanted = ""  # the session that should run, as `follow` says
        self._open: str | None = None  # that of the meter's transaction; None: no such
        self._end_by_mono: float | None = None  # ended, to be signed until then
        self._key = ""  # "" until the meter is set up
        self._look_mono = 0.0
        self._signed = Reading(SignedReading(), clock())

    def reading(self) -> Reading[MeterReading] | None:
        return self._meter.reading()

    def signed(self) -> Reading[SignedReading]:
        return self._signed

    def follow(self, session_id: str) -> None:
        """Carried out by the next polls."""
        self._wanted = session_id

    async def run(self) -> None:
        self._key = ""  # it may be another meter, or one that lost its settings
        await poll_for_ever(self.poll, self._poll_s, self._stats, self._clock)

    async def poll(self) -> None:
        """Measure; then one step of the transaction."""
        await self._meter.poll()
        try:
            await self._step()
        except BridgeError as error:
            self._failed(str(error))

    def _failed(self, why: str) -> None:
        """Set up anew after a pause; a document is asked for until its time is over."""
        self._key = ""
        self._look_mono = self._clock() + LOOK_EVERY_S
        if self._end_by_mono is not None and self._clock() >= self._end_by_mono:
            self._over(fault=why)
        else:
            self._tell(fault=why)

    async def _step(self) -> None:
        now = self._clock()
        if self._end_by_mono is not None:
            await self._collect(self._end_by_mono)
        elif not self._key:
            if now >= self._look_mono:
                await self._set_up()
        elif self._open is None:
            if self._wanted and now >= self._look_mono:
                await self._begin(self._wanted)
        elif self._open != self._wanted:
            await self._end()
        elif now >= self._look_mono:
            await self._look()

    async def _set_up(self) -> None:
        """Key and settings; a transaction that nobody here began is ended."""
        key = await self._read(wire.PUBLIC_KEY, wire.PUBLIC_KEY_REGISTERS)
        await self._write(wire.SIGNATURE_FORMAT, [wire.FORMAT_HEX_DER])
        await self._write(wire.SIGNATURE_ALGORITHM, [wire.ALGORITHM_SECP256R1])
        if await self._read(wire.SIGNATURE_ALGORITHM, 1) != [wire.ALGORITHM_SECP256R1]:
            raise BridgeError("the meter does not take ECDSA-secp256r1: it cannot sign")
        await self._write(wire.TIME_ZONE, [0, 0])
        await self._set_clock()
        self._key = wire.public_key(key)
        self._tell()
        status = await self._status()
        if self._open is None and status is not wire.Status.IDLE:
            self._open = ""
            await self._end()

    async def _begin(self, session_id: str) -> None:
        """The clock first: without it the meter refuses to sign at the end."""
        self._look_mono = self._clock() + LOOK_EVERY_S
        identity = wire.text_registers(session_id)
        await self._set_clock()
        await self._write(wire.ID_STATUS, [wire.ID_ASSIGNED])
        await self._write(wire.ID_FLAGS, [wire.NO_FLAGS >> 16, wire.NO_FLAGS & 0xFFFF])
        await self._write(wire.ID_TYPE, [wire.ID_LOCAL])
        await self._write(wire.ID_DATA, identity)
        await self._write(wire.CONTROL, [wire.BEGIN])
        self._open = session_id
        self._tell()

    async def _set_clock(self) -> None:
        """From the machine's, unless nobody has set that yet: the meter's is better."""
        now_utc = self._utc()
        if now_utc.year >= CLOCK_SET_YEAR:
            await self._write(wire.TIME, wire.time_registers(now_utc))

    async def _look(self) -> None:
        """The meter may have lost its mains meanwhile: what it has is fetched, and the
        session goes on in another transaction."""
        self._look_mono = self._clock() + LOOK_EVERY_S
        status = await self._status()
        if status is wire.Status.IDLE:
            self._open = None
            self._tell(fault="the meter did not begin, or forgot, its transaction")
        elif status is not wire.Status.RUNNING:
            await self._end()

    async def _end(self) -> None:
        await self._write(wire.CONTROL, [wire.END])
        self._end_by_mono = self._clock() + SIGN_WITHIN_S

    async def _collect(self, end_by_mono: float) -> None:
        """The document, as soon as it is signed."""
        (code,) = await self._read(wire.SIGNATURE_STATUS, 1)
        if code == wire.Signing.DONE:
            self._over(await self._document())
        elif fault := wire.failure(code):
            self._over(fault=fault)
        elif self._clock() >= end_by_mono:
            self._over(fault=f"the meter did not sign within {SIGN_WITHIN_S:.0f} s")

    async def _document(self) -> str:
        given = await self._bytes(
            wire.DOCUMENT_LENGTH, wire.DOCUMENT, wire.DOCUMENT_MAX
        )
        signature = await self._bytes(
            wire.SIGNATURE_LENGTH, wire.SIGNATURE, wire.SIGNATURE_MAX
        )
        return wire.document(given, signature)

    def _over(self, text: str = "", fault: str = "") -> None:
        """The transaction has ended, with its text or without."""
        key = self._key or self._signed.value.public_key
        value = SignedReading(text, self._open or "", key, "", fault)
        self._open = self._end_by_mono = None
        self._look_mono = 0.0
        self._signed = Reading(value, self._clock())

    def _tell(self, fault: str = "") -> None:
        """The newest text stays; what is said of the transaction is new."""
        old = self._signed.value
        value = SignedReading(
            old.text, old.session_id, self._key or old.public_key, self._open or "",
            fault,
        )  # fmt: skip
        self._signed = Reading(value, self._clock())

    async def _status(self) -> wire.Status:
        (code,) = await self._read(wire.STATUS, 1)
        try:
            return wire.Status(code)
        except ValueError as error:
            raise BridgeError(f"the meter's transaction has status {code}") from error

    async def _bytes(self, length_at: int, address: int, longest: int) -> bytes:
        """A field behind its length, piece by piece: measuring goes on between them."""
        (length,) = await self._read(length_at, 1)
        if not 0 < length <= longest:
            raise BridgeError(
                f"{length} bytes at {address:04X}; 1 to {longest} allowed"
            )
        registers: list[int] = []
        left = (length + 1) // 2
        while left:
            count = min(left, wire.READ_MAX)
            registers += await self._read(address + len(registers), count)
            left -= count
            measured = self._meter.reading()
            if measured is None or measured.age_s(self._clock()) > MEASURE_WITHIN_S:
                await self._meter.poll()
        return wire.octets(registers, length)

    async def _read(self, address: int, count: int) -> list[int]:
        return await self._link.read_holding(self._unit, address, count)

    async def _write(self, address: int, values: list[int]) -> None:
        await self._link.write(self._unit, address, values)
