"""The rows of block O: messages of the central system on the display."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, flag, read
from chargerd.ocpp.table.tariff import LANGUAGES

CTRLR = "DisplayMessageCtrlr"
MOST_MESSAGES = 50
STATES = ("Charging", "Discharging", "Faulted", "Idle", "Suspended", "Unavailable")
PRIORITIES = ("AlwaysFront", "InFront", "NormalCycle")
FORMATS = ("ASCII", "HTML", "QRCODE", "URI", "UTF8")
SHOWN = "ASCII,QRCODE,URI,UTF8"  # HTML: where a maker's display says that it can


def _list(variable: str, default: str, values: tuple[str, ...]) -> Row:
    return read(CTRLR, variable, "MemberList", default, values=values)


ROWS: tuple[Row, ...] = (
    read(CTRLR, "Available", "boolean", "true"),
    flag(CTRLR, "Enabled", default=True),
    read(CTRLR, "DisplayMessages", "integer", "0", high=MOST_MESSAGES, live=True),
    _list("SupportedStates", ",".join(STATES), STATES),
    _list("SupportedPriorities", ",".join(PRIORITIES), PRIORITIES),
    _list("SupportedFormats", SHOWN, FORMATS),
    Row(CTRLR, "Language", "OptionList", "en", values=LANGUAGES),
    read("Display", "Present", "boolean", "true"),
    read("Display", "Present", "boolean", "true", scope="evse"),
)
