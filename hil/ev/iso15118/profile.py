"""What one ISO 15118 vehicle is and wants: values only, and the profile files.

A profile is a flat YAML file in hil/ev/profiles; a key of `plug_in` wins over it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parent.parent / "profiles"
PROTOCOLS = ("iso15118-20", "iso15118-2", "din70121")
SERVICES = ("AC", "DC", "AC_BPT", "DC_BPT")

# What a vehicle of this bench can do wrong: name -> what it is.
MISBEHAVIOURS: Mapping[str, str] = {
    "silent": "sends no request any more; the connection stays",
    "slow": "waits `slow_s` before each request",
    "wrong_order": "sends SessionSetupReq once more",
    "wrong_session_id": "sends its requests with another session id",
    "hang_up": "closes the connection without a word",
    "unplug": "the connector is pulled, whatever flows",
    "weld": "its contactor does not open",
    "wont_close": "its contactor does not close",
    "refuse_bpt": "takes no bidirectional service",
    "negative_limits": "sends its discharge limits with a minus",
    "trailing_zeros": "adds zero bytes after the end of each message",
    "split": "sends each message byte by byte",
    "coalesce": "sends a message of an unknown type right before each request",
    "ignore_limits": "asks for its own maximum whatever the station allows",
    "stay_in_c": "stays in pilot state C when power is over",
}
# Those that begin at a message (`misbehave_at`); the others hold from the start.
AT_A_MESSAGE = frozenset(
    {"silent", "wrong_order", "wrong_session_id", "hang_up", "unplug"}
)


@dataclass(frozen=True, slots=True)
class Profile:
    """Times in s, levels in percent; limits are magnitudes, W at its own terminals."""

    protocols: tuple[str, ...] = PROTOCOLS  # best first
    services: tuple[str, ...] = ("DC_BPT", "DC")  # best first
    control: str = "dynamic"  # of ISO 15118-20: dynamic or scheduled
    authorise: str = "eim"  # eim or contract
    install: bool = False  # asks for a contract certificate first
    tls: bool = False  # asks for TLS; ISO 15118-20 is offered only then
    pki: str = ""  # folder of certificates and keys
    evccid: str = "020000000001"  # 12 hex digits
    charge_max_a: float = 100.0
    charge_max_w: float = 30_000.0
    discharge_max_a: float = 60.0
    discharge_max_w: float = 20_000.0
    voltage_min_v: float = 300.0
    ac_max_a: float = 16.0
    ac_phases: int = 3
    target_soc_pct: float = 90.0
    min_soc_pct: float = 15.0  # no discharging below
    max_soc_pct: float = 95.0  # no charging above
    departure_s: float = 0.0  # 0 = it does not say
    feed: bool = False  # in scheduled control it would rather discharge
    loop_s: float = 0.1  # between two requests of a charge loop
    poll_s: float = 0.2  # between two requests of any other loop
    needs_pwm: bool = True  # speaks at 5 % duty only; false: whenever it is plugged in
    wake_s: float = 0.3  # PWM to the first SDP request
    contactor_s: float = 0.3
    ramp_w_per_s: float = 10_000.0  # of the on-board charger
    patience: float = 1.0  # its time limits are the standard's times this
    retries: int = 3  # sessions after one that failed
    retry_s: float = 5.0
    pause_after_s: float = 0.0  # so long in the loop, then a pause; 0 = never
    pause_s: float = 10.0
    renew_after_s: float = 0.0  # so long in the loop, then a new schedule; 0 = never
    slow_s: float = 1.0
    misbehave: tuple[str, ...] = ()
    misbehave_at: str = "loop"  # request where it begins; "loop": the charge loop

    def __post_init__(self) -> None:
        for name, known in (
            ("protocols", PROTOCOLS),
            ("services", SERVICES),
            ("misbehave", tuple(MISBEHAVIOURS)),
        ):
            unknown = set(getattr(self, name)) - set(known)
            if unknown:
                raise ValueError(f"{name}: unknown {sorted(unknown)}; known: {known}")
        if not self.protocols or not self.services:
            raise ValueError("protocols, services: give at least one")
        if self.control not in ("dynamic", "scheduled"):
            raise ValueError(f"control {self.control!r}: dynamic or scheduled")
        if self.authorise not in ("eim", "contract"):
            raise ValueError(f"authorise {self.authorise!r}: eim or contract")
        if self.ac_phases not in (1, 3):
            raise ValueError(f"ac_phases {self.ac_phases!r}: 1 or 3")
        if len(bytes.fromhex(self.evccid)) != 6:
            raise ValueError(f"evccid {self.evccid!r}: 12 hex digits")


KEYS = frozenset(field.name for field in fields(Profile))
_TYPES = {field.name: str(field.type) for field in fields(Profile)}


def with_keys(profile: Profile, keys: Mapping[str, Any]) -> Profile:
    """The same vehicle with other values. ValueError names what is wrong."""
    return replace(profile, **{key: _value(key, keys[key]) for key in keys})


def _value(key: str, raw: Any) -> Any:
    kind = _TYPES.get(key)
    if kind is None:
        raise ValueError(f"unknown key {key!r}; known are {sorted(KEYS)}")
    number = isinstance(raw, int | float) and not isinstance(raw, bool)
    if kind == "float" and number and math.isfinite(raw) and raw >= 0.0:
        return float(raw)
    if kind == "int" and number and isinstance(raw, int) and raw >= 0:
        return raw
    if kind == "bool" and isinstance(raw, bool):
        return raw
    if kind == "str" and isinstance(raw, str):
        return raw
    if kind.startswith("tuple") and isinstance(raw, str | list | tuple):
        parts = raw.split(",") if isinstance(raw, str) else raw
        if all(isinstance(part, str) for part in parts):
            return tuple(part.strip() for part in parts if part.strip())
    raise ValueError(f"{key} is {raw!r}: not a good {kind}")


def names() -> list[str]:
    """The profile files there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> dict[str, Any]:
    """The keys of one profile file. ValueError: none of that name, or not a table."""
    if name not in names():
        raise ValueError(f"iso15118 profile {name!r}: known are {names()}")
    raw = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    if not isinstance(raw, dict):
        raise ValueError(  # noqa: TRY004  # one type for all that is wrong
            f"iso15118 profile {name!r}: a table of keys is needed"
        )
    return {str(key): value for key, value in raw.items()}
