"""Certificates that a station is told to hold, without making any."""

from __future__ import annotations

from datetime import datetime, timedelta

from chargerd.model import CertificateHash
from chargerd.ocpp.jobs.certificates import CSMS_ROOT, STATION, Held
from tests.unit.ocpp.station_rig import START


def name(serial: str = "1a", url: str = "") -> CertificateHash:
    return CertificateHash("SHA256", "aa" * 32, "bb" * 32, serial, url)


def held(
    use: str = CSMS_ROOT,
    serial: str = "1a",
    *,
    days: float = 400,
    age_days: float = 10,
    children: tuple[CertificateHash, ...] = (),
    signing: str = "",
    url: str = "",
    at: datetime = START,
) -> Held:
    """In force now, for `days` more."""
    return Held(
        use,
        name(serial, url),
        at + timedelta(days=days),
        at - timedelta(days=age_days),
        children,
        signing or (STATION if use == STATION else ""),
    )
