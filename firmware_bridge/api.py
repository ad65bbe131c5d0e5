"""The face of the bridge: what a device can do, what it last said, what it is told.

Only frozen values and Protocols of one to three methods. A `Command` is a lease: when
`valid_until_mono` passes, every driver falls to its safe output by itself, and so does
the hardware behind it. Nothing here does I/O or reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, Protocol, TypeVar, runtime_checkable

T_co = TypeVar("T_co", covariant=True)


class PilotState(Enum):
    """Control pilot states of IEC 61851-1 Table A.4; UNKNOWN before the first frame."""

    UNKNOWN = "?"
    A = "A"  # no vehicle
    B = "B"  # vehicle connected, not ready
    C = "C"  # vehicle ready
    D = "D"  # vehicle ready, ventilation required
    E = "E"  # short or power loss at the pilot
    F = "F"  # station not available


class StageMode(Enum):
    """What the power stage does; direction is a mode, never the sign of a current."""

    OFF = "off"
    CHARGE = "charge"  # rectifier: power into the vehicle
    DISCHARGE = "discharge"  # inverter: power out of the vehicle


@dataclass(frozen=True, slots=True)
class Reading(Generic[T_co]):
    """A measured value and when it was taken on the monotonic clock."""

    value: T_co
    at_mono: float

    def age_s(self, now_mono: float) -> float:
        return max(0.0, now_mono - self.at_mono)


@dataclass(frozen=True, slots=True)
class PilotReading:
    """What the control-pilot MCU last reported.

    `dc_closed` and `ac_closed` are the mirror contacts, None where there is no such
    contactor. In the safe state the board, or its driver, holds the contactors open.
    The CHAdeMO pins are those of docs/protocol-mcu.md.
    """

    pilot_state: PilotState = PilotState.UNKNOWN
    duty: float = 1.0
    dc_closed: bool | None = None
    ac_closed: bool | None = None
    emergency_stop: bool = False
    safe_state: bool = False
    safe_state_reason: str = ""
    cable_limit_a: float | None = None
    faults: frozenset[str] = frozenset()  # names of chargerd.faults, e.g. "PilotFault"
    chademo_proximity: bool = False  # pin 7: a CHAdeMO connector is in an inlet
    grid_open: bool | None = None  # mirror of the disconnecting relay; None: no such
    chademo_permission: bool = False  # pin 4 (k/j): the vehicle permits power
    locked: bool | None = None  # None: no lock fitted
    temperature_c: float | None = None  # hottest contact


@dataclass(frozen=True, slots=True)
class StageReading:
    """DC side of the power stage. `current_a` is signed: positive into the vehicle."""

    voltage_v: float
    current_a: float
    mode: StageMode
    on: bool
    derated: bool = False
    faults: frozenset[str] = frozenset()
    temperature_c: float | None = None

    @property
    def power_w(self) -> float:
        return self.voltage_v * self.current_a


@dataclass(frozen=True, slots=True)
class MeterReading:
    """AC side. `power_w` and currents are signed: positive = grid import.

    Registers only ever grow: `import_wh` into the station, `export_wh` to the grid.
    Tuples are per phase L1..L3, empty where the meter does not measure them.
    """

    power_w: float
    import_wh: float
    export_wh: float
    frequency_hz: float | None = None
    voltage_v: tuple[float, ...] = ()
    current_a: tuple[float, ...] = ()
    phase_power_w: tuple[float, ...] = ()
    reactive_var: float | None = None  # positive as a coil takes it
    power_factor: float | None = None
    import_varh: float | None = None  # registers, as the active ones
    export_varh: float | None = None


@dataclass(frozen=True, slots=True)
class SignedReading:
    """The newest transaction that the meter itself has signed, begin and end in one.

    `text` is OCMF, character for character as the meter gave it; "" before the first.
    """

    text: str = ""
    session_id: str = ""  # the `Command.session_id` it belongs to; "" = one from before
    public_key: str = ""  # hex, as the meter tells it
    open_id: str = ""  # the session of the meter's transaction that runs now
    fault: str = ""  # why the last transaction has no text


@dataclass(frozen=True, slots=True)
class InsulationReading:
    """Insulation monitor: `resistance_ohm` is None while the value is invalid."""

    resistance_ohm: float | None
    voltage_v: float | None = None
    warning: bool = False
    alarm: bool = False
    device_fault: bool = False


@dataclass(frozen=True, slots=True)
class DeviceHealth:
    """Counted by good answers and their age, never by an 'open' transport."""

    name: str  # "evse1.meter"
    ok: bool
    good: int = 0
    bad: int = 0
    restarts: int = 0
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Everything one EVSE's devices last said; None = never, or no such device."""

    pilot: Reading[PilotReading] | None = None
    stage: Reading[StageReading] | None = None
    meter: Reading[MeterReading] | None = None
    insulation: Reading[InsulationReading] | None = None
    signed: Reading[SignedReading] | None = None  # None: the meter signs nothing
    health: tuple[DeviceHealth, ...] = ()


@dataclass(frozen=True, slots=True)
class PilotOutputs:
    """Pins the MCU drives. Defaults are the safe state: all off, pilot at 100 %."""

    duty: float = 1.0  # 1.0 = steady 12 V, 0.05 = digital communication, 0 = state F
    close_dc: bool = False
    close_ac: bool = False
    chademo_d1: bool = False
    chademo_d2: bool = False
    lock: bool = False
    open_grid: bool = False  # keep house and grid apart (blackout); firmware decides
    form_grid: bool = False  # let the stage make the house's voltage; firmware decides


@dataclass(frozen=True, slots=True)
class StageSetpoint:
    """DC voltage and current magnitudes. The default is off.

    In CHARGE `voltage_v` is the ceiling of the output; in DISCHARGE it is the cut-off:
    below it the stage stops drawing.
    """

    mode: StageMode = StageMode.OFF
    voltage_v: float = 0.0
    current_a: float = 0.0
    # Make the house's voltage, `current_a` being the most. A stage that cannot, and
    # one whose relay is not proven open, must stay off.
    form_grid: bool = False
    # cos phi at the mains, 1 = none; negative: reactive power as a capacitor takes it.
    power_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Command:
    """One EVSE's whole intent: a lease that ends at `valid_until_mono`."""

    valid_until_mono: float
    pins: PilotOutputs = field(default_factory=PilotOutputs)
    stage: StageSetpoint = field(default_factory=StageSetpoint)
    insulation_on: bool = False
    session_id: str = ""  # what flows now belongs to it: for meters that sign


class Pilot(Protocol):
    """Control-pilot MCU: heartbeats both ways, its own safe state when ours stops."""

    def drive(self, pins: PilotOutputs, valid_until_mono: float) -> None: ...
    def reading(self) -> Reading[PilotReading] | None: ...
    async def run(self) -> None: ...


class PowerStage(Protocol):
    """Bidirectional DC stage. `drive` puts the first frame on the wire at once."""

    def drive(self, setpoint: StageSetpoint, valid_until_mono: float) -> None: ...
    def reading(self) -> Reading[StageReading] | None: ...
    async def run(self) -> None: ...


class Meter(Protocol):
    def reading(self) -> Reading[MeterReading] | None: ...
    async def run(self) -> None: ...


@runtime_checkable
class SigningMeter(Meter, Protocol):
    """A meter that signs transactions: one for each session it is told of.

    `follow(session_id)` is a state, told again and again; "" = nothing may flow. A
    transaction outlives a lease: only another id, or "", ends it.
    """

    def follow(self, session_id: str) -> None: ...
    def signed(self) -> Reading[SignedReading] | None: ...


class InsulationMonitor(Protocol):
    def enable(self, on: bool) -> None: ...
    def reading(self) -> Reading[InsulationReading] | None: ...
    async def run(self) -> None: ...


class ConnectorLock(Protocol):
    """Boards whose lock is not on the pilot MCU."""

    def lock(self, on: bool) -> None: ...
    def locked(self) -> bool | None: ...
    async def run(self) -> None: ...


class TokenReader(Protocol):
    """Card reader: `listener(token)`, a UID in upper-case hex or a card's own text."""

    def subscribe(self, listener: Callable[[str], None]) -> None: ...
    async def run(self) -> None: ...


@runtime_checkable
class CanBus(Protocol):
    """A CAN bus: `listener(frame_id, data, at_mono)` per frame received.

    `send` never waits; it raises BridgeError when the bus is down or its queue full.
    """

    def send(self, frame_id: int, data: bytes, *, extended: bool = False) -> None: ...
    def subscribe(self, listener: Callable[[int, bytes, float], None]) -> None: ...
    async def run(self) -> None: ...


@runtime_checkable
class SerialPort(Protocol):
    """A byte stream: `listener(data, at_mono)`; `send` never waits."""

    def send(self, data: bytes) -> None: ...
    def subscribe(self, listener: Callable[[bytes, float], None]) -> None: ...
    async def run(self) -> None: ...


class Bridge(Protocol):
    """What the daemon holds: one object for all EVSEs' hardware."""

    def telemetry(self, evse_id: int) -> Telemetry: ...
    def apply(self, evse_id: int, command: Command) -> None: ...
    def site_meter(self) -> Reading[MeterReading] | None: ...
