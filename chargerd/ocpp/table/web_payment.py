"""The rows of C25: QR codes for payments on a web page."""

from __future__ import annotations

from chargerd.ocpp.table.row import Place, Row, read

CTRLR = "WebPaymentsCtrlr"
LIMITS = ("maxtime", "maxenergy", "maxcost")


def _roaming_id(place: Place) -> str:
    port = place.one_evse.iso15118
    return port.evse_id if port else ""


ROWS: tuple[Row, ...] = (
    Row(CTRLR, "Enabled", "boolean", "false", scope="evse"),
    Row(CTRLR, "URLTemplate", "string", "", scope="evse", high=500),
    read(CTRLR, "URLParameters", "MemberList", ",".join(LIMITS), scope="evse",
         values=LIMITS),
    Row(CTRLR, "TOTPVersion", "OptionList", "v1", scope="evse", values=("v1",)),
    Row(CTRLR, "RoamingEvseId", "string", _roaming_id, scope="evse", high=48),
    Row(CTRLR, "ValidityTime", "integer", "30", scope="evse", unit="s", low=6,
        high=3600),
    Row(CTRLR, "SharedSecret", "string", "", scope="evse", mutability="WriteOnly",
        high=100),
    Row(CTRLR, "Length", "integer", "8", scope="evse", low=6, high=32),
)  # fmt: skip
