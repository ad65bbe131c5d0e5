"""What is believed of firmware: certificate, signature, version (L01)."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from hypothesis import given
from hypothesis import strategies as st

from chargerd.config import Config
from chargerd.machine import boot_id
from chargerd.ocpp.blocks.firmware_update import Update, version_problem
from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.jobs.firmware import (
    Candidate,
    CheckFirmware,
    CheckSigner,
    FirmwareWorker,
    InstallEnded,
    InstallFirmware,
    ReadSlot,
    Reboot,
    Running,
    Signed,
    Signer,
)
from tests.unit.ocpp.firmware_kit import request
from tests.unit.ocpp.pem_kit import Made, make, rsa_key
from tests.unit.ocpp.station_rig import EVSE

req = pytest.mark.req
NOW = datetime.now(UTC)
IMAGE = b"firmware" * 300_000  # several blocks
SHA256 = hashes.SHA256()
HERE = Running("rootfs.0", boot_id())


@dataclass
class FakeInstaller:
    """Remembers what it was asked."""

    asked: list[str]
    fails: bool = False

    async def version(self, file: Path) -> str:
        self.asked.append("version")
        if self.fails:
            raise OcppError("no bundle")
        return "2.0"

    async def slot(self) -> str:
        return "rootfs.0"

    async def install(self, file: Path) -> None:
        self.asked.append("install")
        if self.fails:
            raise OcppError("no space")

    async def reboot(self) -> None:
        self.asked.append("reboot")


def done(
    tmp_path: Path,
    task: Any,
    installer: FakeInstaller | None = None,
    kind: str = "rauc",
) -> list[Any]:
    """What the job yields."""
    conf = Config.model_validate(
        {
            "station": {"id": "CP1"},
            "evse": [{"id": 1, **EVSE}],
            "ocpp": {
                "certificates_dir": str(tmp_path / "certificates"),
                "firmware": {"installer": kind},
            },
        }
    )

    async def run() -> list[Any]:
        worker = FirmwareWorker(conf, installer or FakeInstaller([]))
        return [value async for value in worker(task)]

    return asyncio.run(run())


@pytest.fixture(scope="module")
def root() -> Made:
    return make("Maker root", ca=True)


def trusted(tmp_path: Path, root: Made) -> None:
    folder = tmp_path / "certificates/manufacturer"
    folder.mkdir(parents=True)
    (folder / "maker.pem").write_text(root.pem)


def problem(tmp_path: Path, pem: str, now: datetime | None = NOW) -> str:
    (value,) = done(tmp_path, CheckSigner(pem, now))
    assert isinstance(value, Signer)
    return value.problem


# The certificate.


@req("L01.FR.12", "L01.FR.21")
def test_a_signer_of_the_maker(tmp_path: Path, root: Made) -> None:
    trusted(tmp_path, root)
    assert problem(tmp_path, make("signer", root).pem) == ""
    assert problem(tmp_path, make("signer", root, key=rsa_key(2048)).pem) == ""
    old = make("signer", root, days=-1)
    assert problem(tmp_path, old.pem, None) == ""  # no clock to judge by


@req("L01.FR.12", "L01.FR.21")
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("foreign", "no manufacturer root"),
        ("self-signed", "no manufacturer root"),
        ("by an intermediate", "no manufacturer root"),
        ("expired", "not valid now"),
        ("not yet", "not valid now"),
        ("weak", "its key"),
        ("a CA", "CA"),
        ("a chain", "no chain"),
        ("text", "cannot be read"),
        ("nothing", "no chain|cannot be read"),
    ],
)
def test_who_signs_no_firmware(
    tmp_path: Path, root: Made, kind: str, text: str
) -> None:
    trusted(tmp_path, root)
    between = make("between", root, ca=True)
    pems = {
        "foreign": lambda: make("x", make("Maker root", ca=True)).pem,
        "self-signed": lambda: make("x").pem,
        "by an intermediate": lambda: make("x", between).pem,
        "expired": lambda: make("x", root, days=-1).pem,
        "not yet": lambda: make("x", root, age_days=-1).pem,
        "weak": lambda: make("x", root, key=rsa_key(1024)).pem,
        "a CA": lambda: between.pem,
        "a chain": lambda: make("x", root).pem + root.pem,
        "text": lambda: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "nothing": str,
    }
    found = problem(tmp_path, pems[kind]())
    assert any(part in found for part in text.split("|")), found


def test_without_roots_nobody_signs(tmp_path: Path, root: Made) -> None:
    assert "no manufacturer root" in problem(tmp_path, make("signer", root).pem)


# The signature.


def signature(signer: Made, image: bytes = IMAGE, *, pss: bool = True) -> str:
    if isinstance(signer.key, ec.EllipticCurvePrivateKey):
        raw = signer.key.sign(image, ec.ECDSA(SHA256))
    else:
        mgf = padding.MGF1(SHA256)
        padded = padding.PSS(mgf, 32) if pss else padding.PKCS1v15()
        raw = signer.key.sign(image, padded, SHA256)
    return base64.b64encode(raw).decode()


def check(tmp_path: Path, signer: Made, signed: str, image: bytes = IMAGE) -> list[Any]:
    file = tmp_path / "fw"
    file.write_bytes(image)
    return done(tmp_path, CheckFirmware(file, signer.pem, signed))


@req("L01.FR.04", "L01.FR.12")
@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_the_signature_is_over_the_whole_file(tmp_path: Path, kind: str) -> None:
    signer = make("signer", key=rsa_key(2048) if kind == "RSA" else None)
    right = signature(signer)
    candidate = Candidate("2.0", HERE)
    assert check(tmp_path, signer, right) == [Signed(True), candidate]
    wrapped = "\n".join(right[at : at + 40] for at in range(0, len(right), 40))
    assert check(tmp_path, signer, wrapped) == [Signed(True), candidate]
    for image in (IMAGE[:-1], IMAGE + b"x", b"X" + IMAGE[1:], b""):
        assert check(tmp_path, signer, right, image) == [Signed(False)]


@req("L01.FR.04")
def test_wrong_signatures(tmp_path: Path) -> None:
    signer, other = make("signer"), make("other")
    by_rsa = make("signer", key=rsa_key(2048))
    wrong = [
        (signer, ""),
        (signer, "no base64!"),
        (signer, signature(other)),
        (by_rsa, signature(by_rsa, pss=False)),  # RSA is PSS only
    ]
    for who, signed in wrong:
        assert check(tmp_path, who, signed) == [Signed(False)]


def test_a_wrong_signature_is_not_shown_to_the_installer(tmp_path: Path) -> None:
    file = tmp_path / "fw"
    file.write_bytes(IMAGE)
    installer = FakeInstaller([])
    done(tmp_path, CheckFirmware(file, make("x").pem, "AAAA"), installer)
    assert installer.asked == []
    assert done(tmp_path, CheckFirmware(file, "", ""), installer) == [
        Candidate("2.0", HERE)
    ]


def test_install_and_reboot(tmp_path: Path) -> None:
    file = tmp_path / "fw"
    file.write_bytes(IMAGE)
    installer = FakeInstaller([])
    assert done(tmp_path, InstallFirmware(file), installer) == [InstallEnded()]
    assert not file.exists()
    assert done(tmp_path, ReadSlot(), installer) == [HERE]
    assert done(tmp_path, Reboot(), installer) == []
    assert installer.asked == ["install", "reboot"]


def test_failures_say_why(tmp_path: Path) -> None:
    file = tmp_path / "fw"
    file.write_bytes(IMAGE)
    installer = FakeInstaller([], fails=True)
    with pytest.raises(OcppError, match="no space"):
        done(tmp_path, InstallFirmware(file), installer)
    assert file.exists()
    with pytest.raises(OcppError, match="no bundle"):
        done(tmp_path, CheckFirmware(file, "", ""), installer)
    with pytest.raises(OcppError, match="installer is none"):
        done(tmp_path, InstallFirmware(file), installer, "none")
    with pytest.raises(OcppError, match="gone"):
        done(tmp_path, CheckFirmware(tmp_path / "gone", make("x").pem, "AAAA"))


# The version.


@pytest.mark.parametrize(
    ("new", "running", "may"),
    [
        ("1.10.0", "1.9.9", True),
        ("v2.0-rc1", "2.0", True),
        ("2", "2.0.0", True),
        ("1.9", "1.10", False),
        ("0.9.9", "1", False),
        ("latest", "1.0", False),
        ("1.0", "devel", False),
    ],
)
def test_no_older_version(new: str, running: str, may: bool) -> None:
    assert (version_problem(new, running) == "") is may


NUMBERS = st.lists(st.integers(0, 99), min_size=1, max_size=4)


@given(NUMBERS, NUMBERS)
def test_one_of_two_versions_may_replace_the_other(a: list[int], b: list[int]) -> None:
    first, second = (".".join(map(str, numbers)) for numbers in (a, b))
    there = version_problem(first, second) == ""
    back = version_problem(second, first) == ""
    assert there or back
    if there and back:
        width = max(len(a), len(b))
        pad = [n + [0] * (width - len(n)) for n in (a, b)]
        assert pad[0] == pad[1]


@given(st.dictionaries(st.text(max_size=5), st.integers()) | st.none() | st.text())
def test_what_is_no_record_is_none(kept: Any) -> None:
    assert Update.restored(kept) is None


def test_a_record_comes_back() -> None:
    update = Update.of(request(3, retries=5, installDateTime="2026-11-24T00:00:00Z"))
    assert Update.restored(update.kept()) == update
    for name, value in (("step", "flying"), ("install_utc", "soon")):
        assert Update.restored({**update.kept(), name: value}) is None


def test_times_are_awaited() -> None:
    update = Update.of(request())
    ahead = (NOW + timedelta(seconds=90)).isoformat()
    assert 89 < update.wait_s(ahead, NOW) <= 90
    assert update.wait_s("", NOW) == 0
