"""Block R to the wire: what each accepted DER control does to the stage, by way of the
heart; and the alarms that the CSMS hears of it (R05). No control is taken in vain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from chargerd.config import Site
from chargerd.config_grid_code import GridCode
from chargerd.model import GridRulesRequest, Reason
from chargerd.ocpp.blocks.der_rules import PREFIX
from tests.unit.ocpp.der_kit import EXAMPLES, INVERTER, put, rules
from tests.unit.ocpp.der_kit import rig as der_rig
from tests.unit.ocpp.station_rig import Rig, report
from tests.unit.scheduler.stand import Stand

req = pytest.mark.req
RATING_W = 7400.0


@dataclass
class Case:
    """A car at `setpoint_w`; then `hertz` and `volts` for `seconds`."""

    setpoint_w: float = -7400.0
    hertz: float = 50.0
    volts: float = 230.0
    seconds: float = 1.0
    power_w: float | None = None  # what then flows; None: unchanged
    factor: float | None = None  # of the stage
    then: Callable[[Stand], None] = lambda stand: None


def _enter(stand: Stand) -> None:
    """Well again: 60 s, then 100 s from 0 to 100 % (with the code's 300 s: nothing)."""
    stand.bridge.hertz = 50.0
    stand.run(60.0 + 25.0)
    assert stand.bridge.power_w[1] == pytest.approx(-0.25 * RATING_W, abs=300.0)


CASES: dict[str, Case] = {
    "EnterService": Case(hertz=52.0, power_w=0.0, then=_enter),
    "FreqDroop": Case(hertz=50.7, power_w=-0.8 * RATING_W),
    "FreqWatt": Case(hertz=50.7, power_w=-0.5 * RATING_W),
    "FixedPFAbsorb": Case(5000.0, factor=0.9),
    "FixedPFInject": Case(-5000.0, factor=-0.9),
    "FixedVar": Case(-4000.0, factor=-0.8742),  # 50 % of 4.44 kvar given
    "Gradients": Case(power_w=-RATING_W),  # slowly: see below
    "HFMustTrip": Case(hertz=52.0, power_w=0.0),
    "HFMayTrip": Case(hertz=51.6, seconds=3.2, power_w=0.0),
    "HVMustTrip": Case(volts=276.5, power_w=0.0),
    "HVMomCess": Case(volts=260.0, power_w=0.0),
    "HVMayTrip": Case(volts=260.0, seconds=3.2, power_w=0.0),
    "LimitMaxDischarge": Case(power_w=-0.5 * RATING_W),
    "LFMustTrip": Case(5000.0, hertz=47.4, power_w=0.0),
    "LVMustTrip": Case(5000.0, volts=190.0, seconds=2.0, power_w=0.0),
    "LVMomCess": Case(5000.0, volts=150.0, power_w=0.0),
    "LVMayTrip": Case(5000.0, volts=180.0, seconds=3.2, power_w=0.0),
    "PowerMonitoringMustTrip": Case(-0.9 * RATING_W, seconds=4.0, power_w=0.0),
    "VoltVar": Case(-4000.0, volts=239.2, factor=0.948),  # 30 % of 4.44 kvar taken
    "VoltWatt": Case(volts=248.4, power_w=-0.6 * RATING_W),
    "WattPF": Case(-0.25 * RATING_W, factor=0.95),
    "WattVar": Case(-0.5 * RATING_W, factor=0.857),  # 50 % of 4.44 kvar taken
}


def drive(case: Case, kind: str = "") -> Stand:
    """The heart under this case; with the control `kind` as the CSMS sends it."""
    stand = Stand(inverter=INVERTER)
    stand.start()
    if kind:
        rig = der_rig()
        put(rig, kind)
        if kind == "EnterService":  # it says when to come back: so first a trip
            put(rig, "HFMustTrip", "trip")
        stand.cycle.request(GridRulesRequest(rules(rig), 1))
    stand.setpoint(case.setpoint_w, 3600.0)
    stand.run(3.0)
    stand.bridge.hertz, stand.bridge.own_volts = case.hertz, case.volts
    stand.run(case.seconds)
    return stand


@pytest.mark.parametrize("kind", [kind for kind in EXAMPLES if kind != "Gradients"])
def test_each_control_type_acts_on_the_stage(kind: str) -> None:
    case = CASES[kind]
    plain, stand = drive(case), drive(case, kind)
    assert plain.bridge.power_w[1] == pytest.approx(case.setpoint_w, abs=250.0)
    wanted_w = case.setpoint_w if case.power_w is None else case.power_w
    assert stand.bridge.power_w[1] == pytest.approx(wanted_w, abs=250.0)
    factor = stand.bridge.commands[1].stage.power_factor
    if case.factor is not None:
        assert factor == pytest.approx(case.factor, abs=0.02)
        assert plain.bridge.commands[1].stage.power_factor == 1.0
    case.then(stand)


def test_gradients_act_on_the_stage() -> None:
    """60 s for 0 to 100 %: a tenth of the rating after 6 s."""
    plain = drive(replace(CASES["Gradients"], seconds=3.0))
    stand = drive(replace(CASES["Gradients"], seconds=3.0), "Gradients")
    assert plain.bridge.power_w[1] == pytest.approx(-RATING_W, abs=250.0)
    moved_w = RATING_W - stand.bridge.power_w[1]  # it was charging
    assert moved_w == pytest.approx(0.1 * RATING_W, rel=0.25)


# Alarms.


class Heart:
    """Reports of decisions that DER rules have shaped."""

    def __init__(self) -> None:
        self.rig: Rig = der_rig()
        self.rig.clear()

    def holds(
        self,
        *kinds: str,
        seconds: float = 1.0,
        hertz: float = 50.0,
        volts: float = 230.0,
        won: bool = True,
    ) -> list[tuple[str, str, bool]]:
        """What is told meanwhile: (controlType, gridEventFault, alarmEnded)."""
        self.rig.clear()
        for _ in range(round(seconds / 0.5)):
            self.rig.pass_s(0.5)
            made = report(self.rig.now)
            reasons = tuple(
                Reason("der", PREFIX + kind, 0.0, 0.0, won=won, note="51.80 Hz")
                for kind in kinds
            )
            site = replace(made.snapshot.site, frequency_hz=hertz, voltage_v=volts)
            made = replace(
                made,
                decision=replace(made.decision, reasons=reasons),
                snapshot=replace(made.snapshot, site=site),
            )
            self.rig.station.observe(made, self.rig.now)
            self.rig.drain()
        return [
            (p["controlType"], p.get("gridEventFault", ""), p.get("alarmEnded", False))
            for p in self.rig.payloads("NotifyDERAlarm")
        ]


@req("R05.FR.01", "R05.FR.02")
@pytest.mark.parametrize(
    ("kind", "seen", "fault"),
    [
        ("VoltWatt", {"volts": 250.0}, "OverVoltage"),
        ("FreqDroop", {"hertz": 50.7}, "OverFrequency"),
        ("FreqDroop", {"hertz": 49.3}, "UnderFrequency"),
        ("FreqWatt", {"hertz": 60.5}, "OverFrequency"),
        ("HFMustTrip", {}, "OverFrequency"),
        ("LVMomCess", {}, "UnderVoltage"),
        ("LimitMaxDischarge", {}, ""),
    ],
)
def test_one_alarm_when_it_begins_and_one_when_it_ends(
    kind: str, seen: dict[str, float], fault: str
) -> None:
    heart = Heart()
    assert heart.holds(seconds=3.0) == []
    assert heart.holds(kind, won=False) == []  # a rule that takes nothing away
    assert heart.holds(kind, seconds=30.0, **seen) == [(kind, fault, False)]  # type: ignore[arg-type]
    assert heart.holds(seconds=3.0) == []  # a moment without it is no end
    assert heart.holds(kind, seconds=3.0, **seen) == []  # type: ignore[arg-type]
    assert heart.holds(seconds=30.0) == [(kind, fault, True)]
    assert heart.holds(kind, **seen) == [(kind, fault, False)]  # type: ignore[arg-type]


@req("R05.FR.03", "R05.FR.04")
def test_a_takeover_is_a_new_alarm_without_an_end_of_the_old_one() -> None:
    heart = Heart()
    assert heart.holds("HFMustTrip") == [("HFMustTrip", "OverFrequency", False)]
    assert heart.holds("EnterService", seconds=9.0) == [
        ("EnterService", "OverFrequency", False)
    ]
    assert heart.holds(seconds=9.0) == [("EnterService", "OverFrequency", True)]


def test_a_story_of_over_frequency() -> None:
    """Heart and station together: a droop bites, the alarm is told, and ends."""
    code = GridCode(recover_s=20.0)
    site = Site(import_w=20_000, export_w=20_000, export_permit="T", grid_code=code)
    stand, rig = Stand(inverter=INVERTER, site=site), der_rig()
    put(rig, "FreqDroop")
    stand.start()
    stand.cycle.request(GridRulesRequest(rules(rig), 1))
    stand.setpoint(-7000.0, 3600.0)

    def together(seconds: float) -> list[str]:
        rig.clear()
        for _ in range(round(seconds / 0.5)):
            stand.run(0.5)
            rig.pass_s(0.5)
            rig.station.observe(stand.report(), rig.now)
            rig.drain()
        return [p["controlType"] for p in rig.payloads("NotifyDERAlarm")]

    assert together(5.0) == []
    stand.bridge.hertz = 50.8
    assert together(5.0) == ["FreqDroop"]
    stand.bridge.hertz = 50.0
    assert together(40.0) == ["FreqDroop"]
    assert rig.last("NotifyDERAlarm").payload["alarmEnded"] is True
