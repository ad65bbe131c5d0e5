"""What each value of a configuration alone cannot show: contradictions and warnings.

Owns the checks across tables and against this machine (groups, certificates, time
zones). Must never change a value or show a secret.
"""

from __future__ import annotations

import grp
import ipaddress
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import SecretStr

from chargerd.config import (
    Config,
    Evse,
    EvseDevices,
    Iso15118,
    Iso15118Port,
    Local,
    Site,
)
from chargerd.machine import seen

MIN_PASSWORD = 16  # A00.FR.205: random, at least 16 characters
# Which wires may lead to a device of which role; the bridge knows the drivers.
_TRANSPORTS = ("serial:", "modbus-tcp:", "modbus-rtu:", "can:")
_ROLE_TRANSPORTS = {"chademo": ("can:",), "reader": ("serial:",)}
_CONNECTORS = (  # OCPP ConnectorEnumType
    "cCCS1", "cCCS2", "cChaoJi", "cG105", "cGBT", "cTesla", "cType1", "cType2",
    "s309-1P-16A", "s309-1P-32A", "s309-3P-16A", "s309-3P-32A", "sBS1361", "sCEE-7-7",
    "sType2", "sType3", "OppCharge", "Other1PhMax16A", "Other1PhOver16A", "Other3Ph",
    "Pan", "wInductive", "wResonant", "Undetermined", "Unknown",
)  # fmt: skip
_SDP_PORT = 15118
MIN_POWER_FACTOR = 0.8
_SOCKET_PATH_MAX = 107  # bytes of sun_path on Linux, less the ending zero


def contradictions(config: Config) -> list[tuple[str, str]]:
    """What cannot be, as (key, reason)."""
    found: list[tuple[str, str]] = []
    ids = [evse.id for evse in config.evse]
    for index, evse in enumerate(config.evse):
        where = f"evse[{index}]"
        if ids.index(evse.id) != index:
            found.append((f"{where}.id", f"{evse.id} is used twice"))
        found += [(f"{where}.{key}", reason) for key, reason in _evse_problems(evse)]
    found += _shared_wires(config)
    found += _local_problems(config.local)
    found += _v2g_problems(config.vehicle.iso15118)
    begins = (
        [part.begins for part in config.site.tariff.parts] if config.site.tariff else []
    )
    if len(set(begins)) != len(begins):
        found.append(("site.tariff.parts", "two begin at the same time"))
    found += _grid_problems(config.site)
    timezone = config.vehicle.promise.timezone
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        reason = f'{timezone!r} is no time zone known here, e.g. "Asia/Tokyo"'
        found.append(("vehicle.promise.timezone", reason))
    return [*found, *_ocpp_problems(config)]


def _grid_problems(site: Site) -> Iterator[tuple[str, str]]:
    code, sold = site.grid_code, site.frequency_service
    for name, service in code.services.items():
        steps = [deviation for deviation, _ in service.points]
        if sorted(steps) != steps:
            yield f"site.grid_code.services.{name}.points", "frequencies must ascend"
    volts = [share for share, _ in code.volt_watt]
    if sorted(volts) != volts:
        yield "site.grid_code.volt_watt", "voltages must ascend"
    if abs(code.charge_power_factor) < MIN_POWER_FACTOR:
        reason = f"must be {MIN_POWER_FACTOR} to 1, or -1 to -{MIN_POWER_FACTOR}"
        yield "site.grid_code.charge_power_factor", reason
    if site.blackout is not None:
        if site.meter is None:
            yield "site.blackout", "needs site.meter, before the disconnecting relay"
        if site.nominal_hz is None:
            yield "site.nominal_hz", "is missing: site.blackout needs it"
    if sold is None:
        return
    if sold.name not in code.services:
        known = ", ".join(code.services) or "none"
        yield (
            "site.frequency_service.name",
            f"{sold.name!r} is not in the grid code ({known})",
        )
    if site.nominal_hz is None:
        yield "site.nominal_hz", "is missing: a frequency service needs it"


def _shared_wires(config: Config) -> Iterator[tuple[str, str]]:
    """Two devices of the EVSEs under one address: they would hear each other's."""
    taken: dict[tuple[str, int], str] = {}
    for index, evse in enumerate(config.evse):
        for role in EvseDevices.model_fields:
            device = getattr(evse.devices, role)
            if device is None:
                continue
            key = f"evse[{index}].devices.{role}"
            first = taken.setdefault((device.at.partition("?")[0], device.unit), key)
            if first != key:
                yield (
                    f"{key}.at",
                    f"{device.at!r} unit {device.unit} is {first} already",
                )


def _local_problems(local: Local) -> Iterator[tuple[str, str]]:
    if len(str(local.socket).encode()) > _SOCKET_PATH_MAX:
        yield "local.socket", f"is over {_SOCKET_PATH_MAX} bytes long"
    if not local.metrics:
        return
    host, _, port = local.metrics.rpartition(":")
    try:
        if ipaddress.ip_address(host.strip("[]")).is_loopback and 0 < int(port) < 65536:
            return
    except ValueError:
        pass
    yield (
        "local.metrics",
        f'{local.metrics!r} is no loopback address and port, e.g. "127.0.0.1:9464"',
    )


def _evse_problems(evse: Evse) -> Iterator[tuple[str, str]]:
    connectors = [connector.id for connector in evse.connectors]
    if len(set(connectors)) != len(connectors):
        yield "connectors", "connector ids are not unique"
    if evse.voltage_min_v > evse.voltage_max_v:
        yield "voltage_min_v", f"is over voltage_max_v ({evse.voltage_max_v})"
    if evse.devices.chademo and not evse.devices.stage:
        yield "devices.stage", "is missing: a CHAdeMO vehicle needs a power stage"
    if evse.iso15118 is not None:
        yield from _iso15118_problems(evse, evse.iso15118)
    for role in EvseDevices.model_fields:
        device = getattr(evse.devices, role)
        allowed = _ROLE_TRANSPORTS.get(role, _TRANSPORTS)
        if device is not None and not device.at.startswith(allowed):
            yield (
                f"devices.{role}.at",
                f"{device.at!r} must start with {' or '.join(allowed)}",
            )


def _v2g_problems(words: Iso15118) -> Iterator[tuple[str, str]]:
    key = "vehicle.iso15118"
    if "PnC" in words.authorise and not words.certificates:
        yield f"{key}.certificates", "is missing: contracts are shown over TLS only"
    if not words.plain and not words.certificates:
        yield f"{key}.certificates", "is missing: without plain there is only TLS"
    if "EIM" not in words.authorise and words.plain:
        yield f"{key}.plain", "must be false: without EIM nobody can pay there"


def _iso15118_problems(evse: Evse, port: Iso15118Port) -> Iterator[tuple[str, str]]:
    if evse.devices.chademo is not None:
        yield "iso15118", "stands beside devices.chademo: one kind of vehicle an EVSE"
    needs_stage = any(not energy.startswith("AC") for energy in port.energies)
    if needs_stage and evse.devices.stage is None:
        yield (
            "devices.stage",
            "is missing: DC or MCS in iso15118.energies needs a power stage",
        )
    if port.sdp_port != _SDP_PORT and port.interface != "lo":
        yield "iso15118.sdp_port", f'vehicles ask {_SDP_PORT}; others only on "lo"'


def _ocpp_problems(config: Config) -> Iterator[tuple[str, str]]:
    ocpp = config.ocpp
    if not ocpp.url:
        return
    if not ocpp.url.startswith(("ws://", "wss://")):
        yield "ocpp.url", f"{ocpp.url!r} must start with wss:// or ws://"
    if ":" in (ocpp.identity or config.station.id):
        yield "ocpp.identity", "must not contain ':' (it is the HTTP user name)"
    if ocpp.security_profile >= 2 and not ocpp.url.startswith("wss://"):
        yield "ocpp.url", f"profile {ocpp.security_profile} needs wss://"
    if ocpp.security_profile in (1, 2):
        yield from _password_problems(ocpp.password)


def _password_problems(password: SecretStr) -> Iterator[tuple[str, str]]:
    length = len(password.get_secret_value())
    if length == 0:
        yield "ocpp.password", "is missing: security profile 1 and 2 need one"
    elif length < MIN_PASSWORD:
        yield (
            "ocpp.password",
            f"has {length} characters, at least {MIN_PASSWORD} are needed (A00.FR.205)",
        )


def warnings(config: Config) -> list[str]:
    """What is allowed but probably not meant, as `key: reason`."""
    found = []
    can_discharge = any(evse.discharge_w > 0 for evse in config.evse)
    if can_discharge and not config.site.export_permit:
        found.append(
            "site.export_permit: empty, so nothing is ever fed to the grid although "
            "evse.discharge_w is over 0; name who permitted it"
        )
    if config.site.export_permit and config.site.export_w == 0:
        found.append("site.export_w: 0 W, so the permit has no effect")
    if config.site.meter is None:
        found.append("site.meter: none, so the house load is not known")
    if config.ocpp.url and config.ocpp.security_profile == 0:
        found.append("ocpp.security_profile: 0 sends no password and is not encrypted")
    elif config.ocpp.url.startswith("ws://"):
        found.append("ocpp.url: ws:// is not encrypted; use it inside a VPN only")
    owner = config.vehicle.promise
    if owner.floor_soc_pct > owner.target_soc_pct:
        found.append("vehicle.promise.floor_soc_pct: is over target_soc_pct")
    return [*found, *_odd_connectors(config), *_absent_here(config)]


def _odd_connectors(config: Config) -> Iterator[str]:
    for index, evse in enumerate(config.evse):
        for number, connector in enumerate(evse.connectors):
            if connector.type not in _CONNECTORS:
                yield (
                    f"evse[{index}].connectors[{number}].type: {connector.type!r} is "
                    f"not OCPP's; known: {', '.join(_CONNECTORS)} (cG105 = CHAdeMO)"
                )


def _absent_here(config: Config) -> Iterator[str]:
    """What this machine lacks; another may have it."""
    yield from _v2g_absent(config)
    ocpp, group = config.ocpp, config.local.group
    if group and group not in {entry.gr_name for entry in grp.getgrall()}:
        yield f"local.group: this machine has no group {group!r}; make it: groupadd"
    needed = {2: ("ca.pem",), 3: ("ca.pem", "station.pem", "station.key")}
    for name in needed.get(ocpp.security_profile, ()) if ocpp.url else ():
        if not seen(ocpp.certificates_dir / name):
            yield (
                f"ocpp.certificates_dir: {ocpp.certificates_dir / name} is not to be "
                f"seen; security profile {ocpp.security_profile} needs it"
            )
    yield from _extras_absent(config)
    for door in ("openadr2", "ieee2030_5"):  # their processes read the files, later
        asked = getattr(config.grid, door)
        for name in ("ca", "certificate", "key") if asked else ():
            path = getattr(asked, name)
            if path is not None and not seen(path):
                yield f"grid.{door}.{name}: {path} is not to be seen; it is needed"


def _extras_absent(config: Config) -> Iterator[str]:
    """What is imported only when it is used."""
    ocpp = config.ocpp
    for used, key, module, extra in (
        ("SFTP" in ocpp.transfer.protocols, "ocpp.transfer", "asyncssh", "sftp"),
        (ocpp.firmware.installer == "rauc", "ocpp.firmware", "dbus_fast", "rauc"),
        (config.site.plan.enabled, "site.plan", "highspy", "planner"),
    ):
        if used and find_spec(module) is None:
            yield f"{key}: needs {module}, which is not here; install chargerd[{extra}]"


def _v2g_absent(config: Config) -> Iterator[str]:
    known = {name for _, name in socket.if_nameindex()}
    for index, evse in enumerate(config.evse):
        port = evse.iso15118
        if port is None:
            continue
        if port.interface not in known:
            yield (
                f"evse[{index}].iso15118.interface: this machine has no "
                f"{port.interface!r} now; there are {', '.join(sorted(known))}"
            )
        if port.slac is None and port.interface != "lo":
            yield (
                f"evse[{index}].iso15118.slac: none, so {port.interface!r} is taken "
                "for Ethernet; a power-line modem needs its unit (docs/slac.md)"
            )
    words = config.vehicle.iso15118
    used = any(evse.iso15118 for evse in config.evse)
    if used and "iso15118-20" in words.protocols and not words.certificates:
        yield (
            "vehicle.iso15118.certificates: none, so no vehicle gets ISO 15118-20 "
            "(it needs TLS)"
        )
