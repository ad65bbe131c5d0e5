"""What OCPP installs is seen by the next connection, without a restart."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chargerd.config import Iso15118
from chargerd.trust import layout
from chargerd.trust.name import certificate_hash
from chargerd.trust.store import Kind, TrustStore
from chargerd.vehicle.iso15118.build import Security
from chargerd.vehicle.iso15118.errors import V2gError
from hil.pki.bad import ocsp_answer
from hil.pki.make import Chain, make_chain, make_pki, make_root
from hil.pki.profiles import Profile, Use
from hil.pki.store import write_issued, write_pki
from tests.unit.vehicle_iso.pki.test_security import Stopped, words
from tests.unit.vehicle_iso.pki.tls_peer import V1_2, Pair, client_context, stapled

NOW = datetime.now(UTC)
MADE = NOW - timedelta(days=1)
PKI = make_pki(Profile.ISO2, MADE)


def install(folder: Path, chain: Chain) -> None:
    file = folder / layout.SECC / "V2GCertificate.pem"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(chain.leaf.key_pem + chain.chain_pem)


def shown(made: Security, folder: Path) -> bytes:
    """The certificate that a vehicle gets; it trusts the one root."""
    write_issued(PKI.secc.root, folder, "vehicle")
    peer = Pair(client_context(folder / "vehicle.pem", V1_2), made.tls())
    peer.pump()
    found = peer.client.getpeercert(binary_form=True)
    assert found is not None
    return found


def test_the_first_certificate_may_come_by_ocpp(tmp_path: Path) -> None:
    made = Security(Iso15118(), Stopped(NOW), tmp_path)
    assert made.wanted
    assert (made.serves(), made.problem()) == (False, "")
    with pytest.raises((V2gError, ssl.SSLError), match="no certificate to show"):
        shown(made, tmp_path)
    install(tmp_path, PKI.secc)
    made.load()
    assert made.serves()
    assert shown(made, tmp_path) == PKI.secc.leaf.der


@pytest.mark.req("A02.FR.15", "A03.FR.15")
@pytest.mark.parametrize("hours", [-2, 2])
def test_the_newest_of_one_root_is_shown(tmp_path: Path, hours: int) -> None:
    home = write_pki(PKI, tmp_path)
    at = MADE + timedelta(hours=hours)
    other = make_chain(Profile.ISO2, Use.SECC, PKI.secc.root, at)
    own = tmp_path / "own"
    made = Security(words(home), Stopped(NOW), own)
    assert shown(made, tmp_path) == PKI.secc.leaf.der
    install(own, other)
    made.load()
    newest = other if hours > 0 else PKI.secc
    assert shown(made, tmp_path) == newest.leaf.der


def test_roots_of_ocpp_count_beside_those_of_the_configuration(tmp_path: Path) -> None:
    home = write_pki(PKI, tmp_path)
    own = tmp_path / "own"
    made = Security(words(home), Stopped(NOW), own)
    assert len(made.trust().mo_roots) == 1
    fresh = make_root(Profile.ISO2, "mo", NOW)
    for root in (fresh, PKI.contract.root):  # the second is known already
        TrustStore(own).add(Kind.MO, root.pem, NOW)
    made.load()
    assert len(made.trust().mo_roots) == 2
    gone = certificate_hash(fresh.certificate, fresh.certificate)
    assert TrustStore(own).remove(gone)
    made.load()
    assert len(made.trust().mo_roots) == 1


def test_a_broken_installed_file_is_a_problem_by_name(tmp_path: Path) -> None:
    install(tmp_path, PKI.secc)
    file = tmp_path / layout.SECC / "V2G20Certificate.pem"
    file.write_text("nothing")
    made = Security(Iso15118(), Stopped(NOW), tmp_path)
    assert not made.serves()
    assert str(file) in made.problem()


@pytest.mark.req("M06.FR.06")
def test_an_ocsp_response_that_was_kept_is_shown(tmp_path: Path) -> None:
    install(tmp_path, PKI.secc)
    der = ocsp_answer(PKI.secc.leaf, PKI.secc.subs[0], NOW)
    folder = tmp_path / layout.STAPLES
    folder.mkdir()
    (folder / "good.der").write_bytes(der)
    (folder / "other.der").write_bytes(b"no OCSP response")
    made = Security(Iso15118(), Stopped(NOW), tmp_path)
    assert made.problem() == ""
    assert stapled(made.tls(), PKI.secc.root.certificate) == der
