"""The rows of block E: transactions."""

from __future__ import annotations

from chargerd.ocpp.blocks.transaction_limits import TRIGGERS
from chargerd.ocpp.table.row import TX_POINTS, Row, flag, read, seconds

ROWS: tuple[Row, ...] = (
    Row("TxCtrlr", "TxStartPoint", "MemberList", "PowerPathClosed", values=TX_POINTS),
    Row("TxCtrlr", "TxStopPoint", "MemberList", "EVConnected,Authorized",
        values=TX_POINTS),
    flag("TxCtrlr", "StopTxOnInvalidId", default=True),
    flag("TxCtrlr", "StopTxOnEVSideDisconnect", default=True),
    Row("TxCtrlr", "MaxEnergyOnInvalidId", "integer", "0", unit="Wh", low=0,
        high=1_000_000),
    read("TxCtrlr", "SupportedLimits", "MemberList", ",".join(TRIGGERS)),
    seconds("TxCtrlr", "ResumptionTimeout", "0", 0, 86_400),
    flag("TxCtrlr", "AllowEnergyTransferResumption", default=False),
    seconds("TxCtrlr", "EnergyTransferResumptionRandomRange", "0", 0, 3600),
    seconds("TxCtrlr", "EVConnectionTimeOut", "60", 1, 3600),
    flag("TxCtrlr", "TxBeforeAcceptedEnabled", default=True),
)  # fmt: skip
