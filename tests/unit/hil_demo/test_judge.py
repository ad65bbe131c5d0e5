"""The demo's checks of cost and of the network operator's limit can fail."""

from __future__ import annotations

from typing import Any

import pytest

from hil.demo.judge import cost_check, feed_check, whys
from hil.demo.record import Record, Tick


def _event(into_wh: float, out_wh: float, cost: float | None) -> dict[str, Any]:
    registers = [
        {"measurand": f"Energy.Active.{way}.Register", "value": value}
        for way, value in (("Import", into_wh), ("Export", out_wh))
    ]
    payload: dict[str, Any] = {"meterValue": [{"sampledValue": registers}]}
    if cost is not None:
        payload["costDetails"] = {"totalCost": {"total": {"exclTax": cost}}}
    return {"t_mono": 1.0, "payload": payload}


@pytest.mark.parametrize(
    ("cost", "ok"),
    [(0.35, True), (0.358, True), (0.37, False), (-0.35, False), (None, False)],
)
def test_the_cost_is_net_energy_times_price(cost: float | None, ok: bool) -> None:
    record = Record(price_per_kwh=35.0)
    assert not cost_check(record).ok
    record.transaction = [_event(1000.0, 500.0, 0.0), _event(1020.0, 510.0, cost)]
    check = cost_check(record)
    assert (check.ok, "10.00 Wh x 35" in check.measured) == (ok, True)


@pytest.mark.parametrize(
    ("powers", "ok"),
    [
        ([-5000.0, -4000.0, -4150.0, 9000.0, -9000.0], True),  # before, after: free
        ([-5000.0, -4000.0, -4250.0, 9000.0, -9000.0], False),
        ([-5000.0], False),  # nothing was seen
    ],
)
def test_discharge_stays_inside_the_limit(powers: list[float], ok: bool) -> None:
    record = Record(feed_limit_w=-4000.0, feed_limit_mono=10.0, departure_mono=15.0)
    record.rig = [
        {"kind": "sample", "t_mono": 11.0 + n, "evses": {"1": {"ac_w": power_w}}}
        for n, power_w in enumerate(powers)
    ]
    assert feed_check(record).ok is ok


def test_a_limit_is_told_once_though_the_source_stays() -> None:
    words = ["a", "a", "a; ocpp.der.DEMO", "a; ocpp.der.DEMO", "a"]
    record = Record(ticks=[
        Tick(float(n), 0.0, 0.0, 0.0, "csms", why) for n, why in enumerate(words)
    ])  # fmt: skip
    assert whys(record) == [(0.0, "a"), (2.0, "a; ocpp.der.DEMO"), (4.0, "a")]
