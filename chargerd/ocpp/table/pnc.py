"""The rows of ISO 15118 and Plug & Charge."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, flag, read, yes

ROWS: tuple[Row, ...] = (
    Row("ISO15118Ctrlr", "PnCEnabled", "boolean",
        lambda p: yes("PnC" in p.config.vehicle.iso15118.authorise)),
    read("ISO15118Ctrlr", "CertificateStatusSource", "MemberList", "OCSP,CRL"),
    # Who the certificates for vehicles name.
    Row("ISO15118Ctrlr", "SeccId", "string", lambda p: p.config.station.id[:64],
        high=64),
    Row("ISO15118Ctrlr", "OrganizationName", "string",
        lambda p: p.config.station.vendor, high=64),
    Row("ISO15118Ctrlr", "CountryName", "string", "", high=2),
    flag("ISO15118Ctrlr", "V2GCertificateInstallationEnabled", default=True),
    flag("ISO15118Ctrlr", "CentralContractValidationAllowed", default=True),
    flag("ISO15118Ctrlr", "ContractValidationOffline", default=True),
    flag("ISO15118Ctrlr", "ContractCertificateInstallationEnabled", default=True),
)  # fmt: skip
