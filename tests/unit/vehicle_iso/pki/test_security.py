"""What the configured files give the door: TLS and roots, or a problem by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chargerd.clock import Clock, Now
from chargerd.config import Iso15118
from chargerd.vehicle.iso15118.build import Security
from hil.pki.bad import Flaw, make_bad
from hil.pki.make import make_pki
from hil.pki.profiles import Profile, Use
from hil.pki.store import write_chain, write_pki
from tests.unit.vehicle_iso.pki.tls_peer import V1_2, Pair, client_context

NOW = datetime.now(UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write_pki(make_pki(Profile.ISO2, NOW), tmp_path)


def words(home: Path, **changed: object) -> Iso15118:
    keys: dict[str, object] = {
        "certificates": [
            {"chain": home / "secc" / "chain.pem", "key": home / "secc" / "leaf.key"}
        ],
        "v2g_roots": home / "v2g" / "root.pem",
        "mo_roots": home / "mo" / "root.pem",
        "oem_roots": home / "oem" / "root.pem",
    }
    return Iso15118.model_validate(keys | changed)


class Stopped(Clock):
    """One instant that does not pass."""

    def __init__(self, utc: datetime, *, trusted: bool = True) -> None:
        super().__init__()
        self._now = Now(100.0, utc, trusted)

    def now(self) -> Now:
        return self._now


def test_good_files(home: Path) -> None:
    made = Security(words(home), Stopped(NOW))
    assert made.problem() == ""
    assert made.serves()
    peer = Pair(client_context(home / "v2g" / "root.pem", V1_2), made.tls())
    peer.pump()
    assert peer.link.established
    trust = made.trust()
    kinds = (trust.v2g_roots, trust.mo_roots, trust.oem_roots)
    assert [len(each) for each in kinds] == [1, 1, 1]


def test_none_wanted(home: Path) -> None:
    made = Security(words(home, certificates=()), Stopped(NOW))
    assert (made.wanted, made.serves(), made.problem()) == (False, False, "")


def test_a_broken_certificate_is_no_tls(home: Path) -> None:
    (home / "secc" / "leaf.key").write_text("nothing")
    made = Security(words(home), Stopped(NOW))
    assert not made.serves()
    assert "leaf.key is no key that can be used" in made.problem()


def test_broken_roots_are_told_and_the_rest_serves(home: Path) -> None:
    (home / "mo" / "broken.pem").write_text("nothing")
    made = Security(words(home, mo_roots=home / "mo"), Stopped(NOW))
    assert made.serves()
    assert "broken.pem is no PEM file of roots" in made.problem()
    assert len(made.trust().mo_roots) >= 1


def test_expiry_is_seen_while_running(home: Path) -> None:
    made = Security(words(home), Stopped(NOW + timedelta(days=61)))
    assert "chain.pem ended" in made.problem()
    untrusted = Security(words(home), Stopped(NOW + timedelta(days=61), trusted=False))
    assert untrusted.problem() == ""


def test_an_expired_certificate_from_the_start(home: Path) -> None:
    bad = make_bad(make_pki(Profile.ISO2, NOW), Use.SECC, Flaw.EXPIRED, NOW)
    write_chain(bad, home / "secc")
    assert "renew it" in Security(words(home), Stopped(NOW)).problem()
