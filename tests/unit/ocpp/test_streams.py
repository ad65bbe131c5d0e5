"""Periodic event streams (N11 to N15)."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.ocpp.effects import Payload, Tell
from tests.unit.ocpp.monitor_kit import (
    brief,
    charge,
    data,
    events,
    monitored,
    set_all,
    set_one,
)
from tests.unit.ocpp.station_rig import V201, Rig, config, validator

req = pytest.mark.req
OPEN, CLOSE = "OpenPeriodicEventStream", "ClosePeriodicEventStream"


def streamed(
    interval: int = 0, values: int = 0, *, every_s: float = 1, status: str = "Accepted"
) -> tuple[Rig, int]:
    """A monitor with a stream, and what the CSMS said to it."""
    rig = monitored()
    pairs = {"interval": interval, "values": values}
    params = {name: number for name, number in pairs.items() if number}
    monitor_id = set_one(
        rig, kind="Periodic", value=every_s, periodicEventStream=params
    )
    rig.answer(rig.last(OPEN), {"status": status})
    return rig, monitor_id


def told(rig: Rig) -> list[Payload]:
    """The stream's messages; forgets them."""
    found = [e for e in rig.effects if isinstance(e, Tell)]
    for effect in found:
        assert effect.action == "NotifyPeriodicEventStream"
        validator(rig.version, effect.action).validate(effect.payload)
    rig.effects.clear()
    return [effect.payload for effect in found]


@req("N11.FR.01", "N11.FR.02")
def test_each_monitor_with_a_stream_opens_one() -> None:
    rig = monitored()
    params = {"interval": 10, "values": 5}
    results = set_all(
        rig,
        data(kind="Periodic", value=1, periodicEventStream=params),
        data(kind="Periodic", value=1, severity=4),
        data(kind="PeriodicClockAligned", value=1, periodicEventStream={"values": 3}),
    )
    first, _, third = (result["id"] for result in results)
    opened = [p["constantStreamData"] for p in rig.payloads(OPEN)]
    assert opened == [
        {"id": first, "params": params, "variableMonitoringId": first},
        {"id": third, "params": {"values": 3}, "variableMonitoringId": third},
    ]


PRESET = {
    "on": "EVSE.DCVoltage", "type": "Periodic", "value": 1,
    "stream": {"interval_s": 5}, "hard_wired": True,
}  # fmt: skip


@req("N11.FR.03")
def test_a_preconfigured_stream_opens_by_itself() -> None:
    rig = Rig(config(monitors=[PRESET])).boot()
    (payload,) = rig.payloads(OPEN)
    assert payload["constantStreamData"] == {
        "id": 1, "params": {"interval": 5}, "variableMonitoringId": 1,
    }  # fmt: skip


@req("N11.FR.07")
def test_refused_it_goes_on_by_notify_event() -> None:
    rig, _ = streamed(interval=5, status="Rejected")
    charge(rig, 1000)
    rig.run_s(5.0)
    assert told(rig) == []
    assert len(events(rig)) == 6


def test_no_faster_than_a_second_by_notify_event() -> None:
    rig, _ = streamed(interval=5, every_s=0.1, status="Rejected")
    charge(rig, 1000)
    rig.run_s(4.0)
    assert len(events(rig)) == 5


@req("N12.FR.01")
def test_the_open_streams() -> None:
    rig, first = streamed(interval=5, values=2)
    second = set_one(rig, kind="PeriodicClockAligned", value=1,
                     periodicEventStream={"values": 3})  # fmt: skip
    rig.answer(rig.last(OPEN), {"status": "Accepted"})
    answer = rig.call("GetPeriodicEventStream")
    both = (first, {"interval": 5, "values": 2}), (second, {"values": 3})
    assert answer == {"constantStreamData": [
        {"id": number, "params": params, "variableMonitoringId": number}
        for number, params in both
    ]}  # fmt: skip
    rig.call("ClearVariableMonitoring", {"id": [first, second]})
    assert rig.call("GetPeriodicEventStream") == {}


@req("N15.FR.01", "N15.FR.04", "N15.FR.06", "N15.FR.09")
def test_values_leave_at_the_interval() -> None:
    rig, monitor_id = streamed(interval=3)
    charge(rig, 1500)
    rig.run_s(2.5)
    (payload,) = told(rig)
    times = [row["t"] for row in payload["data"]]
    assert payload["id"] == monitor_id
    assert times == [0, 1, 2]
    assert {row["v"] for row in payload["data"]} == {"1500"}
    assert payload["basetime"][17:19] == "01"
    assert payload["pending"] == 0
    assert events(rig) == []
    rig.run_s(3.0)
    assert len(told(rig)) == 1


@req("N15.FR.08")
def test_values_leave_as_soon_as_there_are_enough() -> None:
    rig, _ = streamed(values=4, every_s=0.5)
    charge(rig, 1500)
    rig.run_s(5.0)
    assert [len(p["data"]) for p in told(rig)] == [4, 4]


@req("N15.FR.07")
def test_no_more_values_than_wished() -> None:
    """Those that wait already leave in parts of the new size."""
    rig, monitor_id = streamed(interval=60, every_s=0.5)
    charge(rig, 1500)
    rig.run_s(4.0)
    params = {"interval": 60, "values": 4}
    rig.call("AdjustPeriodicEventStream", {"id": monitor_id, "params": params})
    assert [len(p["data"]) for p in told(rig)] == [4, 4]


@req("N15.FR.04")
def test_pending_is_what_waits() -> None:
    rig, monitor_id = streamed(interval=3600, every_s=0.1)
    charge(rig, 1500)
    rig.run_s(150.0)  # 1,510 values, 1,000 to a message
    rig.call("ClearVariableMonitoring", {"id": [monitor_id]})
    first, second = told(rig)
    assert first["pending"] == len(second["data"]) > 400
    assert second["pending"] == 0


def replaced(rig: Rig, monitor_id: int) -> None:
    set_one(rig, kind="Periodic", value=1, id=monitor_id)


def cleared(rig: Rig, monitor_id: int) -> None:
    rig.call("ClearVariableMonitoring", {"id": [monitor_id]})


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(cleared, marks=req("N13.FR.05")),
        pytest.param(replaced, marks=req("N13.FR.06", "N13.FR.04")),
    ],
)
@req("N13.FR.01", "N13.FR.03")
def test_a_stream_is_emptied_and_closed(end: Any) -> None:
    rig, monitor_id = streamed(interval=60)
    charge(rig, 1500)
    rig.run_s(4.0)
    events(rig)
    rig.effects.clear()
    end(rig, monitor_id)
    kinds = [type(e).__name__ for e in rig.effects]
    assert rig.payloads(CLOSE) == [{"id": monitor_id}]
    (payload,) = told(rig)
    assert len(payload["data"]) >= 4
    assert kinds.index("Tell") < kinds.index("Send")
    events(rig)
    rig.run_s(3.0)
    assert len(brief(rig)) == (3 if end is replaced else 0)
    rig.link(up=False)
    rig.link()
    assert rig.payloads(OPEN) == []  # not with the next link either


@req("N14.FR.03")
def test_another_interval_holds_at_once() -> None:
    rig, monitor_id = streamed(interval=3600)
    charge(rig, 1500)
    told(rig)
    params = {"interval": 3}
    rig.call("AdjustPeriodicEventStream", {"id": monitor_id, "params": params})
    rig.run_s(3.5)
    assert len(told(rig)) == 1


@req("N14.FR.03")
def test_a_stream_is_adjusted() -> None:
    rig, monitor_id = streamed(interval=60)
    charge(rig, 1500)
    told(rig)
    params = {"values": 2}
    answer = rig.call("AdjustPeriodicEventStream", {"id": monitor_id, "params": params})
    assert answer == {"status": "Accepted"}
    rig.run_s(4.0)
    assert {len(p["data"]) for p in told(rig)} == {2}
    late = rig.restarted().boot()
    (payload,) = late.payloads(OPEN)
    assert payload["constantStreamData"]["params"] == params


@req("N14.FR.02")
@pytest.mark.parametrize(
    ("more", "params"), [(0, {}), (0, {"values": 5000}), (1, {"values": 2})]
)
def test_what_cannot_be_adjusted(more: int, params: Payload) -> None:
    rig, monitor_id = streamed(interval=60)
    answer = rig.call(
        "AdjustPeriodicEventStream", {"id": monitor_id + more, "params": params}
    )
    assert answer["status"] == "Rejected"


def test_a_stream_lives_with_the_link() -> None:
    rig, _ = streamed(interval=2)
    rig.link(False)
    rig.clear()
    rig.link(True)
    assert len(rig.payloads(OPEN)) == 1
    charge(rig, 1500)
    assert told(rig) == []
    assert events(rig)
    rig.link(False)
    rig.link(True)
    rig.answer(rig.last(OPEN), {"status": "Accepted"})
    rig.run_s(3.0)
    assert told(rig)


def test_no_more_streams_than_said() -> None:
    rig = monitored(device_model={"MonitoringCtrlr.MaxPeriodicEventStreams": 1})
    params = {"values": 2}
    set_one(rig, kind="Periodic", periodicEventStream=params)
    wanted = data(kind="Periodic", severity=5, periodicEventStream=params)
    (result,) = set_all(rig, wanted)
    assert result["status"] == "Rejected"


def test_2_0_1_has_none() -> None:
    rig = Rig(config(monitors=[PRESET]), version=V201).boot()
    assert rig.payloads(OPEN) == []
    assert not rig.station.handles("GetPeriodicEventStream")
