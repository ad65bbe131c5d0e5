"""Who signed whom: the one step that every chain is made of.

Judges no key, no life and no use: who needs a rule has it.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm


def issued(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` signed `subject`, by name and by signature."""
    if subject.issuer != issuer.subject:
        return False
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def anchor(
    last: x509.Certificate, roots: Sequence[x509.Certificate]
) -> x509.Certificate | None:
    """The root that signed the last certificate of a chain."""
    return next((root for root in roots if issued(last, root)), None)
