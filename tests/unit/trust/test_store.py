"""Trust anchors on disk: kept, named, removed; broken files told and passed over."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chargerd.trust.errors import TrustError
from chargerd.trust.store import Kind, TrustStore, read_roots
from hil.pki.make import make_pki, make_root
from hil.pki.profiles import Profile

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PKI = make_pki(Profile.ISO2, NOW)
V2G, MO, OEM = PKI.secc.root, PKI.contract.root, PKI.oem.root


def test_added_roots_are_there_after_a_restart(tmp_path: Path) -> None:
    store = TrustStore(tmp_path)
    store.add(Kind.V2G, V2G.pem, NOW)
    store.add(Kind.MO, MO.pem, NOW)
    store.add(Kind.MO, MO.pem, NOW)  # again: still one
    found, broken = TrustStore(tmp_path).roots()
    assert [(root.kind, root.certificate) for root in found] == [
        (Kind.V2G, V2G.certificate),
        (Kind.MO, MO.certificate),
    ]
    assert broken == []
    assert not list(tmp_path.rglob("*.new"))


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
def test_removed_by_the_name_that_the_central_system_chose(
    tmp_path: Path, algorithm: str
) -> None:
    store = TrustStore(tmp_path)
    root = store.add(Kind.OEM, OEM.pem, NOW)
    store.add(Kind.V2G, V2G.pem, NOW)
    named = root.hash(algorithm)
    shouted = replace(
        named,
        issuer_name_hash=named.issuer_name_hash.upper(),
        serial="00" + named.serial.upper(),
    )
    assert store.remove(shouted)
    assert not store.remove(named)
    assert [each.kind for each in store.roots()[0]] == [Kind.V2G]


def test_removed_from_a_bundle_that_people_made(tmp_path: Path) -> None:
    bundle = tmp_path / "v2g" / "all.pem"
    bundle.parent.mkdir()
    other = make_root(Profile.ISO2, "v2g", NOW)
    bundle.write_bytes(V2G.pem + other.pem)
    store = TrustStore(tmp_path)
    found, _ = store.roots(Kind.V2G)
    assert len(found) == 2
    assert store.remove(found[0].hash())
    left, _ = store.roots(Kind.V2G)
    assert [root.certificate for root in left] == [other.certificate]


def test_a_broken_file_is_told_and_the_others_count(tmp_path: Path) -> None:
    folder = tmp_path / "mo"
    folder.mkdir()
    (folder / "a.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n")
    (folder / "b.pem").write_bytes(MO.pem)
    (folder / "c.pem").write_bytes(b"\n" * 1_048_577)
    (folder / "notes.txt").write_text("not looked at")
    found, broken = TrustStore(tmp_path).roots(Kind.MO)
    assert [root.certificate for root in found] == [MO.certificate]
    assert [name in text for name, text in zip("ac", broken, strict=True)] == [1, 1]
    assert all(str(folder) in text for text in broken)


def test_a_bundle_alone_or_a_folder(tmp_path: Path) -> None:
    bundle = tmp_path / "roots.pem"
    bundle.write_bytes(V2G.pem + MO.pem)
    assert len(read_roots(bundle)[0]) == 2
    assert len(read_roots(tmp_path)[0]) == 2
    assert read_roots(tmp_path / "empty") == ([], [])
    assert "away.pem" in read_roots(tmp_path / "away.pem")[1][0]


@pytest.mark.parametrize(
    ("pem", "now_utc", "said"),
    [
        (b"", NOW, "cannot be read"),
        (b"x" * 20_000, NOW, "too many"),
        (V2G.pem + MO.pem, NOW, "one is wanted, 2 came"),
        (PKI.secc.leaf.pem, NOW, "no CA"),
        (V2G.pem, NOW + timedelta(days=4000), "ended"),
    ],
)
def test_what_is_not_taken(
    tmp_path: Path, pem: bytes, now_utc: datetime, said: str
) -> None:
    store = TrustStore(tmp_path)
    with pytest.raises(TrustError, match=said):
        store.add(Kind.V2G, pem, now_utc)
    assert store.roots() == ([], [])


def test_a_crash_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full, or the power goes, before the new file is whole."""
    bundle = tmp_path / "v2g" / "all.pem"
    bundle.parent.mkdir()
    bundle.write_bytes(V2G.pem + MO.pem)
    store = TrustStore(tmp_path)
    found, _ = store.roots()

    def full(_handle: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        store.remove(found[0].hash())
    assert len(TrustStore(tmp_path).roots()[0]) == 2
