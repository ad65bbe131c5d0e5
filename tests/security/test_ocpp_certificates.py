"""Hostile certificates from a CSMS: sizes, odd bytes, names, secrets: S01, S30, S44."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import tempfile
import warnings
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.jobs import certificates as work
from chargerd.ocpp.jobs.certificates import CSMS_ROOT, STATION, V2G20, Subject
from chargerd.ocpp.jobs.vault import KINDS, Vault
from chargerd.ocpp.schemas import Schemas
from chargerd.trust.store import MAX_ADDED_BYTES, TrustStore
from tests.unit.ocpp.pem_kit import NOW, make, name, sign
from tests.unit.ocpp.station_rig import Rig, config

ROOT = make("CSMS root", ca=True)
WHO = Subject("CP1", "chargerd")


def vault(folder: Path) -> Vault:
    return Vault(folder, TrustStore(folder))


def install(folder: Path, pem: str, use: str = CSMS_ROOT) -> work.Value:
    task = work.InstallRoot(use, pem, replaces=False, room=64, now_utc=NOW)
    return vault(folder).do(task)[0][0]


def take(folder: Path, pem: str, use: str = STATION) -> work.Taken:
    taken = vault(folder).do(work.TakeSigned(use, pem, WHO, NOW))[0][0]
    assert isinstance(taken, work.Taken)
    return taken


def asked(folder: Path, use: str = STATION) -> str:
    csr = vault(folder).do(work.MakeKey(use, WHO))[0][0]
    assert isinstance(csr, work.Csr)
    return csr.pem


@pytest.mark.parametrize("count", [2, 4, 5, 6, 100])
def test_a_chain_has_an_end(tmp_path: Path, count: int) -> None:
    """S30: at most five certificates, whatever they are."""
    install(tmp_path, ROOT.pem)
    issuers = [ROOT]
    for number in range(count - 1):
        issuers.append(make(f"Sub {number}", issuers[-1], ca=True))
    leaf = sign(asked(tmp_path), issuers[-1])
    pem = leaf.pem + "".join(each.pem for each in reversed(issuers[1:]))
    taken = take(tmp_path, pem)
    assert (taken.refused == "") is (count <= 5)
    if count > 5:
        assert f"{count} certificates" in taken.refused


def test_a_root_has_an_end(tmp_path: Path) -> None:
    """The schema says 10,000 letters; the store does not rely on it."""
    request = {"certificateType": CSMS_ROOT, "certificate": ROOT.pem}
    schemas = Schemas("ocpp2.1")
    assert schemas.request("InstallCertificate", request) is None
    request["certificate"] = ROOT.pem + "\n" * 1_000_000
    assert schemas.request("InstallCertificate", request) is not None
    refused = install(tmp_path, request["certificate"])
    assert isinstance(refused, work.Installed)
    assert "too many" in refused.refused
    assert len(ROOT.pem) < MAX_ADDED_BYTES


NAMES = ["$(reboot)", "`id`;|&", "../../../etc/passwd", "a\x00b", "CP1/../..", "%s%n"]


@pytest.mark.parametrize("text", NAMES)
def test_names_in_certificates_reach_no_shell_and_no_path(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S01: what is written is named by a fingerprint or by one of our words."""

    def no_shell(*args: object, **_: object) -> None:
        raise AssertionError(f"a program was started: {args}")

    monkeypatch.setattr(subprocess.Popen, "__init__", no_shell)
    monkeypatch.setattr(os, "system", no_shell)
    folder = tmp_path / "1/2/3/4/certificates"  # "../../.." still shows under tmp_path
    hostile = make("x", ca=True, subject=name(text))
    for use in KINDS:
        install(folder, hostile.pem, use)
    take(folder, sign(asked(folder), hostile).pem)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert all(folder in path.parents for path in written)
    files = {file.name for file in folder.rglob("*.pem")}
    assert all(re.fullmatch(r"[0-9a-z-]+\.pem", file) for file in files)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(sorted(KINDS)))
def test_any_bytes_are_a_refusal_or_our_error(body: bytes, use: str) -> None:
    text = base64.encodebytes(body).decode()
    framed = f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for pem in (text, framed, ROOT.pem[:-40] + text):
            refused = install(folder, pem, use)
            assert isinstance(refused, work.Installed)
            assert refused.refused
            assert take(folder, pem).refused
        with pytest.raises(OcppError):
            vault(folder).do(work.KeepStaple("1a", body, NOW))
        assert not list(folder.rglob("*.*"))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_certificate_is_never_an_exception(data: st.DataObject) -> None:
    """One byte of a good one is another."""
    der = bytearray(base64.b64decode("".join(ROOT.pem.split("\n")[1:-2])))
    at = data.draw(st.integers(0, len(der) - 1))
    der[at] ^= data.draw(st.integers(1, 255))
    text = base64.encodebytes(der).decode()
    framed = f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "will be refused by a later version"
        assert isinstance(install(Path(place), framed), work.Installed)
        assert take(Path(place), framed).refused
        assert vault(Path(place)).inventory().entries <= 1


@pytest.mark.req("A00.FR.508")
def test_a_certificate_has_a_serial_number(tmp_path: Path) -> None:
    """RFC 5280: above zero. The library makes none without, so the DER is changed."""
    der = ROOT.certificate.public_bytes(Encoding.DER)
    number = ROOT.certificate.serial_number
    bare = number.to_bytes(20, "big").lstrip(b"\0")  # below zero with another start
    text = base64.encodebytes(der.replace(bare, b"\x80" + bare[1:])).decode()
    framed = f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refused = install(tmp_path, framed)
    assert isinstance(refused, work.Installed)
    assert "serial number" in refused.refused


def test_no_message_of_ours_holds_a_key(tmp_path: Path) -> None:
    """S44: neither the report of everything, nor a job's values, nor a log line."""
    texts = [asked(tmp_path, use) for use in (STATION, V2G20)]
    texts.append(repr(vault(tmp_path).inventory()))
    keys = [file.read_text() for file in tmp_path.rglob("*.key")]
    assert len(keys) == 2
    rig = Rig(config(certificates_dir=tmp_path)).boot()
    rig.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    texts += [repr(send.payload) for send in rig.sent] + rig.log
    for key in keys:
        body = "".join(key.split("\n")[1:-2])
        assert not [text for text in texts if "PRIVATE" in text or body in text]
