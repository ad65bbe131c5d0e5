"""Why a CHAdeMO session stops, and which of these are faults.

Owns the one table of stop causes. A cause without a fault name is a normal end.
"""

from __future__ import annotations

from enum import Enum


class StopCause(Enum):
    """Every way out of a session; the value is what `VehicleState.stop_cause` shows."""

    # The station wants it.
    STATION = "station"  # energise is gone
    STATION_FAULT = "station_fault"  # offer.fault_stop: the station names the fault
    STATION_SAFE_STATE = "station_safe_state"  # the MCU has opened everything
    STATION_SILENT = "station_silent"  # no offer for a second: our lease ran out
    TIME_OVER = "time_over"  # 101's longest time has passed
    # The vehicle wants it.
    VEHICLE_STOP = "vehicle_stop"  # 102.5.0 = 0
    NORMAL_STOP = "normal_stop"  # 102.5.4 before power
    PERMISSION_LOST = "permission_lost"  # k off
    TARGET_ZERO = "target_zero"  # target voltage 0
    NOT_IN_PARK = "not_in_park"  # 102.5.1
    VEHICLE_SYSTEM = "vehicle_system"  # 102.5.2
    VEHICLE_OVER_VOLTAGE = "vehicle_over_voltage"  # 102.4.0
    VEHICLE_UNDER_VOLTAGE = "vehicle_under_voltage"  # 102.4.1
    VEHICLE_CURRENT_DEVIATION = "vehicle_current_deviation"  # 102.4.2
    VEHICLE_OVER_TEMPERATURE = "vehicle_over_temperature"  # 102.4.3
    VEHICLE_VOLTAGE_DEVIATION = "vehicle_voltage_deviation"  # 102.4.4
    # The vehicle does not answer.
    NO_CAN = "no_can"  # no frames after d1
    NO_PERMISSION = "no_permission"  # no k with 102.5.0 after d1
    NO_REQUEST = "no_request"  # contactors closed, no current asked
    VEHICLE_SILENT = "vehicle_silent"  # 102 missing for 1 s
    BUS_LOST = "bus_lost"  # our own frames do not get out
    UNPLUGGED = "unplugged"  # proximity gone
    # Something is wrong.
    INCOMPATIBLE = "incompatible"
    LOCK = "lock"  # not confirmed, or lost
    CABLE_CHECK = "cable_check"
    PRECHARGE = "precharge"
    STATION_CONTACTOR = "station_contactor"
    EV_CONTACTOR = "ev_contactor"  # does not close, opens in use, or is welded
    INSULATION = "insulation"
    EMERGENCY_STOP = "emergency_stop"
    OVER_VOLTAGE = "over_voltage"
    UNDER_VOLTAGE = "under_voltage"
    OVER_CURRENT = "over_current"
    LIVE_CONNECTOR = "live_connector"  # voltage left where hands will be
    PILOT_LOST = "pilot_lost"
    STAGE_LOST = "stage_lost"
    INSULATION_LOST = "insulation_lost"


# Names of chargerd.faults.
FAULTS: dict[StopCause, str] = {
    StopCause.NOT_IN_PARK: "InvalidVehicleMode",
    StopCause.VEHICLE_SYSTEM: "ChademoFault",
    StopCause.VEHICLE_OVER_VOLTAGE: "ChademoFault",
    StopCause.VEHICLE_UNDER_VOLTAGE: "ChademoFault",
    StopCause.VEHICLE_CURRENT_DEVIATION: "ChademoFault",
    StopCause.VEHICLE_OVER_TEMPERATURE: "ChademoFault",
    StopCause.VEHICLE_VOLTAGE_DEVIATION: "ChademoFault",
    StopCause.NO_CAN: "VehicleTimeout",
    StopCause.NO_PERMISSION: "VehicleTimeout",
    StopCause.NO_REQUEST: "VehicleTimeout",
    StopCause.VEHICLE_SILENT: "VehicleTimeout",
    StopCause.BUS_LOST: "VehicleTimeout",
    StopCause.INCOMPATIBLE: "ChademoFault",
    StopCause.LOCK: "ConnectorLockFailure",
    StopCause.CABLE_CHECK: "CableCheckFault",
    StopCause.PRECHARGE: "PreChargeFailure",
    StopCause.STATION_CONTACTOR: "EVSEContactorFault",
    StopCause.EV_CONTACTOR: "EVContactorFault",
    StopCause.INSULATION: "ResistanceFault",
    StopCause.EMERGENCY_STOP: "EmergencyStop",
    StopCause.OVER_VOLTAGE: "OverVoltage",
    StopCause.UNDER_VOLTAGE: "UnderVoltage",
    StopCause.OVER_CURRENT: "OverCurrentFailure",
    StopCause.LIVE_CONNECTOR: "ConnectorVoltageHigh",
    StopCause.PILOT_LOST: "PilotLost",
    StopCause.STAGE_LOST: "StageLost",
    StopCause.INSULATION_LOST: "InsulationLost",
}

# 102.4 by name, as frames.VEHICLE_FAULT_BITS spells them.
VEHICLE_FAULTS: dict[str, StopCause] = {
    "over_voltage": StopCause.VEHICLE_OVER_VOLTAGE,
    "under_voltage": StopCause.VEHICLE_UNDER_VOLTAGE,
    "current_deviation": StopCause.VEHICLE_CURRENT_DEVIATION,
    "over_temperature": StopCause.VEHICLE_OVER_TEMPERATURE,
    "voltage_deviation": StopCause.VEHICLE_VOLTAGE_DEVIATION,
}

# Contactors open after at most 0.5 s, without waiting for the vehicle's weld check.
AT_ONCE = frozenset(
    {
        StopCause.STATION_SAFE_STATE,
        StopCause.STATION_SILENT,
        StopCause.VEHICLE_SILENT,
        StopCause.BUS_LOST,
        StopCause.UNPLUGGED,
        StopCause.LOCK,
        StopCause.STATION_CONTACTOR,
        StopCause.EV_CONTACTOR,
        StopCause.INSULATION,
        StopCause.EMERGENCY_STOP,
        StopCause.PILOT_LOST,
        StopCause.STAGE_LOST,
        StopCause.INSULATION_LOST,
    }
)

# 109.5.1: it is the station that is broken.
OUR_MALFUNCTION = frozenset(
    {
        StopCause.STATION_FAULT,
        StopCause.STATION_SAFE_STATE,
        StopCause.LOCK,
        StopCause.CABLE_CHECK,
        StopCause.PRECHARGE,
        StopCause.STATION_CONTACTOR,
        StopCause.EMERGENCY_STOP,
        StopCause.PILOT_LOST,
        StopCause.STAGE_LOST,
        StopCause.INSULATION_LOST,
    }
)

# 109.5.4: the charging system as a whole.
SYSTEM_MALFUNCTION = frozenset(
    {
        StopCause.EV_CONTACTOR,
        StopCause.INSULATION,
        StopCause.OVER_VOLTAGE,
        StopCause.UNDER_VOLTAGE,
        StopCause.OVER_CURRENT,
        StopCause.LIVE_CONNECTOR,
    }
)

# The vehicle sleeps: waking it costs its relays and 12 V battery, so only now and then.
ASLEEP = frozenset({StopCause.NO_CAN, StopCause.NO_PERMISSION})

# The vehicle ended it without a fault: while energise holds it is woken again later.
BY_VEHICLE = frozenset(
    {
        StopCause.VEHICLE_STOP,
        StopCause.NORMAL_STOP,
        StopCause.PERMISSION_LOST,
        StopCause.TARGET_ZERO,
        StopCause.TIME_OVER,
    }
)
