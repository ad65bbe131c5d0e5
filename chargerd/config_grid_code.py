"""The grid code's part of the configuration: default curves and frequency services.

`[site] grid_code = "policies/de.toml"` reads such a table from a file beside the
configuration. Frequencies are deviations from nominal, powers shares of the rating, so
that one file serves 50 and 60 Hz and every size.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chargerd.config_base import Seconds, Section, Watts

Hertz = Annotated[float, Field(ge=-10, le=10)]
Share = Annotated[float, Field(ge=-1, le=1)]
Point = tuple[Hertz, Share]


class Droop(Section):
    """One side: from this deviation on, power moves by `droop_pct`.

    Droop: per cent of the nominal frequency for 100 % of the rating.
    """

    deadband_hz: Annotated[float, Field(gt=0, le=5)]
    droop_pct: Annotated[float, Field(ge=0.5, le=100)]


class Service(Section):
    """A frequency service as it is sold: share of the sold power over deviation.

    + = into the vehicle. `hold_s`: full power must last so long.
    """

    points: Annotated[tuple[Point, ...], Field(min_length=2, max_length=20)]
    hold_s: Seconds = 900.0


class GridCode(Section):
    """Defaults that hold for ever. The file's name goes into the records."""

    name: str = "none"
    over: Droop | None = None  # over-frequency: less out of the vehicle (LFSM-O)
    under: Droop | None = None  # under-frequency: less into the vehicle (LFSM-U)
    response_s: Annotated[float, Field(ge=0, le=60)] = 0.0  # open loop, to 90 %
    recover_s: Seconds = 600.0  # back to full rating after it
    feed_under_hz: Annotated[float, Field(gt=0, le=10)] = 2.5  # nothing is fed beyond
    feed_over_hz: Annotated[float, Field(gt=0, le=10)] = 2.5
    # Share of the rating that may be fed back over voltage in shares of nominal.
    volt_watt: tuple[tuple[Annotated[float, Field(ge=0.5, le=1.5)], Share], ...] = ()
    # cos phi while charging, where the operator asks for one; negative: as a capacitor
    # takes it (leading). Japan: 0.80 to 1.00 in steps of 1 % (OCCTO, 2025-12-16).
    charge_power_factor: Annotated[float, Field(ge=-1, le=1)] = 1.0
    frequency_max_age_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    reconnect_s: Seconds = 300.0  # after a blackout: the grid must be well so long
    services: dict[str, Service] = Field(default_factory=dict)


class FrequencyService(Section):
    """`[site.frequency_service]`: which service of the grid code this station gives."""

    name: str
    power_w: Watts  # magnitude, sold in both directions
    baseline_w: Annotated[float, Field(ge=-2e6, le=2e6)] | None = None  # None: the plan
