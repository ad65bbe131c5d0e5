"""The rows of block C: authorization, its cache."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, flag, read, seconds

ROWS: tuple[Row, ...] = (
    flag("AuthCtrlr", "Enabled", default=True),
    flag("AuthCtrlr", "AuthorizeRemoteStart", default=False),
    flag("AuthCtrlr", "LocalAuthorizeOffline", default=True),
    flag("AuthCtrlr", "LocalPreAuthorize", default=False),
    flag("AuthCtrlr", "OfflineTxForUnknownIdEnabled", default=False),
    Row("AuthCtrlr", "MasterPassGroupId", "string", "", high=36),
    read("AuthCacheCtrlr", "Available", "boolean", "true"),
    flag("AuthCacheCtrlr", "Enabled", default=True),
    seconds("AuthCacheCtrlr", "LifeTime", "604800", 0, 31_536_000),
)
