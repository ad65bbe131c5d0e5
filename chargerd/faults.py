"""THE fault table: every fault this station can raise, one row each.

Owns names, codes for the outside (MREC Rev 5, CharIN UEC draft, OCPP 1.6, OCPP 2.x
component and variable), what a fault does to power, how it clears, and what people
should do. Must never decide when a fault is present: that is evse/ and the doors.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from chargerd.model import StopReason

MREC_VENDOR = "https://chargex.inl.gov"
UEC_VENDOR = "org.charin.uec.v1"


class Severity(IntEnum):
    """OCPP 2.x monitoring severities (0 = danger ... 9 = debug), those we use."""

    DANGER = 0
    HARDWARE_FAILURE = 1
    SYSTEM_FAILURE = 2
    CRITICAL = 3
    ERROR = 4
    WARNING = 6
    INFORMATIONAL = 8


class Clear(Enum):
    """When a fault whose cause is gone leaves the list."""

    GONE = "gone"  # `clear_after_s` after the cause has gone
    UNPLUG = "unplug"  # the cause has gone and the vehicle is unplugged
    RESET = "reset"  # the cause has gone and a technician has reset the station


@dataclass(frozen=True, slots=True)
class Fault:
    """One row. `stops_power` = 0 W while present; `ends_session` = not resumed after.

    `discharge_only` faults forbid discharge and leave charging alone. `mrec` is "" for
    faults MREC does not know. MREC names CX007, CX012, CX013, CX016 and CX021 and the
    UEC column are unverified [K].
    """

    name: str
    mrec: str
    uec: str
    ocpp16: str
    component: str
    variable: str
    severity: Severity
    stops_power: bool
    ends_session: bool
    discharge_only: bool
    clear: Clear
    clear_after_s: float
    stop_reason: StopReason
    driver: str
    technician: str


_STOP = (True, True, False)  # ends the session
_PAUSE = (True, False, False)  # 0 W while present, then goes on
_NOTE = (False, False, False)
_NO_V2X = (False, False, True)

_Effect = tuple[bool, bool, bool]
_Outside = tuple[str, str, str, str, str]  # mrec, uec, ocpp16, component, variable
_TABLE: dict[str, Fault] = {}


def _row(
    name: str,
    outside: _Outside,
    severity: Severity,
    effect: _Effect,
    clear: tuple[Clear, float],
    driver: str,
    technician: str,
    stop_reason: StopReason = StopReason.OTHER,
) -> None:
    _TABLE[name] = Fault(
        name, *outside, severity, *effect, *clear, stop_reason, driver, technician
    )


_GONE_5 = (Clear.GONE, 5.0)
_GONE_1 = (Clear.GONE, 1.0)
_UNPLUG = (Clear.UNPLUG, 0.0)
_RESET = (Clear.RESET, 0.0)
_REPLUG = "Unplug the cable, plug it in again firmly and retry."
_OTHER_STATION = "Please use another charger. The operator has been told."

_row(
    "ConnectorLockFailure",
    (
        "CX001",
        "ConnectorLockFailure",
        "ConnectorLockFailure",
        "ConnectorPlugRetentionLock",
        "Problem",
    ),
    Severity.ERROR,
    _STOP,
    _UNPLUG,
    _REPLUG,
    "Run lock and unlock by hand; check the lock motor, its feedback and dirt.",
)
_row(
    "GroundFailure",
    ("CX002", "InsulationFault", "GroundFailure", "RCD", "Tripped"),
    Severity.DANGER,
    _STOP,
    _RESET,
    "Do not touch the cable. " + _OTHER_STATION,
    "Find the earth leakage (cable, inlet, stage) before you reset the RCM.",
    StopReason.GROUND_FAULT,
)
_row(
    "HighTemperature",
    ("CX003", "HighTemperature", "HighTemperature", "TemperatureSensor", "Active"),
    Severity.WARNING,
    _PAUSE,
    (Clear.GONE, 60.0),
    "The charger is too warm. It goes on by itself when it has cooled down.",
    "Check fans, filters and ambient temperature; compare the sensors.",
)
_row(
    "OverCurrentFailure",
    (
        "CX004",
        "OverCurrent",
        "OverCurrentFailure",
        "OverCurrentProtection",
        "Active",
    ),
    Severity.CRITICAL,
    _STOP,
    _UNPLUG,
    _REPLUG,
    "Compare stage current, meter and setpoint; check the stage's calibration.",
    StopReason.OVERCURRENT_FAULT,
)
_row(
    "OverVoltage",
    ("CX005", "OverVoltage", "OverVoltage", "EVSE", "DCVoltage"),
    Severity.CRITICAL,
    _STOP,
    _UNPLUG,
    _REPLUG,
    "Read DC voltage at stage and connector; check the vehicle's limits.",
)
_row(
    "UnderVoltage",
    ("CX006", "UnderVoltage", "UnderVoltage", "EVSE", "DCVoltage"),
    Severity.ERROR,
    _STOP,
    _UNPLUG,
    _REPLUG,
    "Read DC voltage at stage and connector; check fuse and contactor.",
)
_row(
    "WeakSignal",
    ("CX007", "PLCLinkLost", "OtherError", "DataLink", "Problem"),
    Severity.INFORMATIONAL,
    _NOTE,
    (Clear.GONE, 60.0),
    "",
    "Measure the modem's signal; check antenna and SIM.",
)
_row(
    "EmergencyStop",
    ("CX008", "EmergencyStop", "OtherError", "EmergencyStopSensor", "Active"),
    Severity.DANGER,
    _STOP,
    _UNPLUG,
    "Emergency stop pressed. Release the button, then unplug and start again.",
    "Find out why it was pressed, release it, check the chain to the contactor.",
    StopReason.EMERGENCY_STOP,
)
_row(
    "AuthorizationTimeout",
    ("CX009", "AuthorizationTimeoutUser", "OtherError", "TokenReader", "Problem"),
    Severity.INFORMATIONAL,
    _NOTE,
    _UNPLUG,
    "No card was accepted in time. Present your card again.",
    "Check the reader and the answer times of the central system.",
    StopReason.TIMEOUT,
)
_row(
    "InvalidVehicleMode",
    ("CX010", "ControlPilotStateUnexpected", "OtherError", "ConnectedEV", "Problem"),
    Severity.ERROR,
    _STOP,
    _UNPLUG,
    "The vehicle is not ready. Put it in P, switch it off, plug in again.",
    "Read the vehicle's state from the log; compare with a second vehicle.",
)
_row(
    "CableCheckFault",
    (
        "CX011",
        "InsulationFault",
        "OtherError",
        "GroundIsolationProtection",
        "Problem",
    ),
    Severity.CRITICAL,
    _STOP,
    _UNPLUG,
    _REPLUG,
    "Measure insulation of cable and inlet; run the monitor's self-test.",
    StopReason.GROUND_FAULT,
)
_row(
    "PreChargeFailure",
    ("CX012", "V2GTimeout", "OtherError", "AcDcConverter", "Problem"),
    Severity.ERROR,
    _STOP,
    _UNPLUG,
    _REPLUG,
    "Check that the stage reaches the battery's voltage; check DC contactor, fuse.",
)
_row(
    "NoInternet",
    ("CX013", "NoInternet", "OtherError", "DataLink", "Problem"),
    Severity.INFORMATIONAL,
    _NOTE,
    (Clear.GONE, 10.0),
    "",
    "Check uplink, SIM, router and name resolution.",
)
_row(
    "PilotFault",
    ("CX014", "ControlPilotFault", "OtherError", "CPPWMController", "Problem"),
    Severity.ERROR,
    _STOP,
    _UNPLUG,
    _REPLUG,
    "Measure the pilot voltages A to E at the connector; check the cable.",
)
_row(
    "PowerLoss",
    ("CX015", "GridPowerLoss", "OtherError", "ElectricalFeed", "Problem"),
    Severity.ERROR,
    _PAUSE,
    (Clear.GONE, 10.0),
    "The mains is off. Charging goes on when it is back.",
    "Check feed, breaker and meter voltages on all phases.",
    StopReason.POWER_LOSS,
)
_row(
    "EVContactorFault",
    ("CX016", "ContactorFault", "OtherError", "ConnectedEV", "Problem"),
    Severity.ERROR,
    _STOP,
    _UNPLUG,
    "The vehicle did not connect its battery. " + _REPLUG,
    "Read the vehicle's contactor bit in the log; try a second vehicle.",
)
_row(
    "EVSEContactorFault",
    ("CX017", "ContactorFault", "PowerSwitchFailure", "PowerContactor", "Problem"),
    Severity.DANGER,
    _STOP,
    _RESET,
    _OTHER_STATION,
    "Compare contactor drive and mirror contact with mains off; replace if welded.",
)
_row(
    "CableOverTempDerate",
    ("CX018", "HighTemperature", "OtherError", "TemperatureSensor", "Active"),
    Severity.WARNING,
    _NOTE,
    (Clear.GONE, 30.0),
    "The cable is warm: charging is slower for a while.",
    "Check the contacts of the connector for wear and dirt.",
)
_row(
    "CableOverTempStop",
    ("CX019", "HighTemperature", "OtherError", "TemperatureSensor", "Problem"),
    Severity.CRITICAL,
    _STOP,
    _UNPLUG,
    "The connector is too hot. Let it cool down before you unplug it.",
    "Replace connector or contacts; measure contact resistance.",
)
_row(
    "PartialInsertion",
    ("CX020", "ProximityPilotNotDetected", "OtherError", "Connector", "Problem"),
    Severity.WARNING,
    _PAUSE,
    _GONE_1,
    "Push the connector in until it clicks.",
    "Check latch and proximity switch.",
)
_row(
    "CapacitanceFault",
    (
        "CX021",
        "InsulationFault",
        "OtherError",
        "GroundIsolationProtection",
        "Problem",
    ),
    Severity.ERROR,
    _STOP,
    _UNPLUG,
    _REPLUG,
    "Measure Y capacitance of vehicle and station; try a second vehicle.",
)
_row(
    "ResistanceFault",
    ("CX022", "InsulationFault", "OtherError", "GroundIsolationProtection", "Active"),
    Severity.DANGER,
    _STOP,
    _UNPLUG,
    "Do not touch the cable. " + _OTHER_STATION,
    "Measure insulation resistance with and without a vehicle.",
    StopReason.GROUND_FAULT,
)
_row(
    "ProximityFault",
    ("CX023", "ProximityPilotFault", "OtherError", "Connector", "Problem"),
    Severity.ERROR,
    _STOP,
    _UNPLUG,
    _REPLUG,
    "Measure the proximity resistance at the connector.",
)
_row(
    "ConnectorVoltageHigh",
    ("CX024", "OverVoltage", "OverVoltage", "Connector", "Problem"),
    Severity.DANGER,
    _STOP,
    _RESET,
    "Do not touch the connector. " + _OTHER_STATION,
    "Voltage without a session: check both contactors and the discharge resistor.",
)
_row(
    "BrokenLatch",
    ("CX025", "BrokenLatch", "OtherError", "ConnectorPlugRetentionLock", "Problem"),
    Severity.ERROR,
    _STOP,
    _RESET,
    _OTHER_STATION,
    "Replace the latch or the connector.",
)
_row(
    "CutCable",
    ("CX026", "CutCable", "OtherError", "CableBreakawaySensor", "Active"),
    Severity.DANGER,
    _STOP,
    _RESET,
    "Do not touch the cable. " + _OTHER_STATION,
    "Mains off, replace the cable, then reset.",
)

# Ours: what MREC lacks.
_row(
    "DiodeFault",
    ("", "ControlPilotDiodeFault", "OtherError", "CPPWMController", "Problem"),
    Severity.ERROR,
    _STOP,
    _UNPLUG,
    _REPLUG,
    "The pilot's diode in the vehicle is missing or shorted: try a second vehicle.",
)
_row(
    "StageFault",
    ("", "PowerElectronicsFault", "OtherError", "AcDcConverter", "Problem"),
    Severity.HARDWARE_FAILURE,
    _STOP,
    _GONE_5,
    _OTHER_STATION,
    "Read the stage's status bits (`chargerctl faults`), mains phases and fans.",
)
_row(
    "StageLost",
    ("", "InternalCommunicationFault", "OtherError", "AcDcConverter", "Problem"),
    Severity.SYSTEM_FAILURE,
    _STOP,
    _GONE_5,
    _OTHER_STATION,
    "No answer from the power stage: check its supply, CAN wiring, termination.",
)
_row(
    "PilotLost",
    ("", "InternalCommunicationFault", "OtherError", "CPPWMController", "Problem"),
    Severity.SYSTEM_FAILURE,
    _STOP,
    _GONE_1,
    _OTHER_STATION,
    "No answer from the pilot MCU: check its supply and the serial line.",
)
_row(
    "MeterLost",
    (
        "",
        "InternalCommunicationFault",
        "PowerMeterFailure",
        "ControlMetering",
        "Problem",
    ),
    Severity.SYSTEM_FAILURE,
    _PAUSE,
    _GONE_5,
    "Charging pauses: the meter does not answer.",
    "Check the meter's supply, bus wiring, address and baud rate.",
)
_row(
    "MeterFrozen",
    ("", "MeteringFault", "PowerMeterFailure", "ControlMetering", "Problem"),
    Severity.SYSTEM_FAILURE,
    _PAUSE,
    _GONE_5,
    "Charging pauses: the meter stands still.",
    "The meter repeats one reading: power-cycle it, check its gateway.",
)
_row(
    "MeterLeap",
    ("", "MeteringFault", "PowerMeterFailure", "ControlMetering", "Problem"),
    Severity.ERROR,
    _NOTE,
    (Clear.GONE, 600.0),  # long enough to be seen
    "",
    "A register leapt, and that counts as no energy: if the meter was not replaced or "
    "reset, check its wiring and bus. Compare the bill of the transaction in info.",
)
_row(
    "MeterImplausible",
    ("", "MeteringFault", "PowerMeterFailure", "ControlMetering", "Problem"),
    Severity.CRITICAL,
    _STOP,
    _UNPLUG,
    _OTHER_STATION,
    "Meter and power stage disagree: check direction and ratio of the transformers.",
)
_row(
    "InsulationLost",
    (
        "",
        "InternalCommunicationFault",
        "OtherError",
        "GroundIsolationProtection",
        "Problem",
    ),
    Severity.SYSTEM_FAILURE,
    _STOP,
    _GONE_5,
    _OTHER_STATION,
    "No valid value from the insulation monitor: check supply, bus, self-test.",
)
_row(
    "ChademoFault",
    ("", "VehicleFault", "EVCommunicationError", "CHAdeMOCtrlr", "Problem"),
    Severity.ERROR,
    _STOP,
    _UNPLUG,
    "The vehicle reports a fault. " + _REPLUG,
    "See the stop cause in `chargerctl session`; read the vehicle's trouble codes.",
)
_row(
    "V2gFault",
    ("", "VehicleFault", "EVCommunicationError", "ISO15118Ctrlr", "Problem"),
    Severity.ERROR,
    _STOP,
    _UNPLUG,
    "The vehicle's words were not understood. " + _REPLUG,
    "See the stop cause in `chargerctl session`; record the session and decode it.",
)
_row(
    "VehicleTimeout",
    ("", "V2GTimeout", "EVCommunicationError", "ConnectedEV", "Problem"),
    Severity.ERROR,
    _STOP,
    _UNPLUG,
    "The vehicle did not answer in time. " + _REPLUG,
    "See which step timed out in `chargerctl session`; check the vehicle's CAN wires.",
)
_row(
    "SeccCertificateFault",
    ("", "InternalError", "OtherError", "ISO15118Ctrlr", "Problem"),
    Severity.ERROR,
    _NOTE,
    _GONE_1,
    "",
    "No TLS for vehicles: mend the files of [vehicle.iso15118] that info names.",
)
_row(
    "CsmsLost",
    ("", "BackendConnectionLost", "OtherError", "OCPPCommCtrlr", "Problem"),
    Severity.INFORMATIONAL,
    _NOTE,
    _GONE_1,
    "",
    "The central system is out of reach: check address, certificate, password.",
)
_row(
    "StoreFault",
    ("", "InternalError", "InternalError", "Controller", "Problem"),
    Severity.SYSTEM_FAILURE,
    _NOTE,
    _GONE_5,
    "",
    "Records cannot be written: check free space and the health of the disk.",
)
_row(
    "SchedulerOverrun",
    ("", "InternalError", "InternalError", "Controller", "Problem"),
    Severity.WARNING,
    _NOTE,
    (Clear.GONE, 60.0),
    "",
    "The control cycle is late: check the load of the machine.",
)
_row(
    "SocUnknown",
    ("", "SocUnknown", "OtherError", "ConnectedEV", "Problem"),
    Severity.INFORMATIONAL,
    _NO_V2X,
    _GONE_1,
    "",
    "The vehicle reports no charge level: it can charge but not feed back.",
)

_row(
    "ContactorWear",
    ("", "ContactorWear", "OtherError", "Connector", "Problem"),
    Severity.WARNING,
    _NOTE,
    (Clear.GONE, 60.0),
    "",
    "The contactors close too often: see what starts and stops the session.",
)
_row(
    "PromiseOutOfReach",
    ("", "PromiseOutOfReach", "OtherError", "SmartChargingCtrlr", "Problem"),
    Severity.INFORMATIONAL,
    _NOTE,
    _GONE_5,
    "The charge you asked for cannot be reached in time. Info says what will be.",
    "See `chargerctl why`: what holds the power down, or ask for less or for later.",
)

FAULTS: dict[str, Fault] = _TABLE

_UNLISTED = Fault(
    "Unlisted", "", "InternalError", "OtherError", "Controller", "Problem",
    Severity.CRITICAL, True, True, False, Clear.UNPLUG, 0.0, StopReason.OTHER,
    _REPLUG, "A fault that is not in the table was raised: see info and the log.",
)  # fmt: skip


def lookup(name: str) -> Fault:
    """The row of `name`. A name nobody listed is the row Unlisted, which stops."""
    return FAULTS.get(name, _UNLISTED)
