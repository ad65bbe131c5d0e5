"""The rows of block D: the local authorization list."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, flag, read

LIST_ENTRIES = 5_000
LIST_ITEMS = 1_000  # of one SendLocalList
LIST_BYTES = 512 * 1024  # what the transport takes as one message

ROWS: tuple[Row, ...] = (
    read("LocalAuthListCtrlr", "Available", "boolean", "true"),
    flag("LocalAuthListCtrlr", "Enabled", default=True),
    read("LocalAuthListCtrlr", "Entries", "integer", "0", high=LIST_ENTRIES, live=True),
    read("LocalAuthListCtrlr", "ItemsPerMessage", "integer", str(LIST_ITEMS),
         high=LIST_ITEMS),
    read("LocalAuthListCtrlr", "BytesPerMessage", "integer", str(LIST_BYTES),
         high=LIST_BYTES),
    flag("LocalAuthListCtrlr", "DisablePostAuthorize", default=False),
    flag("LocalAuthListCtrlr", "SupportsExpiryDateTime", default=True),
)  # fmt: skip
