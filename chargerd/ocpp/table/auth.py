"""The rows of block C: authorization, its cache."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, flag, read, seconds

CACHE_ENTRIES = 500
CACHE_BYTES = 250_000
KINDS = (
    "Central", "DirectPayment", "eMAID", "EVCCID", "ISO14443", "ISO15693", "KeyCode",
    "Local", "MacAddress", "NoAuthorization", "VIN",
)  # fmt: skip

ROWS: tuple[Row, ...] = (
    flag("AuthCtrlr", "Enabled", default=True),
    flag("AuthCtrlr", "AuthorizeRemoteStart", default=False),
    flag("AuthCtrlr", "DisableRemoteAuthorization", default=False),
    flag("AuthCtrlr", "LocalAuthorizeOffline", default=True),
    flag("AuthCtrlr", "LocalPreAuthorize", default=False),
    flag("AuthCtrlr", "OfflineTxForUnknownIdEnabled", default=False),
    Row("AuthCtrlr", "MasterPassGroupId", "string", "", high=36),
    read("AuthCtrlr", "SupportedIdTokenType", "MemberList", ",".join(KINDS),
         values=KINDS),
    read("AuthCacheCtrlr", "Available", "boolean", "true"),
    flag("AuthCacheCtrlr", "Enabled", default=True),
    flag("AuthCacheCtrlr", "DisablePostAuthorize", default=False),
    seconds("AuthCacheCtrlr", "LifeTime", "604800", 0, 31_536_000),
    Row("AuthCacheCtrlr", "Policy", "OptionList", "LRU", values=("LRU", "FIFO")),
    read("AuthCacheCtrlr", "Storage", "integer", "0", unit="B", high=CACHE_BYTES,
         live=True),
)  # fmt: skip
