"""The configuration: frozen pydantic models, one per TOML table.

Unknown keys are errors, every error names file, key and reason, secrets are redacted in
every output. Loading (TOML, environment) is in `config_load.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from chargerd.config_base import Name, Percent, Seconds, Section, Watts
from chargerd.config_battery import Battery
from chargerd.config_grid import Grid
from chargerd.config_grid_code import FrequencyService, GridCode
from chargerd.config_inverter import Inverter
from chargerd.config_plan import SitePlan
from chargerd.config_records import Records
from chargerd.config_upkeep import Firmware, Logs, Monitor, Transfer, VendorHook


class Station(Section):
    """Identity: as the central system sees it."""

    id: Annotated[
        str,
        Field(
            min_length=1,
            max_length=48,
            pattern=r"^[^:\s]+$",
            description='1 to 48 characters without ":" and blanks',
        ),
    ]
    vendor: Name = "chargerd"
    model: Annotated[Name, Field(max_length=20)] = "chargerd"
    serial: Annotated[str, Field(max_length=25)] = ""
    firmware: Annotated[str, Field(max_length=50)] = ""  # "" = this package's version
    iccid: Annotated[str, Field(max_length=20)] = ""  # of the modem's SIM card
    imsi: Annotated[str, Field(max_length=20)] = ""
    # Is there once the machine's clock is right: systemd-timesyncd makes this file.
    clock_set_file: Path = Path("/run/systemd/timesync/synchronized")


class Device(Section):
    """One device: its driver and where it is.

    `at` is a transport address: "serial:/dev/ttyS1?baud=115200",
    "modbus-tcp:127.0.0.1:502", "modbus-rtu:/dev/ttyS2?baud=19200&parity=E",
    "can:socketcan/can0", "can:slcan/dev/ttyACM0", "can:udp/239.74.163.2".
    """

    driver: Name
    at: Annotated[str, Field(min_length=3, max_length=200)]
    unit: Annotated[int, Field(ge=0, le=247)] = 1  # Modbus unit or module address
    poll_s: Annotated[float, Field(gt=0, le=60)] | None = None  # None: the driver's own


class Connector(Section):
    id: Annotated[int, Field(ge=1, le=9)] = 1
    type: str = "cG105"  # OCPP ConnectorEnumType; cG105 = CHAdeMO


class EvseDevices(Section):
    """Devices by role; leave out what the board does not have."""

    pilot: Device
    stage: Device | None = None
    meter: Device
    insulation: Device | None = None
    chademo: Device | None = None  # the vehicle's CAN bus
    reader: Device | None = None  # RFID


class Iso15118Port(Section):
    """`[evse.iso15118]`: the wire to the vehicle of a CCS or AC connector."""

    interface: Annotated[str, Field(min_length=1, max_length=15)]  # "plc0"; bench "lo"
    sdp_port: Annotated[int, Field(ge=1, le=65_535)] = 15118  # other ones on "lo" only
    evse_id: Annotated[
        str,
        Field(
            pattern=r"^[A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9*]{1,30}$",
            description='an EVSEID, e.g. "JP*ABC*E0001"',
        ),
    ]
    energies: Annotated[
        tuple[Literal["AC", "DC", "AC_BPT", "DC_BPT", "MCS", "MCS_BPT"], ...],
        Field(min_length=1),
    ] = ("DC_BPT", "DC")  # what is offered, in this order
    # The SLAC unit's socket (docs/slac.md); None = no power line, as on Ethernet.
    slac: Path | None = None
    slac_init_s: Annotated[float, Field(ge=20, le=50)] = 40.0  # 5 % without an answer
    ac_duty: Literal["5%", "nominal"] = "5%"  # AC: the pilot while talking


class Evse(Section):
    """One EVSE: ratings at the AC terminals in W, at the DC output in V and A."""

    id: Annotated[int, Field(ge=1, le=99)]
    connectors: Annotated[tuple[Connector, ...], Field(min_length=1, max_length=4)] = (
        Connector(),
    )
    charge_w: Watts = 6000.0
    discharge_w: Watts = 6000.0  # magnitude; 0 = cannot discharge
    voltage_min_v: Annotated[float, Field(ge=0, le=1500)] = 150.0
    voltage_max_v: Annotated[float, Field(ge=0, le=1500)] = 500.0
    current_max_a: Annotated[float, Field(ge=0, le=1000)] = 30.0
    efficiency: Annotated[float, Field(ge=0.5, le=1.0)] = 0.94
    ac_phases: Literal[1, 3] = 1
    ac_phase: Literal[1, 2, 3] = 1  # the phase of an EVSE that has only one
    ac_voltage_v: Annotated[float, Field(ge=90, le=480)] = 230.0
    ac_current_max_a: Annotated[float, Field(ge=0, le=80)] = 32.0  # PWM charging
    ac_wake_s: Annotated[float, Field(ge=0, le=3600)] = 30.0  # for sleepers; 0 = never
    ramp_w_per_s: Annotated[float, Field(gt=0, le=1e9)] = 10_000.0
    command_lifetime_s: Annotated[float, Field(ge=0.1, le=2.0)] = 0.3
    # Contactor closings in an hour that are still taken for normal.
    closings_per_hour: Annotated[int, Field(ge=1, le=1000)] = 20
    devices: EvseDevices
    iso15118: Iso15118Port | None = None
    battery: Battery | None = None  # of a pack that is wired here; or a file's name
    inverter: Inverter = Inverter()

    @property
    def max_va(self) -> float:
        """The inverter's apparent power."""
        given = self.inverter.max_va
        return max(self.charge_w, self.discharge_w) if given is None else given


class Ocpp(Section):
    """The central system. `device_model` presets: "Component.Variable" = value."""

    url: str = ""  # "" = no central system; ws:// only with security_profile 0 or 1
    versions: Annotated[
        tuple[Literal["ocpp2.1", "ocpp2.0.1"], ...], Field(min_length=1)
    ] = ("ocpp2.1", "ocpp2.0.1")
    identity: str = ""  # "" = station.id
    password: SecretStr = SecretStr("")
    security_profile: Annotated[int, Field(ge=0, le=3)] = 1
    certificates_dir: Path = Path("/var/lib/chargerd/certificates")
    device_model: dict[str, str | int | float | bool] = Field(default_factory=dict)
    monitors: tuple[Monitor, ...] = ()
    data_transfer: tuple[VendorHook, ...] = ()
    transfer: Transfer = Transfer()
    logs: Logs = Logs()
    firmware: Firmware = Firmware()
    connect_timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    message_timeout_s: Annotated[float, Field(gt=0, le=300)] = 30.0
    offline_limit_w: Watts = 0.0  # safe charge limit when offline rules say "no limit"
    # May an ISO 15118-20 vehicle be discharged when Authorize says nothing of energy
    # transfers? If not, it charges until NotifyAllowedEnergyTransfer allows more.
    discharge_unless_refused: bool = True
    # Is a vehicle's own id (MAC address, EVCCID) asked about like a card? It is easily
    # copied: for closed groups only.
    autocharge: bool = False
    # FrequencySimulator and DataCollector, for certification: in the field never.
    test_components: bool = False
    # How long an ISO 15118 vehicle waits for a schedule that the CSMS has promised.
    schedule_wait_s: Annotated[float, Field(ge=0, le=50)] = 10.0


class Chademo(Section):
    """`[vehicle.chademo]`."""

    discharge: bool = True
    protocol_number: Annotated[int, Field(ge=0, le=3)] = 2
    sequence_number: Annotated[int, Field(ge=0, le=2)] = 1
    rewake_after_s: Annotated[float, Field(ge=60, le=86_400)] = 1800.0
    # Who measures the connector's voltage: "connector" = the insulation monitor, wired
    # there; "stage" = the power stage alone, so our contactor closes before the car's.
    voltage_sense: Literal["connector", "stage"] = "connector"
    endless_discharge: bool = True  # V2H: 101's time never ends the session [K]
    current_pulse_s: Seconds = 0.0  # show 1 A in 109.3 every N s (Leaf quirk); 0 = off
    maker_code: Annotated[int, Field(ge=0, le=255)] = 0  # 0 = no frame 708


class StationCertificate(Section):
    """PEM files: the chain of the station's certificate (leaf first), and its key."""

    chain: Path
    key: Path


class Iso15118(Section):
    """`[vehicle.iso15118]`: what is spoken on every `[evse.iso15118]`."""

    protocols: Annotated[
        tuple[Literal["iso15118-20", "iso15118-2", "din70121"], ...],
        Field(min_length=1),
    ] = ("iso15118-20", "iso15118-2")
    plain: bool = True  # DIN 70121 and ISO 15118-2 without TLS, paid by card
    authorise: Annotated[tuple[Literal["EIM", "PnC"], ...], Field(min_length=1)] = (
        "EIM",  # card, app; "PnC" = the vehicle's contract certificate
    )
    certificates: tuple[StationCertificate, ...] = ()  # none = no TLS, no -20
    # PEM bundles, or folders of them: whose chains are believed. None = nobody's.
    v2g_roots: Path | None = None
    mo_roots: Path | None = None  # contracts
    oem_roots: Path | None = None  # vehicles
    receipts_every_s: Seconds | None = None  # metering receipts; None = not asked for
    free: bool = False  # charging costs nothing
    standby: bool = True  # -20: a vehicle may rest with its session open
    parking: bool = False  # -20: vehicles may check in and out
    # Who measures the outlet's voltage: "connector" = the insulation monitor, wired
    # there; "stage" = the power stage alone.
    voltage_sense: Literal["connector", "stage"] = "connector"


class Owner(Section):
    """`[vehicle.promise]`: the owner's standing wish, until told otherwise."""

    departure: Annotated[
        str,
        Field(
            pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^$",
            description='HH:MM, e.g. "07:30", or "" for none',
        ),
    ] = ""
    timezone: str = "Asia/Tokyo"
    target_soc_pct: Percent = 80.0
    floor_soc_pct: Percent = 20.0
    blackout_reserve_pct: Percent = 0.0  # kept for a blackout; nothing else takes it
    # What may be taken out of vehicles in a calendar month; None = no cap.
    discharge_kwh_per_month: Annotated[float, Field(ge=0, le=100_000)] | None = None
    # Whether what the driver told the vehicle (ISO 15118) is a promise, too.
    from_vehicle: bool = True


class Vehicle(Section):
    chademo: Chademo = Chademo()
    iso15118: Iso15118 = Iso15118()
    promise: Owner = Owner()
    battery: Battery = Battery()  # or a file: "batteries/nmc.toml"
    # By the vehicle's id; a file's name or a table for each.
    batteries: dict[str, Battery] = Field(default_factory=dict, max_length=1000)


class TariffPart(Section):
    begins: Annotated[
        str,
        Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description='HH:MM, e.g. "23:00"'),
    ]
    buy_per_kwh: Annotated[float, Field(ge=-1e6, le=1e6)]
    sell_per_kwh: Annotated[float, Field(ge=-1e6, le=1e6)] | None = None


class Tariff(Section):
    """`[site.tariff]`: prices by local time (vehicle.promise.timezone), every day.

    Vehicles that plan (ISO 15118) are told, and the plan layer follows them.
    """

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217")]
    parts: Annotated[tuple[TariffPart, ...], Field(min_length=1, max_length=24)]


class Blackout(Section):
    """`[site.blackout]`: the vehicle feeds the house while the grid is away. Needs a
    disconnecting relay with a mirror contact, and a stage that can make a voltage."""

    automatic: bool = True  # false: only when asked (`chargerctl island`)


class Site(Section):
    """The grid connection: limits and permits. Export needs an explicit permit."""

    import_w: Watts = 10_000.0
    export_w: Watts = 0.0  # magnitude
    failsafe_import_w: Watts = 1_500.0  # while the site meter is silent
    export_permit: str = ""  # who allowed it, e.g. "TEPCO 2026-113"; "" = no export
    fuse_a: Annotated[float, Field(ge=0, le=4000)] | None = None  # of each phase
    meter: Device | None = None
    # How much older than its stamp a reading of the site meter may be.
    meter_delay_s: Annotated[float, Field(ge=0, le=10)] = 0.5
    ramp_w_per_s: Annotated[float, Field(gt=0, le=1e9)] = 1.0e9
    release_s: Seconds = 10.0  # from a setpoint that has ended to the plan
    nominal_hz: Literal[50, 60] | None = None  # None: the nearer one
    grid_code: GridCode = GridCode()  # or a file: "policies/de.toml"
    frequency_service: FrequencyService | None = None
    blackout: Blackout | None = None  # None: no operation without the grid
    tariff: Tariff | None = None
    plan: SitePlan = SitePlan()


class StoreConfig(Section):
    path: Path = Path("/var/lib/chargerd/state.db")


class Local(Section):
    """The local API. Peers: root, our own user, members of `group`."""

    socket: Path = Path("/run/chargerd/chargerd.sock")
    group: str = ""
    metrics: str = ""  # "127.0.0.1:9464" serves Prometheus metrics; "" = off
    dispatch: bool = False  # may local peers send dispatch signals, not only simulate?


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Config(Section):
    """The whole file."""

    station: Station
    evse: Annotated[tuple[Evse, ...], Field(min_length=1, max_length=32)]
    ocpp: Ocpp = Ocpp()
    vehicle: Vehicle = Vehicle()
    grid: Grid = Grid()
    site: Site = Site()
    store: StoreConfig = StoreConfig()
    records: Records = Records()
    local: Local = Local()
    log: Log = Log()
