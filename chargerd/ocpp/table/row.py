"""What a row of the device model is, and short ways to write one.

Owns the shape of a variable (OCPP 2.1 part 2 section 2 and the appendix
`dm_components_vars`) and words that several rows and blocks share. Holds no row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from chargerd.config import Config, Connector, Evse

Kind = Literal[
    "string", "decimal", "integer", "boolean", "dateTime", "OptionList", "MemberList",
    "SequenceList",
]  # fmt: skip
Scope = Literal["station", "evse", "connector"]
Mutability = Literal["ReadOnly", "WriteOnly", "ReadWrite"]
Attribute = Literal["Actual", "Target", "MinSet", "MaxSet"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row is instantiated: the whole config, and the EVSE and connector."""

    config: Config
    evse: Evse | None = None
    connector: Connector | None = None

    @property
    def one_evse(self) -> Evse:
        """The EVSE of an EVSE row; for a station row the first one."""
        return self.evse or self.config.evse[0]


Computed = Callable[[Place], str]
Bound = float | Callable[[Place], float] | None


@dataclass(frozen=True, slots=True)
class More:
    """An attribute beside Actual; type and limits are the row's."""

    attribute: Attribute
    default: str | Computed = ""  # "" = not set yet
    mutability: Mutability = "ReadOnly"


@dataclass(frozen=True, slots=True)
class Row:
    """One variable. `live` rows are computed by the code, never preset or saved."""

    component: str  # "Name", or "Name[instance]"
    variable: str
    kind: Kind
    default: str | Computed
    instance: str = ""  # of the variable
    scope: Scope = "station"
    mutability: Mutability = "ReadWrite"
    unit: str = ""
    low: Bound = None
    high: Bound = None
    values: tuple[str, ...] = ()
    live: bool = False
    summary: bool = False  # B07: part of the SummaryInventory
    monitored: bool = False  # N04: monitors can be set on it
    more: tuple[More, ...] = ()
    only: Callable[[Place], bool] | None = None  # places that have it; None = all


STATES = ("Available", "Occupied", "Reserved", "Unavailable", "Faulted")
TX_POINTS = ("EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer")
MODES = (
    "ChargingOnly", "CentralSetpoint", "ExternalSetpoint", "ExternalLimits",
    "CentralFrequency", "LocalFrequency", "LocalLoadBalancing", "Idle",
)  # fmt: skip
MEASURANDS = (
    "Energy.Active.Import.Register", "Energy.Active.Export.Register",
    "Energy.Active.Net", "Energy.Active.Import.Interval",
    "Energy.Active.Export.Interval", "Energy.Active.Setpoint.Interval",
    "Energy.Reactive.Import.Register", "Energy.Reactive.Export.Register",
    "Energy.Reactive.Net", "Energy.Reactive.Import.Interval",
    "Energy.Reactive.Export.Interval",
    "Power.Active.Import", "Power.Active.Export", "Power.Active.Setpoint",
    "Power.Active.Residual", "Power.Reactive.Import", "Power.Reactive.Export",
    "Power.Factor", "Power.Offered", "Power.Import.Offered", "Power.Import.Minimum",
    "Power.Export.Offered", "Power.Export.Minimum",
    "Current.Import", "Current.Export", "Voltage", "Voltage.Minimum",
    "Voltage.Maximum", "Frequency", "SoC",
    "Display.PresentSOC", "Display.MinimumSOC", "Display.TargetSOC",
    "Display.MaximumSOC", "Display.BatteryEnergyCapacity",
    "EnergyRequest.Target", "EnergyRequest.Minimum", "EnergyRequest.Maximum",
    "EnergyRequest.Minimum.V2X", "EnergyRequest.Maximum.V2X",
)  # fmt: skip  # at most 1,000 characters as one list
REGISTERS = "Energy.Active.Import.Register,Energy.Active.Export.Register"
POWERS = "Power.Active.Import,Power.Active.Export"
SETPOINTS = "Power.Active.Setpoint,Power.Active.Residual"
PURPOSES = (
    "ChargingStationMaxProfile",
    "ChargingStationExternalConstraints",
    "TxDefaultProfile",
    "TxProfile",
    "PriorityCharging",
    "LocalGeneration",
)
MAX_PERIODS = 1024
MAX_PROFILES = 32


def yes(flag: bool) -> str:
    return "true" if flag else "false"


def is_dc(evse: Evse) -> bool:
    """Whether its vehicles are charged with DC; a connector may offer both."""
    if evse.iso15118 is None:
        return evse.devices.stage is not None
    return any(not energy.startswith("AC") for energy in evse.iso15118.energies)


def discharges(place: Place) -> bool:
    evse = place.one_evse
    if evse.iso15118 is None:
        return evse.discharge_w > 0 and is_dc(evse)
    both_ways = any(energy.endswith("_BPT") for energy in evse.iso15118.energies)
    return evse.discharge_w > 0 and both_ways


def read(
    component: str,
    variable: str,
    kind: Kind,
    default: str | Computed,
    *,
    instance: str = "",
    scope: Scope = "station",
    unit: str = "",
    high: Bound = None,
    values: tuple[str, ...] = (),
    live: bool = False,
    summary: bool = False,
    monitored: bool = False,
    more: tuple[More, ...] = (),
    only: Callable[[Place], bool] | None = None,
) -> Row:
    """A ReadOnly row."""
    return Row(
        component, variable, kind, default, instance, scope, "ReadOnly", unit,
        high=high, values=values, live=live, summary=summary, monitored=monitored,
        more=more, only=only,
    )  # fmt: skip


def seconds(
    component: str,
    variable: str,
    default: str,
    low: float,
    high: float,
    instance: str = "",
) -> Row:
    return Row(
        component, variable, "integer", default, instance, unit="s", low=low, high=high
    )


def flag(component: str, variable: str, default: bool) -> Row:
    return Row(component, variable, "boolean", yes(default))


def flag_of(component: str, variable: str, instance: str, *, default: bool) -> Row:
    return Row(component, variable, "boolean", yes(default), instance)


def measurands(component: str, variable: str, default: str, instance: str = "") -> Row:
    return Row(component, variable, "MemberList", default, instance, values=MEASURANDS)
