"""The rows of the test components FrequencySimulator and DataCollector (Q, 2.18.7, .8).

They exist only with `[ocpp] test_components`: who can set them can move power.
"""

from __future__ import annotations

from chargerd.ocpp.table.row import MEASURANDS, Kind, Place, Row

SAMPLED = "Frequency,Power.Active.Import,Power.Active.Export,Power.Active.Setpoint"
TEXT_MAX = 2500  # of an attribute's value


def _wanted(place: Place) -> bool:
    return place.config.ocpp.test_components


def _row(
    component: str,
    variable: str,
    kind: Kind,
    default: str = "",
    *,
    instance: str = "",
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    values: tuple[str, ...] = (),
) -> Row:
    return Row(
        component, variable, kind, default, instance, "evse", unit=unit, low=low,
        high=high, values=values, only=_wanted,
    )  # fmt: skip


def _window(component: str) -> tuple[Row, ...]:
    return (
        _row(component, "Enabled", "boolean", "false"),
        _row(component, "DateTime", "dateTime", instance="Start"),
        _row(component, "DateTime", "dateTime", instance="End"),
    )


ROWS: tuple[Row, ...] = (
    *_window("FrequencySimulator"),
    _row("FrequencySimulator", "FrequencySchedule", "string", high=TEXT_MAX),
    *_window("DataCollector"),
    _row("DataCollector", "SamplingInterval", "decimal", "0.1", unit="s", low=0.05,
         high=3600),
    _row("DataCollector", "SampledMeasurands", "MemberList", SAMPLED,
         values=MEASURANDS),
)  # fmt: skip
