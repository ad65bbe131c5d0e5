"""Plug & Charge: is this contract one that may be shown to the central system?

Owns the account's name (eMAID) and the checks of contract and installation requests.
Must never say that a contract is accepted: the central system does. Sources: ISO
15118-2 Annex F and H, [V2G2-108], [V2G2-925]; formats marked [K].
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding

from chargerd.model import Contract
from chargerd.trust.name import certificate_hashes
from chargerd.vehicle.iso15118 import pki, signature
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages import xmldsig
from chargerd.vehicle.iso15118.pki import CertificateError, Problem, Trust, Use
from chargerd.vehicle.iso15118.signature import PublicKey, Suite

__all__ = [
    "ContractError",
    "Problem",
    "check_install_request",
    "key",
    "normal_emaid",
    "read",
]

ContractError = CertificateError  # `.problem` says which ResponseCode fits

# Country, provider, nine of the account, maybe a check digit; separators are free [K].
_EMAID = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[A-Z0-9]{9}[A-Z0-9]?")


def read(
    leaf_der: bytes,
    subs_der: Sequence[bytes],
    trust: Trust,
    now_utc: datetime | None,
    suites: Sequence[Suite],
) -> Contract:
    """A contract's chain as the vehicle sent it; ContractError says what is wrong.

    A root we do not have is no error: `Contract.trusted` is False then.
    """
    chain = pki.check_chain(leaf_der, subs_der, trust, Use.CONTRACT, now_utc)
    _check_suite(pki.public_key(chain.leaf, "contract certificate"), suites)
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in chain.path)
    return Contract(
        emaid=normal_emaid(pki.common_name(chain.leaf)),
        chain_pem=pem.decode("ascii"),
        hashes=certificate_hashes(chain.known),
        trusted=chain.anchor is not None,
    )


def key(leaf_der: bytes) -> PublicKey:
    """The key that `signature.verify` needs."""
    leaf = pki.read(leaf_der, "contract certificate")
    return pki.public_key(leaf, "contract certificate")


def normal_emaid(text: str) -> str:
    """An eMAID in capitals without separators: two that are equal name one account.

    The check digit is not checked: ISO 15118 and DIN 91286 count it differently [K].
    """
    plain = text.replace("-", "").upper()
    if _EMAID.fullmatch(plain) is None:
        raise ContractError(
            Problem.EMAID, "contract certificate: its CN is not an eMAID [V2G2-108]"
        )
    return plain


def check_install_request(
    sealed: xmldsig.Signature,
    parts: Mapping[str, bytes],
    leaf_der: bytes,
    subs_der: Sequence[bytes],
    trust: Trust,
    now_utc: datetime | None,
    suites: Sequence[Suite],
) -> None:
    """A CertificateInstallationReq must be signed by its provisioning certificate.

    `parts` as in `signature.verify`. ISO 15118-2 sends no CAs: `subs_der` is empty and
    the central system judges the chain, as it does when the root is not ours.
    """
    chain = pki.check_chain(leaf_der, subs_der, trust, Use.OEM, now_utc)
    holder = pki.public_key(chain.leaf, "provisioning certificate")
    _check_suite(holder, suites)
    try:
        signature.verify(sealed, parts, holder, suites)
    except V2gError as error:
        raise ContractError(Problem.SIGNATURE, str(error)) from error


def _check_suite(holder: PublicKey, suites: Sequence[Suite]) -> None:
    if not any(suite.fits(holder) for suite in suites):
        raise ContractError(
            Problem.ALGORITHM, "certificate: its key's curve is not this protocol's"
        )
