"""Makes a simulated vehicle by the word the rig's `plug_in` verb uses.

Profiles of ISO 15118 vehicles are files (hil/ev/profiles), the others stand here.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import fields
from typing import Any

from hil.ev.base import Ev
from hil.ev.basic import BasicEv
from hil.ev.battery import Battery
from hil.ev.chademo import ChademoEv
from hil.ev.chademo_traits import Traits
from hil.ev.external import ExternalEv
from hil.ev.iso15118 import profile as iso15118
from hil.ev.iso15118.link import Wire
from hil.ev.iso15118.model import Iso15118Ev

# Keyword arguments under one name; an explicit key wins over its profile.
PROFILES: dict[str, dict[str, dict[str, Any]]] = {
    "basic": {
        "one_phase": {},
        "three_phase": {"phases": 3, "max_a": 16.0},
    },
    "chademo": {
        "guideline_1_1": {},
        "guideline_1_0": {"old_protocol": True, "sequence_number": 0},
        # times of a real car as measured on the bus (project refs, grid 4.3)
        "real_times": {
            "k_delay_s": 3.9,
            "request_delay_s": 1.3,
            "weld_check_s": 2.9,
        },
        "charge_only": {"discharge_compatible": False},
        "fuel_cell": {"max_charge_a": 0.0, "min_level_pct": 0.0},  # a source only
    },
    "external": {},
}
NOT_FOR_USERS = {"soc_pct", "capacity_wh", "energy_in_wh", "energy_out_wh", "loss_wh"}
BATTERY_KEYS = {field.name for field in fields(Battery)} - NOT_FOR_USERS


def _keys(model: type) -> set[str]:
    names = set(inspect.signature(model).parameters)
    return names - {"battery", "traits", "seed"}


MODEL_KEYS: dict[str, set[str]] = {
    "basic": _keys(BasicEv),
    "external": _keys(ExternalEv),
    "chademo": _keys(Traits),
    "iso15118": {*iso15118.KEYS, "interface", "sdp_port"},
}


def make(
    kind: str,
    soc: float = 60.0,
    capacity_wh: float = 40_000,
    seed: int = 0,
    profile: str = "",
    **kw: Any,
) -> Ev:
    """A vehicle just plugged in. `soc` in percent; `kw` are keys of its model or of
    its battery. ValueError names what is unknown and lists what there is."""
    if kind not in MODEL_KEYS:
        raise ValueError(f"ev {kind!r}: known are {', '.join(sorted(MODEL_KEYS))}")
    wanted = {**_profile(kind, profile), **kw}
    known = MODEL_KEYS[kind] | BATTERY_KEYS
    if set(wanted) - known:
        unknown = sorted(set(wanted) - known)
        every = sorted(known | {"connector", "ev", "soc", "capacity_wh", "profile"})
        raise ValueError(f"{kind}: unknown {unknown}; known are {every}")
    model_kw = {key: wanted[key] for key in wanted if key in MODEL_KEYS[kind]}
    battery_kw = {key: wanted[key] for key in wanted if key not in model_kw}
    numbers = {**battery_kw, "soc": soc, "capacity_wh": capacity_wh}
    if kind != "iso15118":  # its keys are not all numbers: its profile checks them
        numbers.update(model_kw)
    for key, value in numbers.items():
        _must_be_number(f"{kind}: {key}", value)
    battery = Battery(float(soc), float(capacity_wh), **battery_kw)
    if kind == "iso15118":
        return _iso15118(battery, **model_kw)
    if kind == "basic":
        return BasicEv(battery, **model_kw)
    if kind == "external":
        return ExternalEv(battery, **model_kw)
    return ChademoEv(battery, Traits(**model_kw), seed)


def _profile(kind: str, name: str) -> dict[str, Any]:
    if not name:
        return {}
    if kind == "iso15118":
        return iso15118.load(name)
    profiles = PROFILES[kind]
    if name not in profiles:
        raise ValueError(f"{kind} profile {name!r}: known are {sorted(profiles)}")
    return profiles[name]


def _iso15118(
    battery: Battery, interface: str = "lo", sdp_port: int = 15118, **keys: Any
) -> Iso15118Ev:
    if not isinstance(interface, str) or not isinstance(sdp_port, int):
        raise ValueError("interface, sdp_port: a name and a number")  # noqa: TRY004
    profile = iso15118.with_keys(iso15118.Profile(), keys)
    return Iso15118Ev(battery, profile, Wire(interface, sdp_port))


def _must_be_number(what: str, value: object) -> None:
    """Every key is a finite number or a flag; only temperatures may be negative."""
    if not isinstance(value, bool | int | float) or not math.isfinite(value):
        raise ValueError(f"{what} is {value!r}: must be a finite number or true/false")
    if value < 0 and not what.endswith("_c"):
        raise ValueError(f"{what} is {value!r}: must not be negative")
