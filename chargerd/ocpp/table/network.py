"""The rows of the network connection profiles (B09, B10): slots 1 to 3.

Slot 1 begins as the config file says; the others are empty until somebody fills them.
OcppInterface and OcppVersion are kept for the CSMS and change nothing: routes are the
operating system's, and the version is agreed upon with each link (part 4, 3.2).
"""

from __future__ import annotations

from collections.abc import Callable

from chargerd.ocpp.table.row import Place, Row, flag, read

SLOTS = ("1", "2", "3")
MAX_URL = 2000
MAX_IDENTITY = 48
MIN_PASSWORD, MAX_PASSWORD = 16, 64  # A00.FR.205
INTERFACES = (
    "Any", "Wired0", "Wired1", "Wired2", "Wired3", "Wireless0", "Wireless1",
    "Wireless2", "Wireless3",
)  # fmt: skip
VERSIONS = ("OCPP12", "OCPP15", "OCPP16", "OCPP20", "OCPP201", "OCPP21")


def component(slot: str | int) -> str:
    return f"NetworkConfiguration[{slot}]"


def _identity(place: Place) -> str:
    return place.config.ocpp.identity or place.config.station.id


def _password(place: Place) -> str:
    return place.config.ocpp.password.get_secret_value()


def _profile(place: Place) -> str:
    return str(place.config.ocpp.security_profile)


def _timeout(place: Place) -> str:
    return str(max(1, round(place.config.ocpp.message_timeout_s)))


def _slot(slot: str) -> tuple[Row, ...]:
    name = component(slot)
    url: str | Callable[[Place], str] = ""
    if slot == SLOTS[0]:
        url = _config_url
    return (
        Row(name, "OcppCsmsUrl", "string", url, high=MAX_URL),
        Row(name, "OcppInterface", "OptionList", "Any", values=INTERFACES),
        Row(name, "OcppTransport", "OptionList", "JSON", values=("JSON",)),
        Row(name, "OcppVersion", "OptionList", "OCPP21", values=VERSIONS),
        Row(name, "MessageTimeout", "integer", _timeout, unit="s", low=1, high=300),
        Row(name, "SecurityProfile", "integer", _profile, low=0, high=3),
        Row(name, "Identity", "string", _identity, low=1, high=MAX_IDENTITY),
        Row(name, "BasicAuthPassword", "string", _password, mutability="WriteOnly",
            high=MAX_PASSWORD),
        read(name, "VpnEnabled", "boolean", "false"),
        read(name, "ApnEnabled", "boolean", "false"),
    )  # fmt: skip


def _config_url(place: Place) -> str:
    return place.config.ocpp.url


ROWS: tuple[Row, ...] = (
    Row("OCPPCommCtrlr", "NetworkConfigurationPriority", "SequenceList", SLOTS[0],
        values=SLOTS),
    Row("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", "integer", "3", low=1,
        high=100),
    read("OCPPCommCtrlr", "ActiveNetworkProfile", "integer", SLOTS[0], live=True),
    read("OCPPCommCtrlr", "MessageTimeout", "integer", _timeout, instance="Default",
         unit="s", live=True),
    *(row for slot in SLOTS for row in _slot(slot)),
    # The same three of the profile that is in use (B09.FR.26 to .28).
    read("SecurityCtrlr", "SecurityProfile", "integer", _profile, live=True),
    Row("SecurityCtrlr", "Identity", "string", _identity, low=1, high=MAX_IDENTITY),
    Row("SecurityCtrlr", "BasicAuthPassword", "string", _password,
        mutability="WriteOnly", high=MAX_PASSWORD, monitored=True),
    flag("SecurityCtrlr", "AllowSecurityProfileDowngrade", default=False),
)  # fmt: skip
