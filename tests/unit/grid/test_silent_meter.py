"""A meter that is silent has no power: the last one is not told for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chargerd.config_grid_servers import S2
from chargerd.grid import (
    echonet_device,
    openadr2_reports,
    openadr3_reports,
    sunspec_state,
)
from chargerd.grid.s2_tell import Teller
from chargerd.grid.s2_words import Words, ids
from chargerd.grid.site_wish import Wishes
from chargerd.model import EvseReport
from firmware_bridge.api import Reading, StageMode, StageReading
from tests.unit.grid.ieee2030_5_stand import Stand as Ieee2030
from tests.unit.grid.s2_stand import Stand as Cem
from tests.unit.grid.stand import at, config, report

EVSE = config().evse[0]


def _ieee2030_5(told: EvseReport) -> object:
    controls = Ieee2030().controls
    controls.report(told)
    return controls.seen()["power_w"]


def _s2(told: EvseReport) -> object:
    made = Words(EVSE, ids("CS1", 1), Cem().new_id)
    teller = Teller(S2(url="ws://127.0.0.1:1/"), EVSE, made)
    kinds = teller.tick(told, None, told.snapshot.now, storage=False)
    return list(kinds) or None


def _sunspec(name: str) -> Callable[[EvseReport], object]:
    return lambda told: sunspec_state.live(told, sunspec_state.rating(EVSE)).get(name)


TELLERS: dict[str, Callable[[EvseReport], object]] = {
    "openadr2": lambda told: openadr2_reports._value("power", told),
    "openadr3": lambda told: openadr3_reports._value("READING", told, None, 60.0),
    "openadr3 energy": openadr3_reports._register,
    "ieee2030_5": _ieee2030_5,
    "s2": _s2,
    "echonet": lambda told: echonet_device.values(told, 0.0).get(0xD3),
    "sunspec": _sunspec("701.W"),
    "sunspec's stage": _sunspec("714.DCW"),
}


def seen_at(mono: float) -> EvseReport:
    """The devices were heard last at 99.9 s."""
    told = report(mono=100.0)
    stage = StageReading(380.0, -8.0, StageMode.DISCHARGE, on=True)
    telemetry = replace(told.snapshot.telemetry, stage=Reading(stage, 99.9))
    snapshot = replace(told.snapshot, now=at(mono), telemetry=telemetry)
    return replace(told, snapshot=snapshot)


@pytest.mark.parametrize("name", TELLERS)
def test_a_silent_meter_is_not_told(name: str) -> None:
    assert TELLERS[name](seen_at(102.8)) is not None
    assert TELLERS[name](seen_at(103.0)) is None


def test_then_a_charger_takes_what_it_is_commanded() -> None:
    for mono, power_w in ((102.8, -2990.0), (103.0, -3000.0)):
        wishes = Wishes((EVSE,))
        wishes.report(seen_at(mono))
        assert wishes.wish(mono).power_w == power_w
