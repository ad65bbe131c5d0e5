"""Why a V2G session stops, and which of these are faults.

Owns the one table of stop causes. A cause without a fault name is a normal end.
"""

from __future__ import annotations

from enum import Enum


class Cause(Enum):
    """Every way out of a session; the value is what `VehicleState.stop_cause` shows."""

    # The station wants it.
    STATION = "station"  # energise is gone
    STATION_FAULT = "station_fault"  # offer.fault_stop: the station names the fault
    STATION_SAFE_STATE = "station_safe_state"  # the MCU has opened everything
    STATION_SILENT = "station_silent"  # no offer for a second
    # The vehicle wants it.
    VEHICLE_STOP = "vehicle_stop"
    VEHICLE_PAUSE = "vehicle_pause"
    VEHICLE_FAULT = "vehicle_fault"  # its own error code
    PILOT_LEFT = "pilot_left"  # C or D gone while energised
    # The vehicle does not answer, or is gone.
    SILENT = "silent"  # sequence time over
    ONGOING_TOO_LONG = "ongoing_too_long"
    DISCONNECTED = "disconnected"  # the connection broke
    UNPLUGGED = "unplugged"
    # Something is wrong.
    SEQUENCE = "sequence"  # a request out of order
    SESSION_ID = "session_id"  # unknown session
    PARAMETER = "parameter"  # what it says cannot be
    NOT_AUTHORISED = "not_authorised"
    LOCK = "lock"
    CABLE_CHECK = "cable_check"
    PRECHARGE = "precharge"
    INSULATION = "insulation"
    INSULATION_LOST = "insulation_lost"
    STATION_CONTACTOR = "station_contactor"
    EV_CONTACTOR = "ev_contactor"  # welded
    EMERGENCY_STOP = "emergency_stop"
    OVER_VOLTAGE = "over_voltage"
    LIVE_CONNECTOR = "live_connector"  # voltage left where hands will be
    PILOT_LOST = "pilot_lost"
    STAGE_LOST = "stage_lost"


# Names of chargerd.faults; a cause without one is a normal end.
FAULTS: dict[Cause, str] = {
    Cause.SILENT: "VehicleTimeout",
    Cause.ONGOING_TOO_LONG: "VehicleTimeout",
    Cause.DISCONNECTED: "VehicleTimeout",
    Cause.VEHICLE_FAULT: "V2gFault",
    Cause.SEQUENCE: "V2gFault",
    Cause.SESSION_ID: "V2gFault",
    Cause.PARAMETER: "V2gFault",
    Cause.LOCK: "ConnectorLockFailure",
    Cause.CABLE_CHECK: "CableCheckFault",
    Cause.PRECHARGE: "PreChargeFailure",
    Cause.INSULATION: "ResistanceFault",
    Cause.INSULATION_LOST: "InsulationLost",
    Cause.STATION_CONTACTOR: "EVSEContactorFault",
    Cause.EV_CONTACTOR: "EVContactorFault",
    Cause.EMERGENCY_STOP: "EmergencyStop",
    Cause.OVER_VOLTAGE: "OverVoltage",
    Cause.LIVE_CONNECTOR: "ConnectorVoltageHigh",
    Cause.PILOT_LOST: "PilotLost",
    Cause.STAGE_LOST: "StageLost",
}
