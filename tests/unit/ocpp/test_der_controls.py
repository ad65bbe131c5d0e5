"""Block R: SetDERControl, GetDERControl and ClearDERControl; who supersedes whom, when
it starts and ends, and what a power loss leaves (R04)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.model_grid import NO_RULES
from chargerd.ocpp.blocks.der_controls import Control, Controls, Started
from chargerd.ocpp.effects import Durability
from tests.unit.ocpp.der_kit import EXAMPLES, TIMED, control, curve, put, rules, running
from tests.unit.ocpp.der_kit import rig as der_rig
from tests.unit.ocpp.profile_kit import AC_DEVICES
from tests.unit.ocpp.station_rig import V201, Rig, config
from tests.unit.ocpp.variable_kit import get_one, item, set_one

req = pytest.mark.req


def status(answer: Any) -> tuple[str, list[str]]:
    return answer["status"], answer.get("supersededIds", [])


@req("R04.FR.02", "R04.FR.05")
@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_type_is_taken_and_reported(kind: str) -> None:
    rig = der_rig()
    assert status(put(rig, kind)) == ("Accepted", [])
    if kind in TIMED:
        assert status(put(rig, kind, "C2", after_s=60.0)) == ("Accepted", [])
    rig.call("GetDERControl", {"requestId": 7, "controlType": kind})
    (report,) = rig.payloads("ReportDERControl")
    field, body = EXAMPLES[kind]
    assert [i["id"] for i in report[field]] == ["C1", *["C2"][: kind in TIMED]]
    name = "fixedPF" if field.startswith("fixedPF") else field
    assert report[field][0][name] == body


@pytest.mark.parametrize(
    ("made", "answer"),
    [
        pytest.param(
            {**control("FreqWatt"), "isDefault": False}, "Rejected",
            id="scheduled without a time",
        ),
        pytest.param(
            {**control("FreqWatt", after_s=60.0), "isDefault": True}, "Rejected",
            marks=req("R04.FR.13"),
        ),
        pytest.param(
            {**control("EnterService"), "isDefault": False}, "Rejected",
            marks=req("R04.FR.15"),
        ),
        pytest.param(
            {**control("Gradients"), "isDefault": False}, "Rejected",
            marks=req("R04.FR.15"),
        ),
        pytest.param(
            {**control("FreqDroop"), "curve": EXAMPLES["FreqWatt"][1]}, "Rejected",
            marks=req("R04.FR.17"),
        ),
        pytest.param(
            {**control("FixedPFAbsorb"), "controlType": "FixedPFInject"}, "Rejected",
            marks=req("R04.FR.17"),
        ),
        pytest.param(
            {"isDefault": True, "controlId": "x", "controlType": "VoltVar"},
            "Rejected", marks=req("R04.FR.17"),
        ),
        (control("FreqWatt", after_s=-700.0), "Rejected"),  # over already
        (control("FreqWatt", after_s=0.0, for_s=0.0), "Rejected"),
        (control("FreqWatt", after_s=0.0, for_s=1e300), "Rejected"),
        (control("FreqDroop", overFreq=49.9), "Rejected"),
        (control("FreqDroop", underDroop=0.0), "Rejected"),
        (control("LimitMaxDischarge", pctMaxDischargePower=101.0), "Rejected"),
        (control("FixedVar", unit="PctMaxW"), "Rejected"),
        (control("FixedVar", setpoint=-101.0), "Rejected"),
        (control("FixedPFInject", displacement=0.2), "Rejected"),
        (control("EnterService", highFreq=49.0), "Rejected"),
        (control("VoltWatt", yUnit="PctMaxVar"), "Rejected"),
        (control("VoltVar", yUnit="PctMaxW"), "Rejected"),
        (control("HFMustTrip", yUnit="PctMaxW"), "Rejected"),
        (control("HFMustTrip", curveData=[{"x": 51.5, "y": 1.0}, {"x": 52.0, "y": 2}]),
         "Rejected"),  # the farther the longer
        (control("VoltWatt", curveData=[{"x": 100, "y": 1}, {"x": 90, "y": 1},
                                        {"x": 95, "y": 1}]), "Rejected"),
        (control("VoltWatt", curveData=[{"x": 100, "y": -5.0}]), "Rejected"),
        (control("FreqWatt", curveData=[{"x": 5e9, "y": 5.0}]), "Rejected"),
        (control("HVMustTrip", voltageParams={"hv10MinMeanValue": 110.0}), "Rejected"),
        (control("HVMustTrip", voltageParams={
            "hv10MinMeanValue": 110.0, "hv10MinMeanTripDelay": 3.0}), "Accepted"),
        (control("HVMomCess", voltageParams={"powerDuringCessation": "Active"}),
         "Rejected"),
        (control("HVMustTrip", hysteresis={"hysteresisDelay": 1.0}), "Rejected"),
        (control("VoltVar", reactivePowerParams={"autonomousVRefEnable": True}),
         "Rejected"),
        (control("VoltVar", reactivePowerParams={"vRef": 104.0}), "Accepted"),
        (control("WattVar", responseTime=5.0), "Rejected"),
        (control("VoltVar", responseTime=5.0), "Accepted"),
        ({**control("LimitMaxDischarge"), "limitMaxDischarge": {
            "priority": 1, "powerMonitoringMustTrip": curve("PctMaxW", (0.0, 9.0))}},
         "Rejected"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_out_is_refused(made: Any, answer: str) -> None:
    rig = der_rig()
    assert rig.call("SetDERControl", made)["status"] == answer  # type: ignore[index]
    assert bool(running(rig)) is (answer == "Accepted")


@req("R04.FR.01", "R04.FR.36", "R04.FR.43")
def test_what_the_inverter_cannot_do_is_not_supported() -> None:
    rig = Rig(config()).boot()  # without reactive power
    assert status(put(rig, "VoltVar")) == ("NotSupported", [])
    asked = {"requestId": 1, "controlType": "VoltVar"}
    assert status(rig.call("GetDERControl", asked))[0] == "NotSupported"
    cleared = {"isDefault": True, "controlType": "VoltVar"}
    assert status(rig.call("ClearDERControl", cleared))[0] == "NotSupported"
    assert status(put(rig, "VoltWatt")) == ("Accepted", [])


def test_not_in_201() -> None:
    rig = Rig(config(), version=V201).boot()
    assert not rig.station.handles("SetDERControl")


# Defaults.


@req("R04.FR.03", "R04.FR.11")
def test_a_default_of_higher_priority_takes_over_at_once() -> None:
    rig = der_rig()
    put(rig, "LimitMaxDischarge", "low", priority=5, pctMaxDischargePower=50.0)
    assert rules(rig).feed_share == 0.5
    answer = put(rig, "LimitMaxDischarge", "high", priority=1, pctMaxDischargePower=20)
    assert status(answer) == ("Accepted", ["low"])
    assert rules(rig).feed_share == 0.2
    assert running(rig) == {"low": True, "high": False}


@req("R04.FR.09")
def test_a_default_of_lower_or_equal_priority_does_not() -> None:
    rig = der_rig()
    put(rig, "LimitMaxDischarge", "first", priority=3, pctMaxDischargePower=50.0)
    equal = put(rig, "LimitMaxDischarge", "equal", priority=3, pctMaxDischargePower=9.0)
    assert status(equal) == ("Accepted", [])
    lower = put(rig, "LimitMaxDischarge", "lower", priority=4, pctMaxDischargePower=8.0)
    assert status(lower) == ("Accepted", ["lower"])
    assert rules(rig).feed_share == 0.5
    rig.call("ClearDERControl", {"isDefault": True, "controlId": "first"})
    assert rules(rig).feed_share == 0.09  # the superseded one is not executed


def test_the_same_id_is_the_same_control() -> None:
    rig = der_rig()
    put(rig, "LimitMaxDischarge", "a", priority=3, pctMaxDischargePower=50.0)
    put(rig, "LimitMaxDischarge", "a", priority=3, pctMaxDischargePower=30.0)
    assert rules(rig).feed_share == 0.3
    assert running(rig) == {"a": False}


@req("R04.FR.04")
def test_a_new_default_leaves_a_scheduled_one_that_runs() -> None:
    rig = der_rig()
    put(rig, "LimitMaxDischarge", "s", after_s=-1.0, pctMaxDischargePower=10.0)
    answer = put(rig, "LimitMaxDischarge", "d", priority=0, pctMaxDischargePower=90.0)
    assert status(answer) == ("Accepted", [])
    assert rules(rig).feed_share == 0.1
    rig.pass_s(700.0)
    assert rules(rig).feed_share == 0.9


# Scheduled ones.


@req("R04.FR.10", "R04.FR.11", "R04.FR.20", "R04.FR.22")
def test_a_scheduled_control_starts_and_ends_on_time() -> None:
    rig = der_rig()
    put(rig, "LimitMaxDischarge", "d", pctMaxDischargePower=90.0)
    put(rig, "LimitMaxDischarge", "s", after_s=60.0, for_s=30.0,
        pctMaxDischargePower=10.0)  # fmt: skip
    rig.clear()
    rig.pass_s(59.9)
    assert (rig.payloads("NotifyDERStartStop"), rules(rig)) == ([], NO_RULES)
    rig.pass_s(0.1)
    assert rules(rig).feed_share == 0.1
    assert rig.payloads("NotifyDERStartStop") == [
        {"controlId": "s", "started": True, "timestamp": "2026-11-23T08:01:00.000Z"}
    ]
    rig.clear()
    rig.pass_s(30.0)
    assert rules(rig).feed_share == 0.9
    assert rig.payloads("NotifyDERStartStop") == [
        {"controlId": "s", "started": False, "timestamp": "2026-11-23T08:01:30.000Z"}
    ]
    assert running(rig) == {"d": False}


@req("R04.FR.06")
def test_a_waiting_control_is_superseded_even_by_a_later_one() -> None:
    rig = der_rig()
    put(rig, "FreqWatt", "early", after_s=60.0, priority=5)
    answer = put(rig, "FreqWatt", "late", after_s=6000.0, priority=1)
    assert status(answer) == ("Accepted", ["early"])
    rig.clear()
    rig.pass_s(100.0)
    assert rig.payloads("NotifyDERStartStop") == []
    assert running(rig) == {"early": True, "late": False}
    rig.pass_s(600.0)
    assert running(rig) == {"late": False}  # its time is over


@req("R04.FR.07", "R04.FR.21")
def test_a_running_control_goes_on_until_the_better_one_starts() -> None:
    rig = der_rig()
    put(rig, "LimitMaxDischarge", "B", after_s=-1.0, pctMaxDischargePower=50.0)
    answer = put(rig, "LimitMaxDischarge", "A", after_s=60.0, priority=1,
                 pctMaxDischargePower=10.0)  # fmt: skip
    assert status(answer) == ("Accepted", [])
    rig.pass_s(59.0)
    assert rules(rig).feed_share == 0.5
    assert running(rig) == {"B": False, "A": False}
    rig.pass_s(1.0)
    assert rig.payloads("NotifyDERStartStop") == [
        {"controlId": "A", "started": True, "supersededIds": ["B"],
         "timestamp": "2026-11-23T08:01:00.000Z"}
    ]  # fmt: skip
    assert rules(rig).feed_share == 0.1
    assert running(rig) == {"B": True, "A": False}
    rig.pass_s(700.0)  # B would have run till 599 s, A till 660 s
    assert [p["controlId"] for p in rig.payloads("NotifyDERStartStop")] == ["A"]


@req("R04.FR.08")
def test_a_worse_control_is_superseded_by_the_one_that_runs() -> None:
    rig = der_rig()
    put(rig, "LimitMaxDischarge", "B", after_s=-1.0, priority=1,
        pctMaxDischargePower=50.0)  # fmt: skip
    answer = put(rig, "LimitMaxDischarge", "A", after_s=10.0, priority=2,
                 pctMaxDischargePower=10.0)  # fmt: skip
    assert status(answer) == ("Accepted", ["A"])
    rig.pass_s(20.0)
    assert rules(rig).feed_share == 0.5
    assert running(rig) == {"B": False, "A": True}


priorities = st.integers(0, 3)
instants = st.integers(-20, 60)


@given(
    st.lists(
        st.tuples(st.booleans(), priorities, instants, st.integers(1, 40)), max_size=8
    ),
    st.integers(1, 7),
)
def test_at_most_one_runs_and_a_superseded_one_never(
    made: list[tuple[bool, int, int, int]], step_s: int
) -> None:
    """Whatever comes when: the one that runs is the best of those that may."""
    controls, told = Controls(), set[str]()
    for now_s in range(0, 120, step_s):
        if made:
            default, priority, start_s, for_s = made.pop()
            body = {"priority": priority}
            new = Control(f"c{now_s}", "FreqWatt", "curve", body, default, 0)
            if not default:
                new = Control(new.id, "FreqWatt", "curve", body, False, 0,
                              start_s, start_s + for_s)  # fmt: skip
            controls.add(new, now_s)
        for event in controls.step(now_s):
            if isinstance(event, Started):
                assert event.control.id not in told
                told.add(event.control.id)
            else:
                assert event.control.id in told
        live = controls.all().values()
        assert all(now_s < c.end_s for c in live)
        runs = controls.running("FreqWatt", now_s)
        may = [c for c in live if c.runs(now_s)]
        scheduled = [c for c in may if not c.is_default]
        assert (runs is None) is (not may)
        if runs is not None:
            assert runs.is_default is (not scheduled)
            assert runs.priority == min(c.priority for c in scheduled or may)
            assert runs.is_default or runs.told or runs.id in told


# Reports.


@req("R04.FR.31", "R04.FR.32", "R04.FR.33")
def test_all_controls_in_several_reports() -> None:
    rig = der_rig()
    for number, kind in enumerate(EXAMPLES):
        put(rig, kind, f"d{number}")
    rig.clear()
    assert rig.call("GetDERControl", {"requestId": 42})["status"] == "Accepted"  # type: ignore[index]
    reports = rig.payloads("ReportDERControl")
    assert [r["requestId"] for r in reports] == [42, 42, 42]
    assert [r.get("tbc", False) for r in reports] == [True, True, False]
    assert len(running(rig)) == len(EXAMPLES)


@pytest.mark.parametrize(
    ("criteria", "answer", "ids"),
    [
        pytest.param({"controlType": "VoltWatt"}, "Accepted", {"vd", "vs"},
                     marks=req("R04.FR.34")),
        pytest.param({"controlType": "VoltWatt", "isDefault": False}, "Accepted",
                     {"vs"}, marks=req("R04.FR.34")),
        pytest.param({"controlId": "fd"}, "Accepted", {"fd"}, marks=req("R04.FR.35")),
        pytest.param({"controlId": "fd", "isDefault": False}, "NotFound", set(),
                     marks=req("R04.FR.30")),
        pytest.param({"isDefault": True}, "Accepted", {"vd", "fd"},
                     marks=req("R04.FR.37")),
        pytest.param({"controlType": "LVMustTrip"}, "NotFound", set(),
                     marks=req("R04.FR.30")),
        pytest.param({"controlId": "??"}, "NotFound", set(), marks=req("R04.FR.30")),
    ],
)  # fmt: skip
def test_reports_by_criteria(
    criteria: dict[str, Any], answer: str, ids: set[str]
) -> None:
    rig = der_rig()
    put(rig, "VoltWatt", "vd")
    put(rig, "VoltWatt", "vs", after_s=60.0)
    put(rig, "FreqDroop", "fd")
    rig.clear()
    found = rig.call("GetDERControl", {"requestId": 1, **criteria})
    assert found["status"] == answer  # type: ignore[index]
    told = [
        i["id"]
        for report in rig.payloads("ReportDERControl")
        for items in report.values()
        if isinstance(items, list)
        for i in items
    ]
    assert set(told) == ids


@pytest.mark.parametrize(
    ("criteria", "answer", "left"),
    [
        pytest.param({"isDefault": False, "controlType": "FreqDroop"}, "NotFound",
                     {"vd", "vs", "fd"}, marks=req("R04.FR.41")),
        pytest.param({"isDefault": True, "controlId": "vs"}, "NotFound",
                     {"vd", "vs", "fd"}, marks=req("R04.FR.42")),
        pytest.param({"isDefault": True}, "Accepted", {"vs"}, marks=req("R04.FR.44")),
        pytest.param({"isDefault": False}, "Accepted", {"vd", "fd"},
                     marks=req("R04.FR.44")),
        pytest.param({"isDefault": True, "controlType": "VoltWatt"}, "Accepted",
                     {"vs", "fd"}, marks=req("R04.FR.45")),
        pytest.param({"isDefault": False, "controlId": "vs"}, "Accepted",
                     {"vd", "fd"}, marks=req("R04.FR.46")),
    ],
)  # fmt: skip
def test_clearing(criteria: dict[str, Any], answer: str, left: set[str]) -> None:
    rig = der_rig()
    put(rig, "VoltWatt", "vd")
    put(rig, "VoltWatt", "vs", after_s=60.0)
    put(rig, "FreqDroop", "fd")
    assert rig.call("ClearDERControl", criteria)["status"] == answer  # type: ignore[index]
    assert set(running(rig)) == left
    again = rig.restarted()
    again.boot()
    assert set(running(again)) == left  # and from the disk
    if len(criteria) == 1:  # all that there are, none by now
        assert again.call("ClearDERControl", criteria)["status"] == answer  # type: ignore[index]


def test_clearing_nothing_of_everything_is_accepted() -> None:
    rig = der_rig()
    assert rig.call("ClearDERControl", {"isDefault": True}) == {"status": "Accepted"}
    put(rig, "LimitMaxDischarge")
    rig.call("ClearDERControl", {"isDefault": True})
    assert rules(rig) == NO_RULES


# Power loss, clock, device model.


@req("R01.FR.03", "R02.FR.02", "R03.FR.02")
@pytest.mark.parametrize("kind", EXAMPLES)
def test_controls_survive_a_power_loss(kind: str) -> None:
    rig = der_rig()
    put(rig, kind, "d")
    before = rules(rig)
    assert before != NO_RULES
    again = rig.restarted()
    again.link()
    assert rules(again) == before


def test_what_happens_during_a_power_loss_is_told_after_it() -> None:
    rig = der_rig()
    put(rig, "LimitMaxDischarge", "runs", after_s=-1.0, for_s=31.0)
    put(rig, "FreqDroop", "later", after_s=40.0, for_s=100.0)
    again = rig.restarted(after_s=60.0)
    again.boot()
    told = again.payloads("NotifyDERStartStop")
    assert [(p["controlId"], p["started"]) for p in told] == [
        ("runs", False), ("later", True),
    ]  # fmt: skip
    assert told[0]["timestamp"] == "2026-11-23T08:00:30.000Z"
    assert all(
        s.durability is Durability.DURABLE and s.save is not None
        for s in again.sent
        if s.action == "NotifyDERStartStop"
    )
    once = again.restarted(after_s=1.0)
    once.boot()
    assert once.payloads("NotifyDERStartStop") == []


def test_a_clock_that_is_set_starts_what_is_due() -> None:
    rig = der_rig()
    put(rig, "LimitMaxDischarge", "s", after_s=3600.0)
    rig.observe()
    rig.now = type(rig.now)(rig.now.mono + 2.0, rig.now.utc.replace(hour=9, minute=5))
    rig.observe()
    assert rules(rig).feed_share == 0.5


@req("R01.FR.01")
def test_the_nameplate_of_each_evse() -> None:
    rig = Rig(config(evses=2, evse={"inverter": INVERTER_6K})).boot()
    for evse_id in (1, 2):
        evse = {"id": evse_id}
        values = {
            name: get_one(rig, item("DCDERCtrlr", name, evse=evse))["attributeValue"]
            for name in MANDATORY
        }
        assert values["MaxW"] == "6000"
        assert values["MaxVA"] == "5000"
        assert values["MaxVar"] == "3000"
        assert values["OverExcitedPF"] == "0.8"
        assert values["OverExcitedW"] == "4000"
        assert values["InverterModel"] == "M1"
        assert set(values["ModesSupported"].split(",")) == set(EXAMPLES)


INVERTER_6K = {"manufacturer": "Maker", "model": "M1", "min_power_factor": 0.8,
               "max_va": 5000.0}  # fmt: skip
MANDATORY = (  # dm_components_vars.csv
    "MaxW", "OverExcitedW", "OverExcitedPF", "UnderExcitedW", "UnderExcitedPF", "MaxVA",
    "MaxVar", "MaxVarNeg", "MaxChargeRateW", "MaxChargeRateVA", "ModesSupported",
    "InverterManufacturer", "InverterModel", "InverterSwVersion", "InverterHwVersion",
    "ReactiveSusceptance",
)  # fmt: skip


@req("R01.FR.02")
def test_a_report_of_the_nameplate() -> None:
    rig = der_rig()
    rig.clear()
    asked = {
        "requestId": 3,
        "componentVariable": [
            {"component": {"name": "DCDERCtrlr", "evse": {"id": 1}}},
        ],
    }
    assert rig.call("GetReport", asked)["status"] == "Accepted"  # type: ignore[index]
    named = {
        data["variable"]["name"]
        for report in rig.payloads("NotifyReport")
        for data in report["reportData"]
    }
    assert named >= set(MANDATORY)


@req("R03.FR.03")
def test_an_ac_evse_says_what_it_does_in_the_vehicle_s_place() -> None:
    port = {"interface": "lo", "evse_id": "JP*ABC*E1", "energies": ["AC_BPT", "AC"]}
    rig = Rig(config(evse={"iso15118": port})).boot()
    modes = get_one(rig, item("ACDERCtrlr", "ModesSupported", evse={"id": 1}))
    assert "VoltWatt" in modes["attributeValue"]
    assert "VoltVar" not in modes["attributeValue"]
    found = get_one(rig, item("DCDERCtrlr", "MaxW", evse={"id": 1}))
    assert found["attributeStatus"] == "UnknownComponent"
    assert status(put(rig, "VoltWatt"))[0] == "Accepted"
    assert status(put(rig, "VoltVar"))[0] == "NotSupported"


@req("R03.FR.03")
def test_an_outlet_without_discharge_has_what_acts_on_charging() -> None:
    rig = Rig(config(evse={"devices": AC_DEVICES, "discharge_w": 0})).boot()
    made = item("ACDERCtrlr", "ModesSupported", evse={"id": 1})
    modes = get_one(rig, made)["attributeValue"].split(",")
    assert {"FreqDroop", "HVMustTrip", "EnterService"} <= set(modes)
    assert not {"VoltWatt", "LimitMaxDischarge", "Gradients"} & set(modes)
    assert status(put(rig, "VoltWatt"))[0] == "NotSupported"
    assert status(put(rig, "FreqDroop"))[0] == "Accepted"
    assert rules(rig).droop is not None


def test_switched_off_nothing_holds() -> None:
    rig = der_rig()
    put(rig, "LimitMaxDischarge")
    set_one(rig, item("DCDERCtrlr", "Enabled", "false", evse={"id": 1}))
    rig.observe()
    assert rules(rig) == NO_RULES
    assert status(put(rig, "FreqDroop"))[0] == "NotSupported"
    set_one(rig, item("DCDERCtrlr", "Enabled", "true", evse={"id": 1}))
    rig.pass_s(1.0)
    rig.observe()
    assert rules(rig).feed_share == 0.5


def test_modes_can_be_narrowed_from_the_config_file() -> None:
    presets = {"DCDERCtrlr.ModesSupported": "VoltWatt"}
    rig = der_rig(device_model=presets)
    assert status(put(rig, "VoltWatt"))[0] == "Accepted"
    assert status(put(rig, "FreqDroop"))[0] == "NotSupported"
