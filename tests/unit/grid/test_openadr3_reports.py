"""The OpenADR 3 VEN's reports: at their pace, by interval, and the last one.

Rules: OpenADR 3.1.1 User Guide 7.5.
"""

from __future__ import annotations

import json

import pytest

from tests.unit.grid.openadr3_stand import Stand, event, interval, payload, sized
from tests.unit.grid.stand import report


def test_open_reports_go_out_at_their_pace() -> None:
    kinds = ["STORAGE_CHARGE_LEVEL", "STORAGE_MAX_DISCHARGE_POWER", "READING", "NEVER"]
    wanted = [{"payloadType": k, "reportIntervals": "OPEN_INTERVALS"} for k in kinds]
    told = event("E9", intervals=[], reportDescriptors=wanted, intervalPeriod=None)
    stand = Stand(report_s=60)
    stand.ven.report(sized())
    stand.tell(told)
    sent = []
    for _ in range(130):
        stand.mono += 1.0
        stand.tick()
        call = stand.next()
        if call is not None and call.kind == "report":
            sent.append(json.loads(call.body))
            stand.answer(call, {}, 201)
        elif call is not None:
            stand.answer(call, [told])
    assert len(sent) == 2
    assert (sent[0]["eventID"], sent[0]["clientName"]) == ("E9", "charger")
    (resource,) = sent[0]["resources"]
    values = {p["type"]: p["values"] for p in resource["intervals"][0]["payloads"]}
    # 3 kW more into the grid than the 3 kW that flow.
    assert values == {
        "STORAGE_CHARGE_LEVEL": [0.55],
        "STORAGE_MAX_DISCHARGE_POWER": [6.0],
        "READING": [-2.99],
    }


def test_reports_of_closed_intervals() -> None:
    wanted = [{"payloadType": "USAGE"}, {"payloadType": "USAGE_FORECAST"}]
    pair = [interval(payload("PRICE", n), ident=7 + n) for n in range(3)]
    told = event(
        "E1",
        *pair,
        reportDescriptors=wanted,
        intervalPeriod={"start": "2026-11-25T12:01:45Z", "duration": "PT1M"},
    )
    stand = Stand()
    stand.tell(told)
    sent = []
    for second in range(300):
        stand.mono += 1.0
        made = sized(mono=stand.mono)
        meter = made.snapshot.telemetry.meter
        assert meter is not None
        object.__setattr__(meter.value, "import_wh", 1000.0 + second * 10.0)
        stand.ven.report(made)
        stand.tick()
        call = stand.next()
        if call is not None and call.kind == "report":
            sent.append(json.loads(call.body))
            stand.answer(call, {}, 201)
        elif call is not None:
            stand.answer(call, [told])
    (body,) = sent
    intervals = body["resources"][0]["intervals"]
    assert [i["id"] for i in intervals] == [7, 8, 9]
    used = [i["payloads"][0]["values"][0] for i in intervals]
    assert used == [pytest.approx(0.6, abs=0.03)] * 3


def test_the_last_report_is_made_though_the_vtn_is_asked_just_then() -> None:
    told = event(reportDescriptors=[{"payloadType": "SETPOINT"}])  # until mono 700
    stand = Stand()
    stand.ven.report(report(1))
    stand.tell(told)
    stand.tick()
    stand.mono = 699.9
    stand.tick()
    stand.mono = 700.1  # the next look at reports is at 700.9
    stand.rest_until_events()
    stand.answer(stand.calls[-1], [told])
    for _ in range(10):
        stand.mono += 0.25
        stand.tick()
    call = stand.next()
    assert call is not None
    assert call.kind == "report"
    assert stand.ven.status()["deleted"] == 0
    assert stand.ven.events.alive == {}
