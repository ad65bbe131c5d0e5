"""CHAdeMO frames both ways: every byte, bit, scale and sign."""

from __future__ import annotations

import pytest

from chargerd.vehicle.chademo.frames import (
    BatteryLimits,
    BatteryVoltage,
    ChademoError,
    ChargeEstimate,
    DischargeEstimate,
    DischargeLimits,
    ExtendedRequest,
    MakerOption,
    StationCaps,
    StationDischarge,
    StationExtended,
    StationFrame,
    StationSequence,
    StationStatus,
    VehicleFrame,
    VehicleStatus,
    decode,
    encode,
    levels_pct,
    soc_pct,
)


def status(**values: object) -> VehicleStatus:
    plain: dict[str, object] = {
        "protocol": 2,
        "target_voltage_v": 410.0,
        "request_a": 0.0,
        "faults": frozenset(),
        "enabled": False,
        "not_in_park": False,
        "system_fault": False,
        "contactor_open": False,
        "normal_stop": False,
        "discharge_compatible": False,
        "charged_rate": 60,
    }
    return VehicleStatus(**(plain | values))  # type: ignore[arg-type]


VEHICLE = [
    (0x100, "0500fa00b3016400", BatteryLimits(5.0, 250.0, 435.0, 100)),
    (0x101, "00ff3c1e00de0000", ChargeEstimate(3600.0, 1800.0, 22_200.0)),
    (0x101, "000c3c1e00000000", ChargeEstimate(120.0, 1800.0, None)),
    (0x102, "029a010000003c00", status()),
    (0x102, "029a011e00013c00", status(request_a=30.0, enabled=True)),
    (0x102, "029a01ff00013c00", status(request_a=None, enabled=True)),
    (0x102, "029a010001003c00", status(faults=frozenset({"over_voltage"}))),
    (0x102, "029a010002003c00", status(faults=frozenset({"under_voltage"}))),
    (0x102, "029a010004003c00", status(faults=frozenset({"current_deviation"}))),
    (0x102, "029a010008003c00", status(faults=frozenset({"over_temperature"}))),
    (0x102, "029a010010003c00", status(faults=frozenset({"voltage_deviation"}))),
    (0x102, "029a0100e0003c00", status()),  # bits 5 to 7 of 102.4 mean nothing
    (0x102, "029a010000023c00", status(not_in_park=True)),
    (0x102, "029a010000043c00", status(system_fault=True)),
    (0x102, "029a010000083c00", status(contactor_open=True)),
    (0x102, "029a010000103c00", status(normal_stop=True)),
    (0x102, "029a010000803c00", status(discharge_compatible=True)),
    (0x103, "6801000000000000", BatteryVoltage(360.0)),
    (0x110, "05c8000000000000", ExtendedRequest(True, False, True, 200.0)),
    (0x110, "0200000000000000", ExtendedRequest(False, True, False, 0.0)),
    (0x200, "ff000000fa00431e", DischargeLimits(0.0, 250.0, 0x43, 30)),
    (0x200, "f0000000fa000a50", DischargeLimits(-15.0, 250.0, 10, 80)),
    (0x200, "00000000fa000a50", DischargeLimits(-255.0, 250.0, 10, 80)),
    (0x201, "0278006400000000", DischargeEstimate(2, 120, 10_000.0)),
    (0x700, "0b01020304050607", MakerOption(0x0B, bytes(range(1, 8)))),
]


@pytest.mark.parametrize(("frame_id", "data", "expected"), VEHICLE)
def test_vehicle_frames(frame_id: int, data: str, expected: VehicleFrame) -> None:
    assert decode(frame_id, bytes.fromhex(data)) == expected


@pytest.mark.parametrize(
    ("frame_id", "data"),
    [
        (0x100, "0000000000"),  # short
        (0x102, "029a010000003c0000"),  # long
        (0x200, ""),
        (0x100, "0000dd05dd056400"),  # 1501 V
        (0x100, "00000000ffff6400"),
        (0x102, "02ffff0000003c00"),
        (0x103, "ffff000000000000"),
        (0x200, "ff000000ffff0000"),
        (0x101, "00ff3c1e00112700"),  # 1,000.1 kWh
        (0x110, "00e9030000000000"),  # 1001 A
    ],
)
def test_impossible_vehicle_frames_are_refused(frame_id: int, data: str) -> None:
    with pytest.raises(ChademoError, match=f"{frame_id:X}"):
        decode(frame_id, bytes.fromhex(data))


def test_highest_values_are_taken() -> None:
    assert decode(0x103, bytes.fromhex("dc05000000000000")) == BatteryVoltage(1500.0)
    assert decode(0x101, bytes.fromhex("0000000000102700")) == ChargeEstimate(
        0.0, 0.0, 1_000_000.0
    )


@pytest.mark.parametrize("frame_id", [0x202, 0x108, 0x109, 0x7FF, 0])
def test_ids_of_others_are_not_ours(frame_id: int) -> None:
    assert decode(frame_id, bytes(8)) is None
    assert decode(frame_id, b"") is None


def told(**values: object) -> StationStatus:
    return StationStatus(protocol=2, **values)  # type: ignore[arg-type]


STATION = [
    (StationCaps(500.0, 15.0, 435.0), 0x108, "01f4010fb3010000"),
    (StationCaps(500.0, 15.9, 435.0, False), 0x108, "00f4010fb3010000"),
    (StationCaps(500.0, 0.0, 435.0), 0x108, "01f40100b3010000"),
    (StationCaps(500.0, 400.0, 435.0), 0x108, "01f401feb3010000"),
    (told(), 0x109, "020000000020ffff"),
    (told(voltage_v=350.4, current_a=14.5), 0x109, "025e010e0020ffff"),
    (told(current_a=-14.0), 0x109, "020000000020ffff"),  # never a discharge current
    (told(discharge_compatible=True), 0x109, "020000000120ffff"),
    (told(charging=True, stopped=False), 0x109, "020000000001ffff"),
    (told(malfunction=True), 0x109, "020000000022ffff"),
    (told(locked=True), 0x109, "020000000024ffff"),
    (told(incompatible=True), 0x109, "020000000028ffff"),
    (told(system_malfunction=True), 0x109, "020000000030ffff"),
    (told(remaining_s=600.0), 0x109, "0200000000203c00"),
    (told(remaining_s=0.0), 0x109, "0200000000200000"),
    (told(remaining_s=7200.0), 0x109, "020000000020ff78"),
    (StationExtended(), 0x118, "0000000000000000"),
    (StationExtended(True, False, True), 0x118, "0500000000000000"),
    (StationDischarge(0.0, 150.0, -30.0, 250.0), 0x208, "ff9600e10000fa00"),
    (StationDischarge(-15.2, 150.0, -30.0, 250.0), 0x208, "f09600e10000fa00"),
    (StationDischarge(12.0, 150.0, -30.0, 250.0), 0x208, "ff9600e10000fa00"),
    (StationSequence(1, 300), 0x209, "012c010000000000"),
    (MakerOption(7, b"\1\2"), 0x708, "0701020000000000"),
]


@pytest.mark.parametrize(("frame", "frame_id", "data"), STATION)
def test_station_frames(frame: StationFrame, frame_id: int, data: str) -> None:
    assert encode(frame) == (frame_id, bytes.fromhex(data))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1e308, 1e308])
def test_encoding_never_raises(bad: float) -> None:
    for frame in (
        StationCaps(bad, bad, bad),
        StationStatus(2, bad, bad, remaining_s=bad),
        StationDischarge(bad, bad, bad, bad),
    ):
        assert len(encode(frame)[1]) == 8


@pytest.mark.parametrize(
    ("constant", "rate", "expected"),
    [
        (100, 60, 60.0),
        (240, 120, 50.0),  # 102.6 / 100.6
        (255, 51, 20.0),
        (100, 0, 0.0),
        (0, 5, None),
        (100, 101, None),
    ],
)
def test_state_of_charge(constant: int, rate: int, expected: float | None) -> None:
    assert soc_pct(constant, rate) == expected


@pytest.mark.parametrize(
    ("raw", "has_201", "capacity_wh", "expected"),
    [
        ((30, 80), True, 22_200.0, (30.0, 80.0)),
        ((30, 80), True, None, (30.0, 80.0)),
        ((30, 0), True, 22_200.0, (30.0, None)),  # 0 = unused
        # one value above 100 tells the unit of both (seen in a real car)
        ((0x43, 0xB2), True, 22_200.0, (30.18, 80.18)),
        ((0x43, 0xB2), True, None, (None, None)),
        # no 201: older than V2H guideline 1.1, always 0.1 kWh
        ((67, 90), False, 22_200.0, (30.18, 40.54)),
        ((67, 0), False, 22_200.0, (30.18, None)),
        ((67, 90), False, None, (None, None)),
    ],
)
def test_level_units(
    raw: tuple[int, int],
    has_201: bool,
    capacity_wh: float | None,
    expected: tuple[float | None, float | None],
) -> None:
    limits = DischargeLimits(0.0, 250.0, *raw)
    found = levels_pct(limits, has_201=has_201, capacity_wh=capacity_wh)
    assert found == tuple(
        e if e is None else pytest.approx(e, abs=0.01) for e in expected
    )
