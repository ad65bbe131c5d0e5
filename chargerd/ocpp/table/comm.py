"""The rows of the connection with the central system (B, E12, part 4)."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, flag, read, seconds

ROWS: tuple[Row, ...] = (
    seconds("OCPPCommCtrlr", "HeartbeatInterval", "300", 1, 86_400),
    seconds("OCPPCommCtrlr", "WebSocketPingInterval", "10", 0, 3600),
    seconds("OCPPCommCtrlr", "OfflineThreshold", "60", 0, 86_400),
    Row("OCPPCommCtrlr", "MessageAttempts", "integer", "5", "TransactionEvent",
        low=1, high=100),
    seconds("OCPPCommCtrlr", "MessageAttemptInterval", "10", 1, 86_400,
             "TransactionEvent"),
    seconds("OCPPCommCtrlr", "RetryBackOffWaitMinimum", "3", 1, 3600),
    seconds("OCPPCommCtrlr", "RetryBackOffRandomRange", "2", 0, 3600),
    Row("OCPPCommCtrlr", "RetryBackOffRepeatTimes", "integer", "5", low=0, high=20),
    flag("OCPPCommCtrlr", "QueueAllMessages", default=False),
    read("OCPPCommCtrlr", "FileTransferProtocols", "MemberList",
         lambda p: ",".join(p.config.ocpp.transfer.protocols),
         values=("FTP", "FTPS", "HTTP", "HTTPS", "SFTP")),
    read("OCPPCommCtrlr", "ResetRetries", "integer", "0"),
    read("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", "boolean", "true"),
)  # fmt: skip
