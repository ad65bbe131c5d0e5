"""K11 to K13, to the stage: no vehicle is charged faster than an external limit."""

from __future__ import annotations

import pytest

from chargerd.model import OperationMode
from tests.unit.ocpp.profile_kit import install, profile
from tests.unit.ocpp.whole import SITE, Whole, conf

LIMITS = OperationMode.EXTERNAL_LIMITS
PLAN = [{"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": 5000.0}]


def rate_changes(whole: Whole) -> int:
    told = [event["triggerReason"] for event in whole.rig.events()]
    return told.count("ChargingRateChanged")


@pytest.mark.req("K11.FR.01", "K13.FR.01", "K11.FR.02", "K13.FR.02")
@pytest.mark.req("K11.FR.04", "K13.FR.03")
def test_a_limit_narrows_a_running_transaction_until_it_is_gone() -> None:
    whole = Whole()
    whole.start()
    install(whole.rig, profile(periods=PLAN))
    whole.run(5.0)
    assert whole.power_w == pytest.approx(5000.0, abs=100.0)
    whole.external(mode=LIMITS, limit_w=2000.0, evse_id=0, seconds=20.0)
    for _ in range(15):
        whole.run(1.0)
    assert whole.power_w <= 2000.0 + 1.0
    assert len(whole.rig.payloads("NotifyChargingLimit")) == 1
    assert rate_changes(whole) == 1  # the heart has cut at once
    whole.run(20.0)
    assert whole.power_w == pytest.approx(5000.0, abs=100.0)
    assert len(whole.rig.payloads("ClearedChargingLimit")) == 1
    assert rate_changes(whole) == 2


@pytest.mark.req("K12.FR.01", "K04.FR.05")
def test_a_limit_that_came_before_holds_for_all_evses_together() -> None:
    whole = Whole(conf(evses=2))
    whole.external(mode=LIMITS, limit_w=3000.0, evse_id=0, seconds=900.0)
    whole.run(1.0)
    for evse_id in (1, 2):
        whole.start(evse_id)
        install(whole.rig, profile(evse_id, periods=PLAN), evse_id)
    highest = 0.0
    for _ in range(30):
        whole.run(1.0)
        both = sum(max(0.0, w) for w in whole.stand.bridge.power_w.values())
        highest = max(highest, both)
    assert 1000.0 < highest <= 3000.0 + 1.0


@pytest.mark.req("K04.FR.02", "K02.FR.08")
def test_without_limits_of_others_the_stations_own_holds() -> None:
    """The connection takes 4 kW, as configured; 5 kW are asked for."""
    whole = Whole(conf(site={**SITE, "import_w": 4000.0}))
    whole.start()
    install(whole.rig, profile(periods=PLAN))
    whole.run(10.0)
    assert whole.power_w == pytest.approx(4000.0, abs=100.0)
    assert whole.power_w <= 4000.0 + 1.0
