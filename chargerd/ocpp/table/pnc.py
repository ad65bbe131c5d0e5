"""The rows of ISO 15118 and Plug & Charge."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, flag, yes

ROWS: tuple[Row, ...] = (
    Row("ISO15118Ctrlr", "PnCEnabled", "boolean",
        lambda p: yes("PnC" in p.config.vehicle.iso15118.authorise)),
    flag("ISO15118Ctrlr", "CentralContractValidationAllowed", default=True),
    flag("ISO15118Ctrlr", "ContractValidationOffline", default=True),
    flag("ISO15118Ctrlr", "ContractCertificateInstallationEnabled", default=True),
)  # fmt: skip
