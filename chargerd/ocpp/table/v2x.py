"""The rows of block Q: bidirectional power transfer."""

from __future__ import annotations

from chargerd.ocpp.table.row import (
    MEASURANDS,
    MODES,
    SETPOINTS,
    Place,
    Row,
    discharges,
    is_dc,
    read,
    yes,
)


def _energy_transfer(place: Place) -> str:
    """EnergyTransferModeEnumType; it has no name for MCS, whose words are DC's."""
    evse = place.one_evse
    ac = "AC_single_phase" if evse.ac_phases == 1 else "AC_three_phase"
    if evse.iso15118 is None:
        dc = "DC,DC_BPT" if discharges(place) else "DC"
        return dc if is_dc(evse) else ac
    names = {"AC": ac, "MCS": "DC", "MCS_BPT": "DC_BPT"}
    modes = [names.get(energy, energy) for energy in evse.iso15118.energies]
    return ",".join(dict.fromkeys(modes))


# Without discharge, too (Q 2.2): the first four of the list.
_PLAIN = ("ChargingOnly", "ExternalSetpoint", "ExternalLimits", "CentralSetpoint",
          "Idle")  # fmt: skip


def _modes(place: Place) -> str:
    """Load balancing needs the meter of the connection."""
    names: tuple[str, ...] = MODES if discharges(place) else _PLAIN
    if place.config.site.meter is None:
        names = tuple(name for name in names if name != "LocalLoadBalancing")
    return ",".join(names)


def _balances(place: Place) -> bool:
    return "LocalLoadBalancing" in _modes(place)


def _sampled(mode: str) -> str:
    """In modes with a setpoint: how well it is followed."""
    return SETPOINTS if mode not in ("ChargingOnly", "Idle") else ""


ROWS: tuple[Row, ...] = (
    read("V2XChargingCtrlr", "Available", "boolean", lambda p: yes(discharges(p)),
          scope="evse"),
    Row("V2XChargingCtrlr", "Enabled", "boolean", lambda p: yes(discharges(p)),
        scope="evse"),
    read("V2XChargingCtrlr", "SupportedEnergyTransferModes", "MemberList",
          _energy_transfer, scope="evse"),
    read("V2XChargingCtrlr", "SupportedOperationModes", "MemberList", _modes,
          scope="evse", values=MODES),
    Row("V2XChargingCtrlr", "LocalFrequencyUpdateThreshold", "decimal", "0",
        scope="evse", unit="mHz", low=0, high=1000, only=discharges),
    *(
        Row("V2XChargingCtrlr", "LocalLoadBalancing", "decimal", "", name, "evse",
            unit="W", low=-2_000_000, high=2_000_000, only=_balances)
        for name in ("LowerThreshold", "LowerOffset", "UpperThreshold", "UpperOffset")
    ),
    *(
    row
    for mode in MODES
    for row in (
        Row("V2XChargingCtrlr", "TxStartedMeasurands", "MemberList", "", mode, "evse",
            values=MEASURANDS),
        Row("V2XChargingCtrlr", "TxUpdatedMeasurands", "MemberList", _sampled(mode),
            mode, "evse", values=MEASURANDS),
        Row("V2XChargingCtrlr", "TxEndedMeasurands", "MemberList", "", mode, "evse",
            values=MEASURANDS),
        Row("V2XChargingCtrlr", "TxUpdatedInterval", "integer", "0", mode, "evse",
            unit="s", low=0, high=86_400),
        Row("V2XChargingCtrlr", "TxEndedInterval", "integer", "0", mode, "evse",
            unit="s", low=0, high=86_400),
    )
    ),
)  # fmt: skip
