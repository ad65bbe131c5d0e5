"""The bench file: which wires, devices and limits a rig has (docs/bench.md).

Reads YAML into frozen values. Every error names the file and the key; unknown keys are
errors. Must never guess a safety limit: `limits` has no defaults.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from hil.rig.faults import RigError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """The bench's ceiling, enforced by the rig itself at the DC connector."""

    voltage_v: float
    current_a: float
    power_w: float
    unattended: bool = False


@dataclass(frozen=True, slots=True)
class GridStart:
    frequency_hz: float = 50.0
    voltage_v: float = 230.0
    house_load_w: float = 500.0
    relay: bool = False  # between grid and house, driven by the MCUs


@dataclass(frozen=True, slots=True)
class McuBench:
    link: str
    model: str = "chargebyte"
    comm_timeout_s: float = 0.3
    chademo_pins: bool = True
    lock_s: float = 0.3
    boot_s: float = 0.25


@dataclass(frozen=True, slots=True)
class StageBench:
    link: str
    model: str = "infypower_beg"
    modules: int = 1
    ramp_a_per_s: float = 100.0
    start_s: float = 0.3
    comm_timeout_s: float = 10.0
    bitrate: int = 125_000


@dataclass(frozen=True, slots=True)
class VehicleBench:
    link: str
    bitrate: int = 500_000


@dataclass(frozen=True, slots=True)
class InsulationBench:
    link: str
    model: str = "isocha425hv"
    unit: int = 3
    baud: int = 19_200
    measure_s: float = 1.5


@dataclass(frozen=True, slots=True)
class MeterBench:
    """`link` puts the meter on a serial line of its own instead of Modbus TCP. Model
    "sdm630ev" signs transactions; else it is the same meter."""

    unit: int
    model: str = "sdm630"
    refresh_s: float = 0.1
    link: str = ""
    baud: int = 9600


@dataclass(frozen=True, slots=True)
class ReaderBench:
    link: str
    baud: int = 9600


@dataclass(frozen=True, slots=True)
class V2gBench:
    """Where an ISO 15118 vehicle looks for its station; on "lo" by unicast to ::1."""

    interface: str = "lo"
    sdp_port: int = 15118


@dataclass(frozen=True, slots=True)
class EvseBench:
    id: int
    mcu: McuBench
    stage: StageBench
    vehicle: VehicleBench
    insulation: InsulationBench
    meter: MeterBench
    reader: ReaderBench
    v2g: V2gBench = V2gBench()


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Bench:
    name: str
    dir: Path
    limits: Limits
    grid: GridStart
    modbus_tcp: Address
    link_listen: Address
    link_upstream: Address
    site_meter: MeterBench
    evses: tuple[EvseBench, ...]

    def moved(self, folder: Path | None, ports_offset: int) -> Bench:
        """The same bench with its links in `folder` and its TCP ports moved."""
        return replace(
            self,
            dir=self.dir if folder is None else folder,
            modbus_tcp=_shift(self.modbus_tcp, ports_offset),
            link_listen=_shift(self.link_listen, ports_offset),
            link_upstream=_shift(self.link_upstream, ports_offset),
        )


def _shift(address: Address, offset: int) -> Address:
    port = address.port + offset
    if not 1 <= port <= 65535:
        raise RigError(f"--ports-offset {offset} moves port {address.port} to {port}")
    return Address(address.host, port)


def load(path: Path) -> Bench:
    """Read a bench file. RigError names the file and the key that is wrong."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise RigError(f"bench {path}: {error}") from error
    try:
        return parse(raw)
    except RigError as error:
        raise RigError(f"bench {path}: {error}") from error


def parse(raw: Any) -> Bench:
    """Build a Bench from what YAML gave."""
    keys = {
        "name", "dir", "limits", "grid", "modbus_tcp", "csms_link", "site_meter",
        "evses",
    }  # fmt: skip
    top = _table(raw, "the file", keys)
    link = _table(top["csms_link"], "csms_link", {"listen", "upstream"})
    rows = top["evses"]
    if not isinstance(rows, list) or not rows:
        raise RigError("evses: a list of at least one EVSE is needed")
    evses = tuple(_evse(row, f"evses[{i}]") for i, row in enumerate(rows))
    if len({evse.id for evse in evses}) != len(evses):
        raise RigError("evses: two have the same id")
    bench = Bench(
        name=str(top["name"]),
        dir=Path(str(top["dir"])),
        limits=_record(Limits, top["limits"], "limits"),
        grid=_record(GridStart, top["grid"], "grid"),
        modbus_tcp=_address(top["modbus_tcp"], "modbus_tcp"),
        link_listen=_address(link["listen"], "csms_link.listen"),
        link_upstream=_address(link["upstream"], "csms_link.upstream"),
        site_meter=_record(MeterBench, top["site_meter"], "site_meter"),
        evses=evses,
    )
    _check_models(bench)
    return bench


def _evse(raw: Any, where: str) -> EvseBench:
    kinds: dict[str, type[Any]] = {
        "mcu": McuBench,
        "stage": StageBench,
        "vehicle": VehicleBench,
        "insulation": InsulationBench,
        "meter": MeterBench,
        "reader": ReaderBench,
        "v2g": V2gBench,
    }
    if isinstance(raw, dict):
        raw = {"v2g": {}, **raw}
    table = _table(raw, where, {"id", *kinds})
    number = table["id"]
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise RigError(f"{where}.id: {number!r} must be a number from 1")
    parts = {k: _record(t, table[k], f"{where}.{k}") for k, t in kinds.items()}
    return EvseBench(id=number, **parts)


def _check_models(bench: Bench) -> None:
    for evse in bench.evses:
        for part, known in (
            (evse.mcu, ("chargebyte",)),
            (evse.stage, ("infypower_beg",)),
            (evse.insulation, ("isocha425hv",)),
            (evse.meter, ("sdm630", "sdm630ev")),
        ):
            if part.model not in known:
                raise RigError(
                    f"EVSE {evse.id}: {part.model!r} unknown; use {' or '.join(known)}"
                )
    units = [bench.site_meter.unit]
    units += [evse.meter.unit for evse in bench.evses if not evse.meter.link]
    if len(set(units)) != len(units):
        raise RigError(f"two meters share a Modbus unit: {sorted(units)}")


def _table(raw: Any, where: str, keys: set[str]) -> Mapping[str, Any]:
    """`raw` as a mapping with exactly `keys`."""
    if not isinstance(raw, dict):
        raise RigError(f"{where}: a table is needed, not {raw!r}")
    if unknown := {str(key) for key in raw} - keys:
        raise RigError(f"{where}: unknown keys {sorted(unknown)}; use {sorted(keys)}")
    if missing := keys - set(raw):
        raise RigError(f"{where}: missing keys {sorted(missing)}")
    return raw


def _record(kind: type[T], raw: Any, where: str) -> T:
    """A flat dataclass from a table, its fields checked by their annotation."""
    if not isinstance(raw, dict):
        raise RigError(f"{where}: a table is needed, not {raw!r}")
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := {str(key) for key in raw} - set(fields):
        raise RigError(f"{where}: unknown keys {sorted(unknown)}; use {list(fields)}")
    values: dict[str, Any] = {}
    for name, spec in fields.items():
        if name in raw:
            values[name] = _value(raw[name], str(spec.type), f"{where}.{name}")
        elif spec.default is dataclasses.MISSING:
            raise RigError(f"{where}: missing key {name!r}")
    return kind(**values)


def _value(raw: Any, kind: str, where: str) -> Any:
    number = isinstance(raw, int | float) and not isinstance(raw, bool)
    if kind == "float" and number and math.isfinite(raw) and raw >= 0:
        return float(raw)
    if kind == "int" and number and isinstance(raw, int) and raw >= 0:
        return raw
    if kind == "bool" and isinstance(raw, bool):
        return raw
    if kind == "str" and isinstance(raw, str) and "/" not in raw:
        return raw
    raise RigError(f"{where}: {raw!r} is not a good {kind}")


def _address(raw: Any, where: str) -> Address:
    host, _, port = str(raw).rpartition(":")
    if not host or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise RigError(f"{where}: {raw!r} is not host:port")
    return Address(host, int(port))
