"""The character of a simulated CHAdeMO vehicle, and the ways it can misbehave. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SLOWNESS = 4.0  # what `slow` does to times and ramps
# kind -> arguments and their defaults
FAULTS: dict[str, dict[str, int]] = {
    "silent": {},
    "no_k": {},
    "wont_close": {},
    "weld": {},
    "over_request": {"amps": 50},
    "soc_lie": {"soc": 100},
    "stop_now": {},
    "discharge_forbidden": {},
    "fault_bit": {"n": 0},
    "shift": {},
    "old_protocol": {},
    "slow": {},
}


@dataclass(frozen=True, slots=True)
class Traits:
    """The character of one car; times in seconds, levels in percent."""

    max_charge_a: float = 100.0
    max_discharge_a: float = 60.0
    min_level_pct: float = 10.0  # 200.6: discharging ends here
    max_level_pct: float = 95.0  # 200.7: charging ends here
    min_discharge_v: float = 300.0
    protocol_number: int = 2
    sequence_number: int = 1
    discharge_compatible: bool = True
    max_minutes: int = 240  # 101: the longest it wants to charge
    old_protocol: bool = False  # before V2H guideline 1.1: no 201, levels in 0.1 kWh
    wake_s: float = 0.2  # d1 to the first frame
    k_delay_s: float = 1.0  # d1 to k; about 4 s in a real car
    contactor_s: float = 0.5  # d1 and d2 to closed
    request_delay_s: float = 0.3  # closed to the first request
    d2_timeout_s: float = 30.0
    close_timeout_s: float = 4.0
    open_delay_s: float = 0.2  # no current to open
    weld_check_s: float = 1.0
    weld_timeout_s: float = 4.0
    linger_s: float = 0.5  # frames go on after d1 fell
    ramp_a_per_s: float = 20.0
    soc_false_frames: int = 15

    def __post_init__(self) -> None:
        for name in ("protocol_number", "sequence_number", "max_minutes"):
            value = getattr(self, name)
            if not isinstance(value, int) or not 0 <= value <= 255:
                raise ValueError(f"{name} {value!r}: must fit one byte")


def fault_arguments(kind: str, args: dict[str, Any]) -> dict[str, int]:
    """The arguments of a fault with its defaults; ValueError says what is wrong."""
    if kind not in FAULTS:
        raise ValueError(f"fault {kind}: a CHAdeMO car knows {', '.join(FAULTS)}")
    unknown = set(args) - set(FAULTS[kind])
    if unknown:
        raise ValueError(f"fault {kind}: unknown {sorted(unknown)}")
    full = {**FAULTS[kind], **args}
    for name, value in full.items():
        if not isinstance(value, int) or not 0 <= value <= 255:
            raise ValueError(f"fault {kind}: {name} is {value!r}, must be 0 to 255")
    if full.get("n", 0) > 4:
        raise ValueError(f"fault fault_bit: n is {full['n']}, 102.4 has bits 0 to 4")
    return full
