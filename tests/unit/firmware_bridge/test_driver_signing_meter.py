"""The signing meter's driver against the bench's meter: a session is a transaction;
whatever fails the measuring goes on, no document is lost or given to another one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from chargerd.ocpp.table.metering import SIGNING_METERS
from chargerd.records import ocmf
from firmware_bridge.api import Meter, SignedReading, SigningMeter
from firmware_bridge.drivers import catalog
from firmware_bridge.drivers.eastron_sdm630 import EastronMeter
from firmware_bridge.drivers.eastron_sdm630ev import SigningEastron
from firmware_bridge.health import Stats
from firmware_bridge.transport.ports import Ports
from firmware_bridge.units import BridgeError
from firmware_bridge.wire import sdm630ev as wire
from hil.rig import modbus, sdm630ev
from hil.rig.faults import Faults
from hil.rig.sdm630ev import Sdm630Ev
from tests.unit.firmware_bridge.fakes import FakeClock, FakeLink
from tests.unit.firmware_bridge.specs import Device

START = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
STEP_S = 0.2


class Line:
    """A Modbus link that ends in the bench's meter."""

    def __init__(self, meter: Sdm630Ev) -> None:
        self._meter = meter
        self.refused: set[int] = set()  # addresses that are not answered

    async def read_input(self, unit: int, address: int, count: int) -> list[int]:
        return self._read(modbus.READ_INPUT, address, count)

    async def read_holding(self, unit: int, address: int, count: int) -> list[int]:
        return self._read(modbus.READ_HOLDING, address, count)

    async def write(self, unit: int, address: int, values: list[int]) -> None:
        self._ready(address)
        self._meter.write(address, values)

    def _read(self, function: int, address: int, count: int) -> list[int]:
        self._ready(address)
        return self._meter.read(function, address, count)

    def _ready(self, address: int) -> None:
        if address in self.refused:
            raise BridgeError("no answer")


class Bench:
    """Meter, line and driver on one clock."""

    def __init__(self, start_utc: datetime = START) -> None:
        self.start_utc = start_utc
        self.clock = FakeClock(0.0)
        self.faults = Faults("evse1-meter", sdm630ev.KINDS)
        self.meter = Sdm630Ev(self.faults, 1, "SN-7")
        self.line = Line(self.meter)
        self.watts = 0.0
        self.driver = self.new_driver()
        self.session = ""
        self.run(1.0)

    def new_driver(self) -> SigningEastron:
        return SigningEastron(
            self.line, 1, Stats("m"), clock=self.clock,
            utc=lambda: self.start_utc + timedelta(seconds=self.clock.now),
        )  # fmt: skip

    def run(self, seconds: float) -> SignedReading:
        for _ in range(round(seconds / STEP_S)):
            self.clock.step(STEP_S)
            third = self.watts / 3
            phases = (third, third, third)
            self.meter.step(self.clock.now, STEP_S, phases, 230.0, 50.0)
            self.driver.follow(self.session)
            asyncio.run(self.driver.poll())
        return self.driver.signed().value


def test_it_is_a_signing_meter_and_the_other_one_is_not() -> None:
    bench = Bench()
    assert isinstance(bench.driver, SigningMeter)
    plain: Meter = EastronMeter(FakeLink(), 1, Stats("m"))
    assert not isinstance(plain, SigningMeter)


@pytest.mark.parametrize("name", catalog.METERS)
def test_the_device_model_knows_which_drivers_sign(name: str) -> None:
    spec = Device(name, "modbus-tcp:127.0.0.1:502")
    meter = catalog.make(catalog.METERS, spec, Ports(), Stats("m"))
    assert isinstance(meter, SigningMeter) == (name in SIGNING_METERS)


def test_a_session_is_one_signed_text_of_both_directions() -> None:
    bench = Bench()
    bench.session, bench.watts = "S-1", 7_200.0
    assert bench.run(60).open_id == "S-1"
    bench.watts = -3_600.0
    bench.run(60)
    bench.session, bench.watts = "", 0.0
    told = bench.run(3.0)
    assert (told.session_id, told.open_id, told.fault) == ("S-1", "", "")
    found = ocmf.parse(told.text)
    assert ocmf.verify(found, told.public_key) == ""
    assert found.fields["ID"] == "S-1"
    assert (found.fields["IS"], found.fields["IT"]) == (True, "LOCAL")
    moved = ocmf.energy(found)
    assert moved.import_wh == pytest.approx(120.0, abs=1.0)
    assert moved.export_wh == pytest.approx(60.0, abs=1.0)
    assert moved.good
    first = found.values[0]
    assert abs((first.at - START).total_seconds() - 1.2) < 1.0
    assert first.clock == "S"


def test_another_session_ends_the_one_before() -> None:
    bench = Bench()
    bench.session = "S-1"
    bench.run(10)
    bench.session = "S-2"
    first = bench.run(1.2)
    assert (first.session_id, first.open_id) == ("S-1", "S-2")
    assert ocmf.parse(first.text).fields["ID"] == "S-1"


def test_a_transaction_from_before_the_start_is_ended_and_told() -> None:
    bench = Bench()
    bench.session = "S-1"
    bench.run(10)
    bench.driver = bench.new_driver()  # the daemon was killed
    bench.session = ""
    told = bench.run(3.0)
    assert told.session_id == ""
    assert ocmf.parse(told.text).fields["ID"] == "S-1"


def test_a_power_loss_of_the_meter_costs_no_energy() -> None:
    """The session goes on in a second transaction."""
    bench = Bench()
    bench.session = "S-1"
    bench.run(10)
    bench.faults.set("power_loss", True, {})
    bench.run(0.2)
    bench.faults.set("power_loss", False, {})
    told = bench.run(10)
    assert (told.session_id, told.open_id) == ("S-1", "S-1")
    found = ocmf.parse(told.text)
    assert found.values[-1].reason == "P"
    assert ocmf.verify(found, told.public_key) == ""


def test_a_failed_signature_is_told_and_measuring_goes_on() -> None:
    bench = Bench()
    bench.session = "S-1"
    bench.run(10)
    bench.faults.set("no_signature", True, {})
    bench.session = ""
    told = bench.run(3.0)
    assert (told.text, told.session_id) == ("", "S-1")
    assert "signature" in told.fault
    reading = bench.driver.reading()
    assert reading is not None
    assert reading.at_mono == bench.clock.now
    bench.faults.set("no_signature", False, {})
    bench.session = "S-2"
    assert bench.run(3.0).open_id == "S-2"


@pytest.mark.parametrize("dead", [wire.DOCUMENT + 36, wire.SIGNATURE_STATUS])
def test_a_document_is_asked_for_until_its_time_is_over(dead: int) -> None:
    bench = Bench()
    bench.session = "S-1"
    bench.run(10)
    bench.session = ""
    bench.line.refused = {dead}
    assert bench.run(3.0).fault == "no answer"
    bench.line.refused = set()
    assert ocmf.parse(bench.run(2.0).text).fields["ID"] == "S-1"

    bench.session = "S-2"
    bench.run(10)
    bench.session = ""
    bench.line.refused = {dead}
    told = bench.run(12.0)
    assert (told.text, told.session_id) == ("", "S-2")
    reading = bench.driver.reading()
    assert reading is not None
    assert reading.age_s(bench.clock.now) == 0.0


def test_a_meter_that_cannot_sign_still_measures() -> None:
    bench = Bench()
    bench.line.refused = {wire.PUBLIC_KEY}
    bench.driver = bench.new_driver()
    bench.session = "S-1"
    told = bench.run(12.0)
    assert (told.text, told.open_id, told.fault) == ("", "", "no answer")
    assert bench.driver.reading() is not None
    bench.line.refused = set()
    assert bench.run(7.0).open_id == "S-1"


def test_a_clock_that_nobody_set_is_not_given_to_the_meter() -> None:
    """The meter would sign a wrong time; so it says that it cannot."""
    bench = Bench(START.replace(year=1970))
    bench.session = "S-1"
    bench.run(10)
    bench.session = ""
    told = bench.run(3.0)
    assert (told.text, told.session_id) == ("", "S-1")
    assert "its clock was not set" in told.fault


def test_words_of_the_wire() -> None:
    at = datetime(2026, 8, 7, 13, 22, 4, tzinfo=UTC)  # a Friday
    assert wire.time_registers(at) == [0x0422, 0x1305, 0x0708, 0x2620]
    assert wire.text_registers("AB") == [0x4142, *[0] * 19]
    with pytest.raises(BridgeError, match="41 characters"):
        wire.text_registers("x" * 41)
    whole = 'OCMF|{"FV":"1.0"}|{"SD":"AA"}'
    assert wire.document(whole.encode() + b"\0", b"") == whole
    signed = '|{"SA":"ECDSA-secp256r1-SHA256","SD":"DEAD"}'
    for given in (b'OCMF|{"FV":"1.0"}', b'{"FV":"1.0"}'):
        assert wire.document(given, b"\xde\xad") == 'OCMF|{"FV":"1.0"}' + signed
    with pytest.raises(BridgeError, match="no text"):
        wire.document(b"\xff", b"")
    assert "clock" in wire.failure(4)
    assert "0xa" in wire.failure(0x0A)
    assert [wire.failure(code) for code in range(4)] == [""] * 4
