"""The test PKI against OpenSSL's own verifier and the sizes of the standards."""

from __future__ import annotations

import shutil
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from hil.pki.__main__ import main
from hil.pki.bad import Flaw, make_bad, ocsp_answer
from hil.pki.make import Chain, Pki, make_pki
from hil.pki.profiles import ROWS, Profile, Use
from hil.pki.store import write_chain, write_issued

NOW = datetime.now(UTC)
# [V2G2-010]; ISO 15118-20's certificateType has maxLength 1600.
MOST_BYTES = {Profile.ISO2: 800, Profile.ISO20: 1600, Profile.ISO20_ED448: 1600}


@pytest.fixture(scope="module", params=list(Profile), ids=lambda each: each.value)
def pki(request: pytest.FixtureRequest) -> Pki:
    return make_pki(request.param, NOW)


def openssl_verify(chain: Chain, folder: Path) -> str:
    """What `openssl verify` says; "" = good."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    write_issued(chain.root, folder, "root")
    write_chain(chain, folder)
    done = subprocess.run(
        [
            "openssl", "verify", "-x509_strict", "-verbose",
            "-CAfile", str(folder / "root.pem"),
            "-untrusted", str(folder / "chain.pem"),
            str(folder / "leaf.pem"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("use", list(Use))
def test_good_chains_verify(pki: Pki, use: Use, tmp_path: Path) -> None:
    chain = pki.chains[use]
    assert openssl_verify(chain, tmp_path) == ""
    assert [sub.certificate.subject for sub in chain.subs] != []
    domains = chain.leaf.certificate.subject.get_attributes_for_oid(
        NameOID.DOMAIN_COMPONENT
    )
    assert [each.value for each in domains] == [ROWS[use].leaf_domain]
    for each in (chain.leaf, *chain.subs, chain.root):
        assert len(each.der) <= MOST_BYTES[pki.profile]


# What openssl says of each flaw; None: it is no flaw of X.509's own.
SAID = {
    Flaw.EXPIRED: "has expired",
    Flaw.NOT_YET_VALID: "not yet valid",
    Flaw.WRONG_DOMAIN: None,
    Flaw.TOO_DEEP: None,
    Flaw.WRONG_CURVE: None,
    Flaw.LEAF_IS_CA: None,
    Flaw.SUB_NOT_CA: "invalid CA certificate",
    Flaw.NO_SIGN_USAGE: None,
    Flaw.SELF_SIGNED: "self-signed certificate",
    Flaw.FORGED: "signature failure",
    Flaw.HUGE: None,
    Flaw.CRITICAL_EXTRA: "unhandled critical extension",
    Flaw.SUB_EXPIRED: "has expired",
}


@pytest.mark.parametrize("flaw", [each for each in Flaw if each in SAID])
def test_flaws_are_there(pki: Pki, flaw: Flaw, tmp_path: Path) -> None:
    said = openssl_verify(make_bad(pki, Use.SECC, flaw, NOW), tmp_path)
    expected = SAID[flaw]
    if expected is None:
        assert said == ""
    else:
        assert expected in said


def test_a_wrong_root_has_the_name_of_the_right_one(pki: Pki) -> None:
    chain = make_bad(pki, Use.OEM, Flaw.WRONG_ROOT, NOW)
    assert chain.root.certificate.subject == pki.oem.root.certificate.subject
    assert chain.root.der != pki.oem.root.der


def test_ocsp_answers_are_signed_by_the_issuer(pki: Pki) -> None:
    for revoked in (False, True):
        der = ocsp_answer(pki.secc.leaf, pki.secc.subs[0], NOW, revoked=revoked)
        answer = ocsp.load_der_ocsp_response(der)
        assert answer.serial_number == pki.secc.leaf.certificate.serial_number
        assert (answer.revocation_time_utc is not None) is revoked
        assert answer.next_update_utc is not None
        assert answer.next_update_utc > NOW + timedelta(days=6)


def test_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wish = ["make", str(tmp_path), "--profile", "iso2", "--bad", "secc:expired"]
    assert main(wish) == 0
    home = tmp_path / "iso2"
    assert capsys.readouterr().out.strip() == str(home)
    for name in (
        "v2g/root",
        "mo/root",
        "oem/root",
        "secc/sub2",
        "bad/secc-expired/leaf",
    ):
        assert (home / f"{name}.pem").read_bytes().startswith(b"-----BEGIN CERT")
        assert (home / f"{name}.der").exists()
    key = home / "secc" / "leaf.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (home / "secc" / "chain.pem").read_text().count("BEGIN CERTIFICATE") == 3


def test_a_flaw_nobody_knows_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["make", "x", "--bad", "secc:ugly"])
    assert "write e.g. secc:expired" in capsys.readouterr().err
