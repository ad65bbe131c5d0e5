"""The pilot driver: heartbeat, leases, and contactors that stay open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from firmware_bridge.api import PilotOutputs, PilotState
from firmware_bridge.drivers.chargebyte import ChargebytePilot
from firmware_bridge.health import Stats
from firmware_bridge.units import BridgeError
from firmware_bridge.wire.chargebyte import encode_frame
from tests.unit.firmware_bridge.fakes import FakeClock, FakeSerial

CLOSED = PilotOutputs(close_dc=True, chademo_d1=True, lock=True)
OPEN = PilotOutputs(chademo_d1=True, lock=True)
NORMAL = encode_frame(0x07, bytes.fromhex("03e8020000000000"))  # state B, all well
SAFE = encode_frame(0x07, bytes.fromhex("07e8020000000200"))  # communication timeout


class Bench:
    """A driver on a fake line, with an MCU that says NORMAL every 100 ms."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.port = FakeSerial()
        self.stats = Stats("pilot", stale_s=0.5)
        self.pilot = ChargebytePilot(self.port, self.stats, self.clock)

    def deliver(self, data: bytes) -> None:
        self.port.deliver(data, self.clock.now)

    def pass_time(self, seconds: float, state: bytes | None = NORMAL) -> list[bytes]:
        """20 ms ticks; everything the driver sent, oldest first."""
        sent: list[bytes] = []
        for tick in range(round(seconds / 0.02)):
            self.clock.step(0.02)
            if state is not None and tick % 5 == 0:
                self.deliver(state)
            self.pilot.on_timer(self.clock.now)
            sent += self.port.take()
        return sent

    def closed(self) -> None:
        """Bring the contactor to closed, lease 0.3 s from now."""
        self.deliver(NORMAL)
        self.pilot.drive(OPEN, self.clock.now + 0.3)
        self.pilot.drive(CLOSED, self.clock.now + 0.3)
        assert closes(self.port.take()[-1])


def closes(sent: bytes) -> bool:
    """A ChargeControl with contactor 0 closed: byte 2 of the data, bit 0."""
    assert sent[:2] == b"\xa5\x06"
    assert sent[12:14] == b"\xa5\x20"  # both frames, always together
    return bool(sent[4] & 1)


def test_a_change_goes_out_at_once() -> None:
    bench = Bench()
    bench.pilot.drive(OPEN, bench.clock.now + 0.3)
    assert len(bench.port.take()) == 1
    bench.pilot.drive(OPEN, bench.clock.now + 0.3)
    assert bench.port.take() == []  # nothing new
    bench.pilot.drive(PilotOutputs(duty=0.05), bench.clock.now + 0.3)
    assert bench.port.take()[0][2:4].hex() == "8032"


def test_heartbeat_every_100_ms() -> None:
    bench = Bench()
    bench.pilot.drive(OPEN, bench.clock.now + 10)
    bench.port.take()
    assert len(bench.pass_time(1.0)) == 10


def test_lease_end_is_silent_for_the_grace_then_safe() -> None:
    bench = Bench()
    bench.closed()
    end = bench.clock.now + 0.3
    seen: list[tuple[float, bytes]] = []
    while bench.clock.now < end + 0.2:
        seen += [(bench.clock.now, sent) for sent in bench.pass_time(0.02)]
    after = [(at - end, sent) for at, sent in seen if at >= end]
    assert all(closes(sent) for at, sent in seen if at < end)
    assert not any(closes(sent) for _, sent in after)
    assert 0.08 <= after[0][0] <= 0.105  # the stage had its time; never later
    assert after[0][1][14] == 0x20  # d1, d2 off, the lock stays


def test_without_contactors_the_lease_end_is_immediate() -> None:
    bench = Bench()
    bench.deliver(NORMAL)
    bench.pilot.drive(OPEN, bench.clock.now + 0.1)
    bench.port.take()
    bench.clock.step(0.1)
    bench.pilot.on_timer(bench.clock.now)
    assert bench.port.take()[0][14] == 0x20


def test_contactors_stay_open_after_a_lapsed_lease_until_told_to_open() -> None:
    bench = Bench()
    bench.closed()
    bench.pass_time(0.5)
    bench.pilot.drive(CLOSED, bench.clock.now + 0.3)
    assert not closes(bench.port.take()[-1])
    bench.pilot.drive(OPEN, bench.clock.now + 0.3)
    bench.pilot.drive(CLOSED, bench.clock.now + 0.3)
    assert closes(bench.port.take()[-1])


def test_safe_state_of_the_mcu_is_left_with_contactors_open() -> None:
    bench = Bench()
    bench.closed()
    bench.pilot.drive(CLOSED, bench.clock.now + 5)
    bench.deliver(SAFE)
    sent = bench.pass_time(1.0)
    assert sent
    assert not any(closes(frame) for frame in sent)
    reading = bench.pilot.reading()
    assert reading is not None
    assert reading.value.safe_state_reason == "lease lapsed"  # ours, not the MCU's


def test_a_stopped_process_does_not_close_again() -> None:
    """SIGSTOP past the MCU's 300 ms, SIGCONT, and the old command comes again."""
    bench = Bench()
    bench.closed()
    bench.clock.step(0.35)
    bench.pilot.drive(CLOSED, bench.clock.now + 0.3)
    assert not any(closes(frame) for frame in bench.port.take())


def test_held_open_by_the_driver_is_a_safe_state() -> None:
    """An open contactor that nobody asked open must not be taken for a broken one."""
    bench = Bench()
    bench.closed()
    bench.clock.step(0.4)  # the process was stopped: the lease is over
    bench.pilot.drive(CLOSED, bench.clock.now + 0.3)
    bench.deliver(NORMAL)
    reading = bench.pilot.reading()
    assert reading is not None
    assert reading.value.safe_state
    assert reading.value.safe_state_reason == "lease lapsed"
    bench.pilot.drive(OPEN, bench.clock.now + 0.3)
    bench.deliver(NORMAL)
    reading = bench.pilot.reading()
    assert reading is not None
    assert not reading.value.safe_state


def test_lost_mcu_opens_and_health_tells() -> None:
    bench = Bench()
    bench.closed()
    bench.pilot.drive(CLOSED, bench.clock.now + 5)
    assert bench.stats.health(bench.clock.now).ok
    sent = bench.pass_time(0.66, state=None)
    assert all(map(closes, sent))  # the stage goes first
    sent = bench.pass_time(0.2, state=None)
    assert not closes(sent[-1])
    assert not bench.stats.health(bench.clock.now).ok
    reading = bench.pilot.reading()
    assert reading is not None
    assert reading.age_s(bench.clock.now) > 0.5


def test_stop_sends_the_safe_frame_now() -> None:
    bench = Bench()
    bench.closed()
    bench.pilot.stop()
    assert not closes(bench.port.take()[-1])


def test_bad_duty_is_refused_and_nothing_changes() -> None:
    bench = Bench()
    bench.pilot.drive(OPEN, bench.clock.now + 0.3)
    bench.port.take()
    with pytest.raises(BridgeError):
        bench.pilot.drive(PilotOutputs(duty=float("nan")), bench.clock.now + 0.3)
    assert bench.port.take() == []


def test_a_closed_port_is_counted_not_raised() -> None:
    bench = Bench()
    bench.port.down = True
    bench.pilot.drive(OPEN, bench.clock.now + 10)
    bench.pass_time(0.5)
    assert bench.stats.bad >= 5
    bench.port.down = False
    assert bench.pass_time(0.2)


def test_reading_puts_the_frames_together() -> None:
    bench = Bench()
    bench.deliver(encode_frame(0x21, bytes((0x16, 0, 0, 0, 0, 0, 0, 0))))
    bench.deliver(encode_frame(0x08, bytes.fromhex("03e87ffc7ffc7ffc")))
    bench.deliver(encode_frame(0x07, bytes.fromhex("83e8030002000000")))
    reading = bench.pilot.reading()
    assert reading is not None
    assert reading.at_mono == bench.clock.now
    value = reading.value
    assert value.pilot_state is PilotState.C
    assert value.dc_closed is True
    assert value.ac_closed is None
    assert value.temperature_c == 25.0
    assert (value.locked, value.chademo_proximity, value.chademo_permission) == (
        True,
        True,
        True,
    )
    assert value.faults == frozenset()


PINS = encode_frame(0x21, bytes((0x16, 0, 0, 0, 0, 0, 0, 0)))  # plug, k, locked
HEAT = encode_frame(0x08, bytes.fromhex("03e87ffc7ffc7ffc"))


@pytest.mark.parametrize("missing", [PINS, HEAT])
def test_half_of_what_the_board_tells_is_no_reading(missing: bytes) -> None:
    """After a gap ChargeState comes first: that must not look like a pulled plug."""
    bench = Bench()
    bench.deliver(PINS + HEAT + NORMAL)
    whole = bench.pilot.reading()
    assert whole is not None
    assert whole.value.chademo_proximity
    bench.clock.step(0.6)
    bench.deliver((PINS if missing is HEAT else HEAT) + NORMAL)
    assert bench.pilot.reading() is whole  # and it ages
    bench.deliver(missing + NORMAL)
    again = bench.pilot.reading()
    assert again is not None
    assert again.at_mono == bench.clock.now
    assert again.value.chademo_proximity


def test_a_safe_state_opens_even_when_half_is_missing() -> None:
    bench = Bench()
    bench.deliver(PINS)
    bench.closed()
    for state in [NORMAL] * 6 + [SAFE]:
        bench.pilot.drive(CLOSED, bench.clock.now + 0.3)
        sent = bench.pass_time(0.1, state)
        assert closes(sent[-1]) is (state is NORMAL)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("03e80a0000000000", "PilotFault"),  # CP short, bit 43
        ("03e8070000000000", "PilotFault"),  # CP invalid
        ("03e8120000000000", "DiodeFault"),
        ("03e8020700000000", "ProximityFault"),
        ("03e8020000400000", "GroundFailure"),  # RCM tripped
        ("07e8020000001400", "GroundFailure"),
        ("07e8020000000800", "CableOverTempStop"),
        ("07e8020000000b00", "ProximityFault"),
        ("07e8020000000e00", None),  # the diode bit says it
        ("07e8020000001000", None),  # emergency_stop says it
        ("07e8020000000200", None),  # over when the host has spoken
        ("07e8020000000100", "PilotFault"),  # internal: a technician must hear of it
        ("07e8020000000f00", "PilotFault"),  # HV switch
        ("07e8020000000300", "PilotFault"),  # temperature sensor
        ("07e8020000007f00", "PilotFault"),
    ],
)
def test_faults(data: str, fault: str | None) -> None:
    bench = Bench()
    bench.deliver(encode_frame(0x07, bytes.fromhex(data)))
    reading = bench.pilot.reading()
    assert reading is not None
    assert reading.value.faults == ({fault} if fault else set())


def test_lock_fault() -> None:
    bench = Bench()
    bench.deliver(encode_frame(0x21, bytes((0x08, 0, 0, 0, 0, 0, 0, 0))))
    bench.deliver(NORMAL)
    reading = bench.pilot.reading()
    assert reading is not None
    assert reading.value.faults == {"ConnectorLockFailure"}


def test_welded_contactor() -> None:
    bench = Bench()
    closed = encode_frame(0x07, bytes.fromhex("03e8020002000000"))
    bench.pilot.drive(OPEN, bench.clock.now + 5)
    bench.pass_time(0.4, closed)
    reading = bench.pilot.reading()
    assert reading is not None
    assert reading.value.faults == frozenset()  # contactors need a moment
    bench.pass_time(0.4, closed)
    reading = bench.pilot.reading()
    assert reading is not None
    assert reading.value.faults == {"EVSEContactorFault"}


def test_garbage_is_counted() -> None:
    bench = Bench()
    bench.deliver(b"\xa5" * 40)
    assert bench.stats.bad == 1
    assert bench.pilot.reading() is None


RELAY_OPEN = encode_frame(0x23, bytes((0x80, 0, 0, 0, 0, 0, 0, 0)))
RELAY_SHUT = encode_frame(0x23, bytes((0x60, 0, 0, 0, 0, 0, 0, 0)))
ISLAND = PilotOutputs(close_dc=True, open_grid=True, form_grid=True)


def grid_words(sent: list[bytes]) -> list[int]:
    """First data byte of each GridControl."""
    found = []
    for data in sent:
        parts = [data[n : n + 12] for n in range(0, len(data), 12)]
        found += [part[2] for part in parts if part[1] == 0x22]
    return found


def test_a_board_without_the_relay_is_not_asked_for_one() -> None:
    bench = Bench()
    bench.deliver(NORMAL)
    bench.pilot.drive(replace(OPEN, open_grid=True), bench.clock.now + 0.3)
    assert grid_words(bench.port.take()) == []
    reading = bench.pilot.reading()
    assert reading is not None
    assert reading.value.grid_open is None


def test_the_relay_and_its_mirror() -> None:
    bench = Bench()
    seen = []
    for told in (RELAY_SHUT, RELAY_OPEN):
        bench.deliver(told + NORMAL)
        reading = bench.pilot.reading()
        assert reading is not None
        seen.append(reading.value.grid_open)
    assert seen == [False, True]
    bench.pilot.drive(replace(OPEN, open_grid=True), bench.clock.now + 0.3)
    bench.pilot.drive(ISLAND, bench.clock.now + 0.3)
    assert grid_words(bench.port.take()) == [0x80, 0xC0]


def test_an_open_relay_is_not_closed_before_the_daemon_has_seen_it() -> None:
    """A daemon that starts in the middle of a blackout does not know it yet."""
    bench = Bench()
    bench.deliver(RELAY_OPEN + NORMAL)
    bench.pilot.drive(OPEN, bench.clock.now + 10.0)
    sent = bench.pass_time(0.4, RELAY_OPEN + NORMAL)
    assert set(grid_words(sent)) == {0x80}
    assert grid_words(bench.pass_time(0.3, RELAY_OPEN + NORMAL))[-1] == 0x00


def test_a_dead_lease_ends_the_island_and_keeps_house_and_grid_apart() -> None:
    bench = Bench()
    bench.deliver(RELAY_OPEN + NORMAL)
    bench.pilot.drive(replace(OPEN, open_grid=True), bench.clock.now + 0.3)
    bench.pilot.drive(ISLAND, bench.clock.now + 0.1)
    bench.port.take()
    sent = bench.pass_time(0.4, RELAY_OPEN + NORMAL)
    assert grid_words(sent)[-1] == 0x80
    assert not sent[-1][4] & 1  # the contactor is open


def test_a_mirror_that_is_not_told_any_more_is_no_reading() -> None:
    bench = Bench()
    bench.deliver(RELAY_OPEN + NORMAL)
    whole = bench.pilot.reading()
    bench.clock.step(0.6)
    bench.deliver(NORMAL)
    assert bench.pilot.reading() is whole
