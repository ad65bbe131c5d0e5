"""What an EVSE's promise may count on of a shared connection."""

from __future__ import annotations

from chargerd import config
from chargerd.model import PromiseRequest, StartRequest, Token
from tests.unit.scheduler.stand import Stand


def test_an_idle_evse_does_not_halve_what_the_others_promise_counts_on() -> None:
    """While EVSE 1 discharges, all of the connection may charge it again."""
    site = config.Site(import_w=6_000, export_w=20_000, export_permit="TEST")
    stand = Stand(2, site=site, with_site=True)
    stand.start(1)
    stand.setpoint(-3_000.0)
    stand.run(3.0)
    assert stand.decision(1).power_w == -3_000.0
    assert stand.decision(1).high_w >= 5_000.0  # the house takes 500 W


def test_a_car_that_starts_does_not_take_what_a_promise_counts_on() -> None:
    """Each may count on its half; what the other wants or takes now does not move it.

    Seen with two ISO 15118 cars: each in turn found no power left for its promise, had
    to charge at once, and took it from the other.
    """
    site = config.Site(import_w=5_000, export_w=10_000, export_permit="TEST")
    stand = Stand(2, site=site, with_site=True)
    stand.start(1)
    leaves_mono = stand.now().mono + 40_000.0
    stand.cycle.request(PromiseRequest(1, leaves_mono, 80.0))
    stand.setpoint(-3_000.0)
    stand.run(3.0)
    stand.plug(2)
    stand.beat()
    stand.cycle.request(StartRequest(2, Token("0102")))
    for _ in range(100):
        stand.beat()
        assert stand.decision(1).power_w == -3_000.0
    assert stand.decision(2).power_w > 3_000.0
