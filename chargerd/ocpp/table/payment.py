"""The rows of C18 to C23: a payment terminal beside the station."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, flag, read

CTRLR = "PaymentCtrlr"
DETAILS = (
    "PspRef", "SessionRef", "MerchantRef", "PaymentBrand", "ReadingMethod",
    "PaymentRecognition", "CardBin", "CardLast4Digits", "CardExpiryDate",
    "HashedCardNr", "WalletUserId",
)  # fmt: skip
MERCHANT = ("Id", "TaxId", "Name", "Address", "City")
ABOUT = (
    "TerminalID", "PaymentServiceProvider", "VendorName", "Model", "SerialNumber",
    "FirmwareVersion", "IMSI", "ICCID",
)  # fmt: skip


def _amount(variable: str, default: str) -> Row:
    return Row(CTRLR, variable, "decimal", default, low=0, high=100_000)


ROWS: tuple[Row, ...] = (
    flag(CTRLR, "Enabled", default=False),
    flag(CTRLR, "AuthorizeDirectPayment", default=False),
    _amount("AuthorizationAmount", "50"),
    _amount("IncrementalAuthorizationAmount", "0"),
    _amount("IncrementalAuthorizationThreshold", "5"),
    Row(CTRLR, "PaymentDetails", "MemberList", "PaymentBrand,PaymentRecognition",
        values=DETAILS),
    flag(CTRLR, "SettlementByCSMS", default=False),
    flag(CTRLR, "ReceiptByCSMS", default=False),
    Row(CTRLR, "ReceiptServerUrl", "string", "", high=500),
    *(Row(CTRLR, "Merchant", "string", "", name, high=100) for name in MERCHANT),
    *(read(CTRLR, name, "string", "") for name in ABOUT),
)  # fmt: skip
