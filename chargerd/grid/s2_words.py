"""S2 (EN 50491-12-2) messages: what a resource manager sends, and how it reads.

Pure, but for the ids that it is given. What comes in has the shapes of s2-python, or is
refused; numbers that are not finite never pass.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID, uuid5

from s2python.message import S2Message
from s2python.s2_parser import S2Parser
from s2python.s2_validation_error import S2ValidationError
from s2python.version import S2_VERSION

from chargerd.config import Evse
from chargerd.grid.errors import GridError

Json = dict[str, Any]
IDLE, CHARGE, DISCHARGE = "idle", "charge", "discharge"
FRBC, PEBC = "FILL_RATE_BASED_CONTROL", "POWER_ENVELOPE_BASED_CONTROL"
LEVELS = (0.0, 100.0)  # fill level: state of charge in percent
DELAY_MS = 500  # from an instruction to power that follows
# The longest envelope that s2-python takes (288 elements) has some 890. To say what is
# wrong with each of 20,000 entries took it 70 ms.
MOST_COMMAS = 1024
_ID = re.compile(r"[a-zA-Z0-9\-_:]{2,64}")  # S2's schema


class Bad(GridError):
    """What is not followed. `reason` is the counter's name, `status` what is answered,
    `about` the message it is about, "" where it has no id."""

    def __init__(self, reason: str, status: str, text: str, about: str = "") -> None:
        super().__init__(text)
        self.reason, self.status, self.about = reason, status, about


def read(text: str) -> S2Message:
    """Raises Bad."""
    about = ""
    if text.count(",") > MOST_COMMAS:
        raise Bad("size", "INVALID_MESSAGE", f"over {MOST_COMMAS} values")
    try:
        raw = json.loads(text, parse_constant=_no_number)
        if not isinstance(raw, dict):
            raise Bad("malformed", "INVALID_DATA", "no object")
        ident = raw.get("message_id")
        about = ident if isinstance(ident, str) and _ID.fullmatch(ident) else ""
        if not _finite(raw):
            raise Bad("range", "INVALID_MESSAGE", "a number is not finite", about)
        return S2Parser.parse_as_any_message(raw)
    except (ValueError, RecursionError):
        raise Bad("malformed", "INVALID_DATA", "no JSON") from None
    except S2ValidationError as error:
        words = str(error)[:200]
        raise Bad("malformed", "INVALID_MESSAGE", words, about) from None


def _no_number(_: str) -> NoReturn:
    raise ValueError


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_finite(inner) for inner in value.values())
    if isinstance(value, list):
        return all(_finite(inner) for inner in value)
    return True


@dataclass(frozen=True, slots=True)
class Ids:
    """Of what we describe: the same in each session, so that a description that changes
    leaves its instructions alone."""

    resource: UUID
    actuator: UUID
    modes: dict[str, UUID]

    def mode(self, ident: UUID) -> str:
        """The mode's name; "" for one that is not ours."""
        found = (name for name, known in self.modes.items() if known == ident)
        return next(found, "")


_SPACE = UUID("6d8b5a0e-3c1f-5b7a-9c64-2f0a4e1d7b93")  # ours, for names


def ids(station: str, evse_id: int) -> Ids:
    def of(name: str) -> UUID:
        return uuid5(_SPACE, f"{station}/{evse_id}/{name}")

    modes = {name: of(name) for name in (IDLE, CHARGE, DISCHARGE)}
    return Ids(of("resource"), of("actuator"), modes)


@dataclass(frozen=True, slots=True)
class Able:
    """What can be asked of the EVSE now; without `soc_pct` it only idles in FRBC."""

    charge_w: float
    discharge_w: float
    soc_pct: float | None
    capacity_wh: float | None


class Words:
    """All messages; `new_id` gives their ids."""

    def __init__(self, evse: Evse, known: Ids, new_id: Callable[[], UUID]) -> None:
        self._evse, self._ids, self._new_id = evse, known, new_id
        phase = "3_PHASE_SYMMETRIC" if evse.ac_phases == 3 else f"L{evse.ac_phase}"
        self.quantity = f"ELECTRIC.POWER.{phase}"

    def _made(self, kind: str, **fields: Any) -> Json:
        return {"message_type": kind, "message_id": str(self._new_id()), **fields}

    def handshake(self) -> Json:
        versions = [S2_VERSION]
        return self._made("Handshake", role="RM", supported_protocol_versions=versions)

    def details(self, name: str, station: str) -> Json:
        return self._made(
            "ResourceManagerDetails",
            resource_id=str(self._ids.resource),
            name=name,
            serial_number=station,
            roles=[{"role": "ENERGY_STORAGE", "commodity": "ELECTRICITY"}],
            instruction_processing_delay=DELAY_MS,
            available_control_types=[FRBC, PEBC],
            provides_forecast=False,
            provides_power_measurement_types=[self.quantity],
        )

    @staticmethod
    def reception(about: str, status: str, label: str = "") -> Json:
        found = {"message_type": "ReceptionStatus", "subject_message_id": about}
        more = {"diagnostic_label": label} if label else {}
        return {**found, "status": status, **more}

    def instruction_status(self, ident: UUID, status: str, now: datetime) -> Json:
        return self._made(
            "InstructionStatusUpdate",
            instruction_id=str(ident),
            status_type=status,
            timestamp=now.isoformat(),
        )

    def measurement(self, power_w: float, now: datetime) -> Json:
        value = {"commodity_quantity": self.quantity, "value": power_w}
        stamp = now.isoformat()
        return self._made(
            "PowerMeasurement", measurement_timestamp=stamp, values=[value]
        )

    def constraints(self, ident: UUID, now: datetime) -> Json:
        """PEBC: an envelope may lie anywhere within the ratings."""
        return self._made(
            "PEBC.PowerConstraints",
            id=str(ident),
            valid_from=now.isoformat(),
            consequence_type="DEFER",
            allowed_limit_ranges=[
                {
                    "commodity_quantity": self.quantity,
                    "limit_type": side,
                    "range_boundary": _range(
                        -self._evse.discharge_w, self._evse.charge_w
                    ),
                    "abnormal_condition_only": False,
                }
                for side in ("UPPER_LIMIT", "LOWER_LIMIT")
            ],
        )

    def system(self, able: Able, now: datetime) -> Json:
        """FRBC: one actuator; its modes by what the vehicle can do."""
        modes = [self._mode(IDLE, 0.0, 0.0, able)]
        if able.soc_pct is not None and able.capacity_wh:
            if able.charge_w:
                modes.append(self._mode(CHARGE, 0.0, able.charge_w, able))
            if able.discharge_w:
                modes.append(self._mode(DISCHARGE, -able.discharge_w, 0.0, able))
        ids = [mode["id"] for mode in modes]
        actuator = {
            "id": str(self._ids.actuator),
            "supported_commodities": ["ELECTRICITY"],
            "operation_modes": modes,
            "transitions": [_transition(a, b) for a in ids for b in ids if a != b],
            "timers": [],
        }
        storage = {
            "fill_level_label": "state of charge, %",
            "provides_leakage_behaviour": False,
            "provides_fill_level_target_profile": True,
            "provides_usage_forecast": False,
            "fill_level_range": _range(*LEVELS),
        }
        return self._made(
            "FRBC.SystemDescription",
            valid_from=now.isoformat(),
            actuators=[actuator],
            storage=storage,
        )

    def _mode(self, name: str, low_w: float, high_w: float, able: Able) -> Json:
        """A range must not fall (s2-python): factor 0 is the lowest power."""
        power = {**_range(low_w, high_w), "commodity_quantity": self.quantity}
        element = {
            "fill_level_range": _range(*LEVELS),
            "fill_rate": _range(self._rate(low_w, able), self._rate(high_w, able)),
            "power_ranges": [power],
        }
        return {
            "id": str(self._ids.modes[name]),
            "diagnostic_label": name,
            "elements": [element],
            "abnormal_condition_only": False,
        }

    def _rate(self, power_w: float, able: Able) -> float:
        """Percent a second, with the converter's losses."""
        if not able.capacity_wh:
            return 0.0
        eta = self._evse.efficiency
        battery_w = power_w * eta if power_w > 0.0 else power_w / eta
        return battery_w / 36.0 / able.capacity_wh

    def storage(self, soc_pct: float) -> Json:
        return self._made("FRBC.StorageStatus", present_fill_level=soc_pct)

    def actuator(self, mode: str, factor: float) -> Json:
        return self._made(
            "FRBC.ActuatorStatus",
            actuator_id=str(self._ids.actuator),
            active_operation_mode_id=str(self._ids.modes[mode]),
            operation_mode_factor=factor,
        )

    def target(self, parts: Iterable[tuple[float, float]], now: datetime) -> Json:
        """For how many seconds at least what state of charge."""
        elements = [
            {
                "duration": int(length_s * 1000.0),
                "fill_level_range": _range(soc_pct, LEVELS[1]),
            }
            for length_s, soc_pct in parts
        ]
        start = now.isoformat()
        return self._made(
            "FRBC.FillLevelTargetProfile", start_time=start, elements=elements
        )


def _range(low: float, high: float) -> Json:
    return {"start_of_range": low, "end_of_range": high}


def _transition(begin: str, end: str) -> Json:
    return {
        "id": str(uuid5(UUID(begin), end)),
        "from": begin,
        "to": end,
        "start_timers": [],
        "blocking_timers": [],
        "abnormal_condition_only": False,
    }
