"""Words for the generated declarations: what types mean, and the units of fields.

Owns no structure. Units are told only where the standard's own names tell them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MODULES = {
    "xmldsig": "XML signature (W3C xmldsig-core), as ISO 15118 and DIN 70121 import it.",
    "common_types": "ISO 15118-20 CommonTypes: what every -20 schema set shares.",
    "din": "DIN 70121: DC charging without contract.",
    "iso2": "ISO 15118-2: AC and DC charging, with contract.",
    "common": "ISO 15118-20 CommonMessages: the frame of a session, schedules, prices.",
    "ac": "ISO 15118-20 AC: charging and discharging through the vehicle's inverter.",
    "dc": "ISO 15118-20 DC: charging and discharging through the station's inverter.",
    "acdp": "ISO 15118-20 ACDP: charging through an automatic connection device.",
    "wpt": "ISO 15118-20 WPT: wireless power transfer.",
}
CONSTANTS: dict[str, str] = {}


def choice_name(names: Sequence[str]) -> str:
    return "one"


def about(module: str, name: str) -> str:
    return f"{name}."


def units(module: str, fields: Sequence[tuple[str, str]]) -> list[str]:
    return []
