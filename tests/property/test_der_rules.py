"""Whatever DER controls a CSMS sends: an answer, and rules that only narrow power."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.model_grid import NO_RULES
from chargerd.scheduler.grid_rules import Plate
from tests.unit.ocpp.der_kit import EXAMPLES, rules
from tests.unit.ocpp.der_kit import rig as der_rig
from tests.unit.scheduler.test_grid_rules import at

numbers = st.one_of(
    st.sampled_from(
        [0.0, -1.0, 1.0, 49.5, 50.0, 50.5, 90.0, 100.0, 110.0, 1e15, -1e15]
    ),
    st.floats(-250.0, 250.0, allow_nan=False),
)
UNITS = ("Not_Applicable", "PctMaxW", "PctMaxVar", "PctWAvail", "PctVarAvail",
         "PctEffectiveV")  # fmt: skip
HYSTERESIS = ("High", "Low", "Delay", "Gradient")
point = st.fixed_dictionaries({"x": numbers, "y": numbers})
curves = st.fixed_dictionaries(
    {
        "priority": st.integers(0, 9),
        "yUnit": st.sampled_from(UNITS),
        "curveData": st.lists(point, min_size=1, max_size=10),
    },
    optional={
        "responseTime": numbers,
        "hysteresis": st.fixed_dictionaries(
            {},
            optional={f"hysteresis{name}": numbers for name in HYSTERESIS},
        ),
        "voltageParams": st.fixed_dictionaries(
            {},
            optional={"hv10MinMeanValue": numbers, "hv10MinMeanTripDelay": numbers},
        ),
        "reactivePowerParams": st.fixed_dictionaries({}, optional={"vRef": numbers}),
    },
)  # fmt: skip


@st.composite
def controls(draw: st.DrawFn) -> dict[str, Any]:
    """An example with some of its numbers moved, or any curve at all."""
    kind = draw(st.sampled_from(sorted(EXAMPLES)))
    field, example = EXAMPLES[kind]
    if field == "curve":
        body = draw(st.one_of(st.just(example), curves))
    else:
        body = {
            name: draw(numbers) if isinstance(value, float) and draw(st.booleans())
            else value
            for name, value in example.items()
        }  # fmt: skip
    return {
        "isDefault": True, "controlId": draw(st.text("ab", min_size=1, max_size=2)),
        "controlType": kind, field: body,
    }  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(
    st.lists(controls(), min_size=1, max_size=6),
    st.floats(44.0, 66.0),
    st.floats(0.0, 400.0),
    st.floats(-9000.0, 9000.0),
)
def test_no_control_breaks_or_widens_anything(
    made: list[dict[str, Any]], hertz: float, volts: float, setpoint_w: float
) -> None:
    rig = der_rig()
    for request in made:
        answer: Any = rig.call("SetDERControl", request)
        assert answer["status"] in ("Accepted", "Rejected")
    free = at(NO_RULES, setpoint_w, 0.5, plate=Plate(10_000.0, 0.8),
              frequency_hz=hertz, voltage_v=volts, voltage_low_v=volts)  # fmt: skip
    bound = at(rules(rig), setpoint_w, 0.5, plate=Plate(10_000.0, 0.8),
               frequency_hz=hertz, voltage_v=volts, voltage_low_v=volts)  # fmt: skip
    assert math.isfinite(bound.wanted_w)
    assert bound.hard_low_w <= 0.0 <= bound.hard_high_w
    assert bound.hard_high_w <= free.hard_high_w or made_droop(made)
    assert -6000.0 <= bound.wanted_w <= 7000.0
    assert bound.wanted_w * setpoint_w >= 0.0
    assert bound.setpoint_var is None or math.isfinite(bound.setpoint_var)


def made_droop(made: list[dict[str, Any]]) -> bool:
    """A droop takes the place of the grid code's own, which may have been stricter."""
    return any(request["controlType"] == "FreqDroop" for request in made)
