"""The rows of block E: transactions."""

from __future__ import annotations

from chargerd.ocpp.table.row import TX_POINTS, Row, flag, read, seconds

ROWS: tuple[Row, ...] = (
    Row("TxCtrlr", "TxStartPoint", "MemberList", "PowerPathClosed", values=TX_POINTS),
    Row("TxCtrlr", "TxStopPoint", "MemberList", "EVConnected,Authorized",
        values=TX_POINTS),
    flag("TxCtrlr", "StopTxOnInvalidId", default=True),
    read("TxCtrlr", "StopTxOnEVSideDisconnect", "boolean", "true"),
    seconds("TxCtrlr", "EVConnectionTimeOut", "60", 1, 3600),
    read("TxCtrlr", "TxBeforeAcceptedEnabled", "boolean", "true"),
)  # fmt: skip
