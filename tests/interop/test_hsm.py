"""The station's key in an HSM: SoftHSM by PKCS#11, over OpenSSL's pkcs11 provider.

Needs softhsm2, opensc (pkcs11-tool) and the provider (github latchset/pkcs11-provider)
in OpenSSL's module folder or at PKCS11_PROVIDER. docs/pki.md says how a station is set
up the same way.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from hil.pki.make import issue_for, leaf_wanted, make_pki
from hil.pki.profiles import Profile, Use

pytestmark = [pytest.mark.interop, pytest.mark.timeout(60)]

ROOT = Path(__file__).resolve().parents[2]
SOFTHSM = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/pkcs11/libsofthsm2.so"),
    Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
)
PIN = "1234"


def provider() -> Path:
    """The provider's module; skips with what to install."""
    named = os.environ.get("PKCS11_PROVIDER")
    if named:
        return Path(named)
    told = subprocess.run(
        ["openssl", "version", "-m"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r'"(.*)"', told)
    module = Path(found[1] if found else "/nowhere") / "pkcs11.so"
    if not module.exists():
        pytest.skip("no OpenSSL provider pkcs11: install pkcs11-provider")
    return module


class Token:
    """A SoftHSM token in a folder, made anew."""

    def __init__(self, folder: Path) -> None:
        module = next((each for each in SOFTHSM if each.exists()), None)
        if module is None or not shutil.which("pkcs11-tool"):
            pytest.skip("no SoftHSM: install softhsm2 and opensc")
        self.folder, self.module = folder, module
        (folder / "tokens").mkdir()
        (folder / "pin").write_text(PIN)
        (folder / "softhsm2.conf").write_text(
            f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n"
        )
        self.env = {**os.environ, "SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
        self.run("softhsm2-util", "--init-token", "--free", "--label", "chargerd",
                 "--pin", PIN, "--so-pin", "4321")  # fmt: skip

    def run(self, *command: str) -> str:
        return subprocess.run(
            command, env=self.env, capture_output=True, text=True, check=True
        ).stdout

    def tool(self, *arguments: str) -> str:
        return self.run(
            "pkcs11-tool", "--module", str(self.module), "--token-label", "chargerd",
            "--login", "--pin", PIN, *arguments,
        )  # fmt: skip

    def new_key(self, curve: str) -> ec.EllipticCurvePublicKey:
        """A key that is made inside and stays there; returns its public half."""
        self.tool("--keypairgen", "--key-type", f"EC:{curve}", "--label", "secc",
                  "--id", "01")  # fmt: skip
        out = self.folder / "public.der"
        self.tool("--read-object", "--type", "pubkey", "--label", "secc",
                  "-o", str(out))  # fmt: skip
        key = load_der_public_key(out.read_bytes())
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return key

    def openssl_conf(self) -> Path:
        """What docs/pki.md tells a station to have."""
        file = self.folder / "openssl.cnf"
        file.write_text(
            "openssl_conf = init\n"
            "[init]\nproviders = providers\n"
            "[providers]\ndefault = default_provider\npkcs11 = pkcs11_provider\n"
            "[default_provider]\nactivate = 1\n"
            "[pkcs11_provider]\nactivate = 1\n"
            f"module = {provider()}\n"
            f"pkcs11-module-path = {self.module}\n"
            f"pkcs11-module-token-pin = file:{self.folder / 'pin'}\n"
        )
        return file


def reference(uri: str) -> bytes:
    """The provider's PEM for a PKCS#11 URI (its tool uri2pem writes the same)."""

    def part(tag: int, data: bytes) -> bytes:
        assert len(data) < 128
        return bytes([tag, len(data)]) + data

    der = part(
        0x30, part(0x1A, b"PKCS#11 Provider URI v1.0") + part(0x0C, uri.encode())
    )
    name = "PKCS#11 PROVIDER URI"
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN {name}-----\n{body}-----END {name}-----\n".encode()


@pytest.mark.parametrize(
    ("profile", "curve", "version"),
    [
        (Profile.ISO2, "secp256r1", "TLSv1_2"),
        (Profile.ISO20, "secp521r1", "TLSv1_3"),
    ],
)
def test_a_handshake_signed_inside_the_token(
    tmp_path: Path, profile: Profile, curve: str, version: str
) -> None:
    token = Token(tmp_path)
    now_utc = datetime.now(UTC)
    pki = make_pki(profile, now_utc)
    leaf = issue_for(
        leaf_wanted(Use.SECC, now_utc), token.new_key(curve), pki.secc.subs[0]
    )
    files = {name: tmp_path / name for name in ("chain.pem", "key.pem", "root.pem")}
    files["chain.pem"].write_bytes(
        leaf.public_bytes(Encoding.PEM) + b"".join(each.pem for each in pki.secc.subs)
    )
    files["key.pem"].write_bytes(
        reference("pkcs11:token=chargerd;object=secc;type=private")
    )
    files["root.pem"].write_bytes(pki.secc.root.pem)
    shown = token.tool("--list-objects", "--type", "privkey")
    assert "never extractable" in shown

    command = [sys.executable, "-m", "tests.interop.hsm_child"]
    command += [*map(str, files.values()), version]
    child = subprocess.run(
        command,
        env={**token.env, "OPENSSL_CONF": str(token.openssl_conf())},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert child.stdout.startswith(f"True {version.replace('_', '.')}"), child.stderr

    without = subprocess.run(
        command, env=token.env, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "does OPENSSL_CONF load the pkcs11 provider?" in without.stderr
