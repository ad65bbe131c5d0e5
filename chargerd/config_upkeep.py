"""What keeps a station in order from afar: monitors, files, firmware, vendor data.

Owns the sections below `[ocpp]` for blocks L, N and P. Judges no file and no address.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from chargerd.config_base import Section


class EventStream(Section):
    """How often the values of a monitor leave together (N11): every `interval_s`, or
    when there are `values` of them; 0 = not by that."""

    interval_s: Annotated[int, Field(ge=0, le=86_400)] = 0
    values: Annotated[int, Field(ge=0, le=1000)] = 0


class Monitor(Section):
    """`[[ocpp.monitors]]`: a monitor that is there from the start (N03).

    `on` names a variable, as in `[ocpp.device_model]`; without `@evse` all EVSEs'.
    """

    on: str
    type: Literal[
        "UpperThreshold", "LowerThreshold", "Delta", "Periodic",
        "PeriodicClockAligned", "TargetDelta", "TargetDeltaRelative",
    ]  # fmt: skip
    value: float = 1.0
    severity: Annotated[int, Field(ge=0, le=9)] = 5
    transaction: bool = False  # only while a transaction runs there
    hard_wired: bool = False  # the central system can neither change nor clear it
    stream: EventStream | None = None


class VendorHook(Section):
    """`[[ocpp.data_transfer]]`: a program of the charger's maker answers DataTransfer.

    It listens on a unix socket; one JSON line in, one JSON line out
    (docs/ocpp-upkeep.md).
    """

    vendor: Annotated[str, Field(min_length=1, max_length=255)]  # "com.example"
    messages: tuple[str, ...] = ()  # message ids it knows; none = it looks itself
    socket: Path
    timeout_s: Annotated[float, Field(gt=0, le=20)] = 5.0


class Transfer(Section):
    """`[ocpp.transfer]`: where files may go to and come from (GetLog, UpdateFirmware).

    Addresses of this machine and its own link are refused unless `hosts` names them.
    """

    protocols: Annotated[
        tuple[Literal["HTTPS", "HTTP", "FTPS", "FTP", "SFTP"], ...],
        Field(min_length=1),
    ] = ("HTTPS", "HTTP", "FTPS", "FTP")
    hosts: tuple[str, ...] = ()  # only these; none = any host that is not this machine
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0  # without a byte
    known_hosts: Path | None = None  # SFTP: keys of servers, as OpenSSH keeps them


class Logs(Section):
    """`[ocpp.logs]`: what goes into a DiagnosticsLog."""

    # Read by journalctl; "" = none.
    journal_unit: Annotated[str, Field(pattern=r"^[A-Za-z0-9@._-]*$")] = "chargerd"
    files: tuple[Path, ...] = ()  # more files, whole
    max_mib: Annotated[int, Field(ge=1, le=1024)] = 64


class Firmware(Section):
    """`[ocpp.firmware]`: updates of the whole system (UpdateFirmware).

    The roots of the maker's signing certificates are in `certificates_dir`, folder
    `manufacturer`, or come by InstallCertificate.
    """

    installer: Literal["none", "rauc"] = "none"  # "none": updates are refused
    unsigned: bool = False  # take firmware without the maker's signature (L02), too
    older: bool = False  # take a version that is older than the running one, too
    max_mib: Annotated[int, Field(ge=1, le=65_536)] = 2048
