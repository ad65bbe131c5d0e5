"""Certificates and keys on disk: what is taken, refused, and left by a crash."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chargerd.model import CertificateHash
from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.jobs import certificates as work
from chargerd.ocpp.jobs.certificate_worker import CertificateWorker
from chargerd.ocpp.jobs.certificates import CSMS_ROOT, STATION, V2G, V2G20, Subject
from chargerd.ocpp.jobs.vault import Vault
from chargerd.trust import layout as files
from chargerd.trust.name import certificate_hash
from chargerd.trust.store import Kind, TrustStore
from hil.pki.bad import ocsp_answer
from hil.pki.make import make_pki
from hil.pki.profiles import Profile
from tests.unit.ocpp.pem_kit import NOW, Made, make, name, rsa_key, sign
from tests.unit.ocpp.station_rig import config

req = pytest.mark.req
OLD_ROOT = make("CSMS root", ca=True)
OTHER = make("another root", ca=True)
SUBJECT = Subject("CP1", "chargerd")
ROOM = 64


def vault(folder: Path, *chains: Path) -> Vault:
    own = folder / files.CA
    more = {Kind.CSMS: own} if own.is_file() else {}
    return Vault(folder, TrustStore(folder, more), chains)


def install(
    folder: Path, root: Made | str, use: str = CSMS_ROOT, **more: Any
) -> work.Installed:
    pem = root if isinstance(root, str) else root.pem
    task = work.InstallRoot(
        use, pem, **{"replaces": False, "room": ROOM, "now_utc": NOW, **more}
    )
    (installed, inventory), changed = vault(folder).do(task)
    assert changed
    assert isinstance(inventory, work.Inventory)
    assert isinstance(installed, work.Installed)
    return installed


def csms(folder: Path) -> list[str]:
    found, _ = vault(folder).store.roots(Kind.CSMS)
    return sorted(root.certificate.subject.rfc4514_string() for root in found)


def named(of: Made, issuer: Made | None = None) -> CertificateHash:
    return certificate_hash(of.certificate, (issuer or of).certificate)


def delete(folder: Path, of: CertificateHash, *, keep: bool = False) -> str:
    task = work.DeleteCertificate(of, keep_csms=keep)
    deleted = vault(folder).do(task)[0][0]
    assert isinstance(deleted, work.Deleted)
    return deleted.status


# Roots (M05).


@pytest.mark.parametrize(
    ("use", "kind"),
    [
        ("V2GRootCertificate", Kind.V2G),
        ("MORootCertificate", Kind.MO),
        ("OEMRootCertificate", Kind.OEM),
        (CSMS_ROOT, Kind.CSMS),
        ("ManufacturerRootCertificate", Kind.MANUFACTURER),
    ],
)
@req("A00.FR.507")
def test_every_kind_of_root_has_its_folder(
    tmp_path: Path, use: str, kind: Kind
) -> None:
    assert install(tmp_path, OTHER, use) == work.Installed()
    (file,) = tmp_path.rglob("*.pem")
    assert file.parent == tmp_path / kind.value
    assert file.read_text() == OTHER.pem
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    held = vault(tmp_path).inventory().held
    assert [(each.use, each.name) for each in held] == [(use, named(OTHER))]


@req("M05.FR.17")
def test_what_is_here_already_stays_one(tmp_path: Path) -> None:
    (tmp_path / files.CA).write_text(OTHER.pem)
    for _ in range(2):
        assert install(tmp_path, OTHER, room=1) == work.Installed()
    assert vault(tmp_path).inventory().entries == 1


WEAK_RSA = make("weak", ca=True, key=rsa_key(1024))
WEAK_CURVE = make("weak", ca=True, key=ec.generate_private_key(ec.SECP192R1()))
WEAK_HASH = make("weak", ca=True, digest=hashes.SHA224())


@pytest.mark.parametrize(
    ("root", "said"),
    [
        pytest.param("", "none|wanted|read", marks=req("M05.FR.07")),
        pytest.param("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                     "read", marks=req("M05.FR.07")),
        pytest.param(OTHER.pem * 2, "one is wanted, 2 came", marks=req("M05.FR.07")),
        pytest.param(make("leaf", OTHER), "no CA", marks=req("M05.FR.07")),
        pytest.param(make("old", ca=True, days=-1), "ended", marks=req("M05.FR.07")),
        pytest.param(WEAK_RSA, "too weak", marks=req("A00.FR.501", "A00.FR.502")),
        pytest.param(WEAK_CURVE, "too weak", marks=req("A00.FR.501", "A00.FR.503")),
        pytest.param(WEAK_HASH, "sha224", marks=req("A00.FR.504", "A00.FR.506")),
    ],
)  # fmt: skip
def test_what_is_no_root(tmp_path: Path, root: Any, said: str) -> None:
    installed = install(tmp_path, root)
    assert installed.reason == "InvalidCertificate"
    assert any(word in installed.refused for word in said.split("|"))
    assert not list(tmp_path.rglob("*.pem"))


@pytest.mark.parametrize(
    "root",
    [
        make("rsa", ca=True, key=rsa_key(2048)),
        make("pss", ca=True, key=rsa_key(2048), pss=True),
        make("curve", ca=True, key=ec.generate_private_key(ec.SECP224R1())),
    ],
    ids=["rsa", "rsa-pss", "p-224"],
)
@req("A00.FR.505", "A00.FR.502", "A00.FR.503")
def test_keys_that_are_just_strong_enough(tmp_path: Path, root: Made) -> None:
    assert install(tmp_path, root) == work.Installed()


@req("M05.FR.06")
def test_there_is_an_end_to_how_many(tmp_path: Path) -> None:
    assert install(tmp_path, OLD_ROOT, room=1) == work.Installed()
    full = install(tmp_path, OTHER, room=1)
    assert full.reason == "TooManyElements"
    assert vault(tmp_path).inventory().entries == 1


def test_a_wrong_clock_judges_no_dates(tmp_path: Path) -> None:
    old = make("old", ca=True, days=-1)
    assert install(tmp_path, old, now_utc=None) == work.Installed()


# AdditionalRootCertificateCheck.

SIGNED = make("CSMS root 2", OLD_ROOT, ca=True)


@req("M05.FR.10", "M05.FR.11")
def test_a_new_root_that_the_old_one_has_not_signed_is_refused(tmp_path: Path) -> None:
    install(tmp_path, OLD_ROOT, replaces=True)  # the first one needs nobody's word
    assert install(tmp_path, OTHER, replaces=True).reason == "InvalidCertificate"
    assert csms(tmp_path) == [OLD_ROOT.certificate.subject.rfc4514_string()]


@pytest.mark.parametrize("provisioned", [False, True])
@req("M05.FR.09", "M05.FR.10", "M05.FR.12")
def test_a_signed_root_replaces_the_old_one_which_waits(
    tmp_path: Path, provisioned: bool
) -> None:
    if provisioned:
        (tmp_path / files.CA).write_text(OLD_ROOT.pem)
    else:
        install(tmp_path, OLD_ROOT, replaces=True)
    assert install(tmp_path, SIGNED, replaces=True) == work.Installed()
    assert csms(tmp_path) == [SIGNED.certificate.subject.rfc4514_string()]
    (waits,) = vault(tmp_path).store.roots(Kind.CSMS_BEFORE)[0]
    assert waits.certificate == OLD_ROOT.certificate
    assert len(vault(tmp_path).inventory().of(CSMS_ROOT)) == 2


@pytest.mark.parametrize("spare", [False, True])
@req("M05.FR.13")
def test_the_old_root_goes_when_the_new_one_has_worked(
    tmp_path: Path, spare: bool
) -> None:
    install(tmp_path, OLD_ROOT, replaces=True)
    install(tmp_path, SIGNED, replaces=True)
    settled = vault(tmp_path).do(work.Settle(False, False, spare))[0][0]
    assert settled == work.Settled(roots_gone=not spare)
    left = vault(tmp_path).store.roots(Kind.CSMS_BEFORE)[0]
    assert len(left) == spare


def test_a_third_root_replaces_the_one_that_waited(tmp_path: Path) -> None:
    third = make("CSMS root 3", SIGNED, ca=True)
    for root in (OLD_ROOT, SIGNED, third):
        assert install(tmp_path, root, replaces=True) == work.Installed()
    (waits,) = vault(tmp_path).store.roots(Kind.CSMS_BEFORE)[0]
    assert waits.certificate == SIGNED.certificate


# Deleting (M04).


@req("M04.FR.02", "M04.FR.04")
def test_a_root_is_deleted_once(tmp_path: Path) -> None:
    install(tmp_path, OTHER, "MORootCertificate")
    assert delete(tmp_path, named(OTHER)) == "Accepted"
    assert delete(tmp_path, named(OTHER)) == "NotFound"
    assert not list(tmp_path.rglob("*.pem"))


def test_the_last_root_of_the_csms_may_be_the_way_back(tmp_path: Path) -> None:
    install(tmp_path, OLD_ROOT)
    install(tmp_path, OTHER)
    assert delete(tmp_path, named(OTHER), keep=True) == "Accepted"
    assert delete(tmp_path, named(OLD_ROOT), keep=True) == "Failed"
    assert delete(tmp_path, named(OLD_ROOT)) == "Accepted"


# Own keys and chains (A02).

SUB = make("CSO Sub-CA", OLD_ROOT, ca=True)


def make_csr(folder: Path, use: str = STATION, subject: Subject = SUBJECT) -> str:
    csr = vault(folder).do(work.MakeKey(use, subject))[0][0]
    assert isinstance(csr, work.Csr)
    return csr.pem


def take(folder: Path, *chain: Made, use: str = STATION, **more: Any) -> str:
    pem = "".join(each.pem for each in chain)
    task = work.TakeSigned(use, pem, more.get("subject", SUBJECT), NOW)
    taken = vault(folder).do(task)[0][0]
    assert isinstance(taken, work.Taken)
    return taken.refused


@req("A02.FR.03", "A03.FR.03", "A00.FR.509", "A00.FR.511", "A00.FR.512", "A00.FR.514")
def test_a_request_says_who_we_are_and_is_signed_by_its_key(tmp_path: Path) -> None:
    csr = x509.load_pem_x509_csr(make_csr(tmp_path).encode())
    assert csr.is_signature_valid
    found = {each.oid: each.value for each in csr.subject}
    assert found == {NameOID.COMMON_NAME: "CP1", NameOID.ORGANIZATION_NAME: "chargerd"}
    usage = csr.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert len(csr.extensions) == 1  # no extended key usage, no DNS name


@pytest.mark.parametrize(
    "subject",
    [Subject("\u5145" * 64, "x"), Subject("CP1", "x", country="D", domain="CPO")],
)
def test_a_name_that_no_certificate_can_hold_is_said(
    tmp_path: Path, subject: Subject
) -> None:
    """The central system may set them: SeccId, CountryName."""
    with pytest.raises(OcppError, match="length"):
        make_csr(tmp_path, V2G, subject)


@pytest.mark.parametrize(
    ("use", "curve"), [(STATION, "secp256r1"), (V2G, "secp256r1"), (V2G20, "secp521r1")]
)
@req("A00.FR.427", "A02.FR.05", "A03.FR.05", "A02.FR.02", "A03.FR.02")
def test_every_key_is_new_and_stays_here(tmp_path: Path, use: str, curve: str) -> None:
    texts = [make_csr(tmp_path, use) for _ in range(2)]
    keys = [x509.load_pem_x509_csr(text.encode()).public_key() for text in texts]
    assert keys[0] != keys[1]
    assert isinstance(keys[0], ec.EllipticCurvePublicKey)
    assert keys[0].curve.name == curve
    assert all("PRIVATE" not in text for text in texts)
    (file,) = tmp_path.rglob("*.key")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@req("A02.FR.06", "A03.FR.06")
def test_a_signed_chain_stands_beside_the_old_one(tmp_path: Path) -> None:
    install(tmp_path, OLD_ROOT)
    old = make("CP1", SUB)
    (tmp_path / files.STATION).write_text(old.pem + SUB.pem)
    (tmp_path / files.STATION_KEY).write_text(old.key_pem)
    leaf = sign(make_csr(tmp_path), SUB)
    assert take(tmp_path, leaf, SUB, OLD_ROOT) == ""  # a root that came along goes
    new = files.station_pair(tmp_path, spare=False)
    assert new == (tmp_path / files.STATION_NEW, None)
    assert files.station_pair(tmp_path, spare=True) == (
        tmp_path / files.STATION, tmp_path / files.STATION_KEY,
    )  # fmt: skip
    text = new[0].read_text()
    assert text.endswith(leaf.pem + SUB.pem)
    assert stat.S_IMODE(new[0].stat().st_mode) == 0o600
    assert not list((tmp_path / files.PENDING).iterdir())


SELF = make("CP1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"days": -1}, "ended"),
        ({"age_days": -1}, "begins"),
        ({"subject": name("CP2")}, "commonName 'CP1'"),
        ({"subject": name("CP1", organization="")}, "organization"),
        ({"issuer": OTHER}, "no csms root that is here"),
    ],
)
@req("A02.FR.06", "A02.FR.07", "A03.FR.06", "A00.FR.509", "A00.FR.511")
def test_a_chain_that_is_not_valid_is_discarded(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    install(tmp_path, OLD_ROOT)
    leaf = sign(make_csr(tmp_path), **{"issuer": OLD_ROOT, **change})
    assert said in take(tmp_path, leaf)
    assert not (tmp_path / files.STATION_NEW).exists()


def test_a_chain_of_another_key_or_a_broken_one(tmp_path: Path) -> None:
    install(tmp_path, OLD_ROOT)
    assert "its key is not here" in take(tmp_path, make("CP1", OLD_ROOT))
    csr = make_csr(tmp_path)
    assert "another key" in take(tmp_path, make("CP1", OLD_ROOT))
    leaf = sign(csr, SUB)
    assert "another key" in take(tmp_path, SUB, leaf)  # the wrong way round
    assert "no csms root" in take(tmp_path, leaf)  # a CA is missing
    assert "broken" in take(tmp_path, leaf, make("CSO Sub-CA", OLD_ROOT, ca=True))
    assert "cannot be read" in take(tmp_path)
    assert take(tmp_path, leaf, SUB) == ""


def test_without_a_root_no_chain_can_be_checked(tmp_path: Path) -> None:
    leaf = sign(make_csr(tmp_path), OLD_ROOT)
    assert "no csms root here" in take(tmp_path, leaf)


@pytest.mark.parametrize("spare", [False, True])
@req("A02.FR.10", "A03.FR.10")
def test_settling_leaves_one_certificate(tmp_path: Path, spare: bool) -> None:
    test_a_signed_chain_stands_beside_the_old_one(tmp_path)
    old, new = (tmp_path / n for n in (files.STATION, files.STATION_NEW))
    wanted = (old if spare else new).read_text()
    settled = vault(tmp_path).do(work.Settle(True, spare, False))[0][0]
    assert settled == work.Settled(discarded=spare, renewed=not spare)
    assert old.read_text() == wanted
    assert not new.exists()
    assert (tmp_path / files.STATION_KEY).exists() is spare
    assert vault(tmp_path).do(work.Settle(True, spare, False))[0][0] == work.Settled()


def test_without_profile_3_nothing_settles(tmp_path: Path) -> None:
    test_a_signed_chain_stands_beside_the_old_one(tmp_path)
    assert vault(tmp_path).do(work.Settle(False, False, False))[0][0] == work.Settled()
    assert (tmp_path / files.STATION_NEW).exists()


@req("M04.FR.06")
@pytest.mark.parametrize("renewed", [False, True])
def test_the_stations_own_certificate_is_not_deleted(
    tmp_path: Path, renewed: bool
) -> None:
    install(tmp_path, OLD_ROOT)
    leaf = make("CP1", SUB)
    if renewed:
        leaf = sign(make_csr(tmp_path), SUB)
        take(tmp_path, leaf, SUB)
    else:
        (tmp_path / files.STATION).write_text(leaf.pem + SUB.pem)
    assert delete(tmp_path, named(leaf, SUB)) == "Failed"


# Chains that vehicles are shown.

PKI = make_pki(Profile.ISO2, NOW)


def test_a_chain_for_vehicles_is_listed_and_deleted(tmp_path: Path) -> None:
    v2g = Made(PKI.secc.root.certificate, PKI.secc.root.key)
    sub = Made(PKI.secc.subs[0].certificate, PKI.secc.subs[0].key)
    top = Made(PKI.secc.subs[1].certificate, PKI.secc.subs[1].key)
    who = Subject("DE-ABC-S-1", "ABC", "DE", "CPO")
    install(tmp_path, v2g, "V2GRootCertificate")
    csr = vault(tmp_path).do(work.MakeKey(V2G, who))[0][0]
    assert isinstance(csr, work.Csr)
    assert csr.root == named(v2g)  # A02.FR.27
    leaf = sign(csr.pem, sub)
    assert take(tmp_path, leaf, sub, top, use=V2G, subject=who) == ""
    (held,) = vault(tmp_path).inventory().of(work.CHAIN)
    assert held.name == named(leaf, sub)
    assert held.children == (named(sub, top), named(top, v2g))
    assert held.signing == V2G
    assert delete(tmp_path, held.name) == "Accepted"
    assert not vault(tmp_path).inventory().of(work.CHAIN)


def test_a_chain_of_the_configuration_is_listed_and_stays(tmp_path: Path) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_bytes(PKI.secc.chain_pem)
    made = vault(tmp_path / "own", chain)
    (held,) = made.inventory().of(work.CHAIN)
    assert held.signing == ""
    task = work.DeleteCertificate(held.name, keep_csms=False)
    deleted = made.do(task)[0][0]
    assert isinstance(deleted, work.Deleted)
    assert deleted.status == "Failed"
    assert chain.exists()


# OCSP.


def staple(folder: Path, der: bytes, serial: str = "") -> work.Inventory:
    own = f"{PKI.secc.leaf.certificate.serial_number:x}"
    values, changed = vault(folder).do(work.KeepStaple(serial or own, der, NOW))
    assert changed
    (inventory,) = values
    assert isinstance(inventory, work.Inventory)
    return inventory


@req("M06.FR.06")
def test_good_news_about_a_certificate_is_kept(tmp_path: Path) -> None:
    der = ocsp_answer(PKI.secc.leaf, PKI.secc.subs[0], NOW)
    ((serial, until_utc),) = staple(tmp_path, der).staples
    assert until_utc > NOW
    assert (tmp_path / files.STAPLES / f"{serial}.der").read_bytes() == der


@req("M06.FR.09")
@pytest.mark.parametrize(
    ("der", "serial"),
    [
        (b"", ""),
        (b"\x30\x03\x0a\x01\x00", ""),
        (b"x" * 20_000, ""),
        (ocsp_answer(PKI.secc.leaf, PKI.secc.subs[0], NOW), "7"),
    ],
)
def test_no_news_is_kept_that_is_not_good(
    tmp_path: Path, der: bytes, serial: str
) -> None:
    with pytest.raises(OcppError, match="OCSP response"):
        staple(tmp_path, der, serial)
    assert not list(tmp_path.rglob("*.der"))


# The disk.


def test_a_disk_that_refuses_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, OLD_ROOT)

    def full(_handle: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OcppError, match=rf"{tmp_path}.*no space"):
        install(tmp_path, OTHER)
    with pytest.raises(OcppError, match="no space"):
        make_csr(tmp_path)
    monkeypatch.undo()
    assert len(csms(tmp_path)) == 1


@pytest.mark.parametrize("text", ["", "not PEM", "-----BEGIN CERTIFICATE-----\nx"])
def test_a_broken_file_hides_no_other(tmp_path: Path, text: str) -> None:
    install(tmp_path, OLD_ROOT)
    for file in (files.STATION, files.STATION_NEW, f"{Kind.MO.value}/a.pem"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    inventory = vault(tmp_path).inventory()
    assert [held.use for held in inventory.held] == [CSMS_ROOT]
    assert delete(tmp_path, named(OTHER)) == "NotFound"


# The worker.


def test_jobs_are_done_one_after_the_other_and_vehicles_hear_of_changes(
    tmp_path: Path,
) -> None:
    heard: list[int] = []
    made = config(certificates_dir=tmp_path)
    worker = CertificateWorker(made, lambda: heard.append(1))

    async def run(task: work.Task) -> list[work.Value]:
        return [value async for value in worker(task)]

    async def all_at_once() -> list[list[work.Value]]:
        root = work.InstallRoot(CSMS_ROOT, OLD_ROOT.pem, False, ROOM, NOW)
        jobs: list[work.Task] = [root, work.ReadCertificates(),
                                 work.MakeKey(STATION, SUBJECT)]  # fmt: skip
        return await asyncio.gather(*(run(job) for job in jobs))

    installed, read, key = asyncio.run(all_at_once())
    assert installed[0] == work.Installed()
    assert installed[1] == read[0]
    assert isinstance(key[0], work.Csr)
    assert heard == [1]  # of the root alone


def test_where_the_configuration_names_roots(tmp_path: Path) -> None:
    bundle = tmp_path / "v2g.pem"
    bundle.write_bytes(PKI.secc.root.pem)
    (tmp_path / files.CA).write_text(OLD_ROOT.pem)
    words = {"iso15118": {"v2g_roots": bundle}}
    made = config(certificates_dir=tmp_path, vehicle=words)
    uses = [held.use for held in Vault.of(made).inventory().held]
    assert sorted(uses) == [CSMS_ROOT, "V2GRootCertificate"]


def test_without_certificates_nothing_is_loaded_to_read_them(tmp_path: Path) -> None:
    """13 MiB of cryptography are for stations that have some."""
    text = f"""
import asyncio, sys
from pathlib import Path
from chargerd.ocpp.jobs import certificates as work
from chargerd.ocpp.jobs.certificate_worker import CertificateWorker
from tests.unit.ocpp.station_rig import config
made = config(certificates_dir=Path({str(tmp_path)!r}))
worker = CertificateWorker(made, print)
async def run():
    return [value async for value in worker(work.ReadCertificates())]
assert asyncio.run(run()) == [work.Inventory()]
assert not [name for name in sys.modules if name.startswith("cryptography.x509")]
"""
    subprocess.run([sys.executable, "-c", text], check=True, timeout=60)
    install(tmp_path, OLD_ROOT)
    worker = CertificateWorker(config(certificates_dir=tmp_path), lambda: None)

    async def run() -> list[work.Value]:
        return [value async for value in worker(work.ReadCertificates())]

    (inventory,) = asyncio.run(run())
    assert isinstance(inventory, work.Inventory)
    assert inventory.entries == 1
