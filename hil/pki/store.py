"""A PKI as files. Writes where it is told to, keys readable by the owner only.

One folder per profile below the folder given:

    iso2/                      or iso20/, iso20-ed448/
        v2g/root.{pem,der,key}                       the vehicle trusts it
        secc/{sub1,sub2,leaf}.{pem,der,key}          the station's TLS certificate
        secc/chain.pem                               leaf, sub2, sub1: TLS server
        cps/...            as secc                   signs CertificateInstallationRes
        oem/root.*         the station trusts it (ISO 15118-20, installation)
        oem/{sub1,sub2,leaf}.*, oem/chain.pem        the vehicle's own certificate
        mo/root.*          the station trusts it (contracts)
        mo/{sub1,sub2,leaf}.*, mo/chain.pem          the contract

Keys are PKCS#8 PEM without a password.
"""

from __future__ import annotations

import os
from pathlib import Path

from hil.pki.make import Chain, Issued, Pki
from hil.pki.profiles import ROWS


def write_pki(pki: Pki, folder: Path) -> Path:
    """Write all chains; returns the profile's folder."""
    home = folder / pki.profile.value
    for use, chain in pki.chains.items():
        write_issued(chain.root, home / ROWS[use].root, "root")
        write_chain(chain, home / use.value)
    return home


def write_chain(chain: Chain, folder: Path) -> None:
    """Leaf and CAs under their names, and chain.pem."""
    write_issued(chain.leaf, folder, "leaf")
    for number, sub in enumerate(reversed(chain.subs), start=1):
        write_issued(sub, folder, f"sub{number}")
    (folder / "chain.pem").write_bytes(chain.chain_pem)


def write_issued(issued: Issued, folder: Path, name: str) -> None:
    """PEM, DER and key of one certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.pem").write_bytes(issued.pem)
    (folder / f"{name}.der").write_bytes(issued.der)
    key = folder / f"{name}.key"
    key.unlink(missing_ok=True)
    handle = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(issued.key_pem)
