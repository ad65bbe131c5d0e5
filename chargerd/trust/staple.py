"""OCSP responses that may be shown: good news with an end.

Owns what a response must say; its signature is the vehicle's to check (RFC 6066).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cryptography.x509 import ocsp

from chargerd.trust.errors import TrustError

MAX_STAPLE_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Staple:
    """An OCSP response (DER) that says "good", and until when it may be shown."""

    der: bytes = field(repr=False)
    serial: int
    until_utc: datetime

    def fresh(self, now_utc: datetime | None) -> bool:
        """Never shown after its end, nor while the time is not known."""
        return now_utc is not None and now_utc < self.until_utc


def read_staple(der: bytes) -> Staple:
    """TrustError: why it is no good news."""
    if len(der) > MAX_STAPLE_BYTES:
        raise TrustError(f"OCSP response: {len(der)} bytes are too many")
    try:
        answer = ocsp.load_der_ocsp_response(der)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise TrustError(f"OCSP response: {answer.response_status.name}")
        status, serial = answer.certificate_status, answer.serial_number
        until_utc = answer.next_update_utc
    except ValueError as error:
        raise TrustError(f"OCSP response cannot be read: {error}") from error
    if status is not ocsp.OCSPCertStatus.GOOD:
        raise TrustError(f"OCSP response: the station's certificate is {status.name}")
    if until_utc is None:
        raise TrustError("OCSP response: it does not say until when it holds")
    return Staple(der, serial, until_utc)
