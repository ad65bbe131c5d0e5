"""Words for the generated declarations: what types mean, and the units of fields.

Owns no structure. Units are told only where the standard's own names tell them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MODULES = {
    "xmldsig": "XML signature (W3C xmldsig-core), as DIN and ISO 15118 import it.",
    "common_types": "ISO 15118-20 CommonTypes: what every -20 schema set shares.",
    "din": "DIN 70121: DC charging without contract.",
    "iso2": "ISO 15118-2: AC and DC charging, with contract.",
    "common": "ISO 15118-20 CommonMessages: the frame of a session, schedules, prices.",
    "ac": "ISO 15118-20 AC: charging and discharging through the vehicle's inverter.",
    "dc": "ISO 15118-20 DC: charging and discharging through the station's inverter.",
    "acdp": "ISO 15118-20 ACDP: charging through an automatic connection device.",
    "wpt": "ISO 15118-20 WPT: wireless power transfer.",
}
# Simple types whose names do not fall into words by themselves.
CONSTANTS = {
    "eMAID": "EMAID_TEXT",  # EMAID is a class
    "dHpublickey": "DH_PUBLIC_KEY",
    "dHParams": "DH_PARAMS",
    "dhPublicKey": "DH_PUBLIC_KEY",
    "bssid": "BSSID",
    "ipaddress": "IP_ADDRESS",
}


def choice_name(names: Sequence[str]) -> str:
    """What the options of a choice have in common, of their last two words."""
    split = [re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name) for name in names]
    common: list[str] = []
    for words in zip(*(reversed(words) for words in split), strict=False):
        if len(set(words)) > 1 or len(common) == 2:
            break
        common.insert(0, words[0].lower())
    return "_".join(common) or "value"


def about(module: str, name: str) -> str:
    return f"{name}."


def units(module: str, fields: Sequence[tuple[str, str]]) -> list[str]:
    return []
