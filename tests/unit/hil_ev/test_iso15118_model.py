"""The vehicle as the rig plugs it in: SDP, TCP, TLS and its sessions, over loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chargerd.model import VehiclePhase
from chargerd.vehicle.iso15118.pki import Trust
from chargerd.vehicle.iso15118.tls import Identity, TlsServer
from hil.ev import catalog
from hil.ev.iso15118.model import Iso15118Ev
from hil.ev.iso15118.profile import Profile
from hil.pki.make import Pki, make_pki
from hil.pki.profiles import Profile as PkiProfile
from hil.pki.store import write_pki
from tests.unit.hil_ev.sockets15118 import Stall

PLAIN = Profile(protocols=("iso15118-2",), services=("DC",))
BOTH = Profile(services=("DC_BPT", "DC"), tls=True)


@pytest.fixture(scope="module")
def pki() -> Pki:
    return make_pki(PkiProfile.ISO20, datetime.now(UTC))


@pytest.fixture
def folder(pki: Pki, tmp_path: Path) -> Path:
    return write_pki(pki, tmp_path)


def server(pki: Pki, folder: Path) -> TlsServer:
    trust = Trust(
        v2g_roots=(pki.secc.root.certificate,),
        oem_roots=(pki.oem.root.certificate,),
    )
    secc = folder / "secc"
    return TlsServer([Identity(secc / "chain.pem", secc / "leaf.key")], trust)


@contextmanager
def stall(profile: Profile, **more: Any) -> Iterator[Stall]:
    one = Stall(profile, **more)
    try:
        yield one
    finally:
        one.close()


def until_energy(s: Stall) -> None:
    s.run(40.0, lambda: s.state.phase is VehiclePhase.ENERGY)
    assert s.state.phase is VehiclePhase.ENERGY, s.ev.state()


def test_a_plain_session_and_a_second_one_when_it_is_woken() -> None:
    with stall(PLAIN, mutual=False) as s:
        until_energy(s)
        s.run(2.0)
        assert s.plant.current_a > 10.0
        assert s.ev.state()["security"] == "plain"
        s.ev.car.leaves = True
        s.run(20.0, lambda: s.ev.phase == "done")
        assert s.ev.why == ""
        s.run(5.0)
        assert s.connections == 1  # it sleeps, whatever the PWM says
        s.ev.car.leaves = False
        s.duty = 1.0
        s.run(1.0)
        s.duty = 0.05
        until_energy(s)
        assert s.connections == 2


def test_iso15118_20_over_tls_1_3_with_certificates_of_both_sides(
    pki: Pki, folder: Path
) -> None:
    profile = replace(BOTH, pki=str(folder))
    with stall(profile, tls=server(pki, folder)) as s:
        until_energy(s)
        shown = s.ev.state()
        assert shown["security"] == "TLSv1.3"
        assert (shown["protocol"], shown["service"]) == ("iso15118-20", "DC_BPT")
        s.plant.setpoint_a = -20.0
        s.run(3.0)
        assert s.ev.state()["energy_out_wh"] > 1.0


def test_an_iso15118_2_vehicle_has_tls_1_2_and_no_certificate(
    pki: Pki, folder: Path
) -> None:
    profile = replace(PLAIN, tls=True, pki=str(folder))
    with stall(profile, tls=server(pki, folder), mutual=False) as s:
        until_energy(s)
        assert s.ev.state()["security"] == "TLSv1.2"


def test_a_station_of_another_root_is_not_believed(pki: Pki, tmp_path: Path) -> None:
    other = make_pki(PkiProfile.ISO20, datetime.now(UTC))
    theirs, mine = write_pki(other, tmp_path / "b"), write_pki(pki, tmp_path / "a")
    profile = replace(BOTH, pki=str(mine), retries=0)
    with stall(profile, tls=server(other, theirs)) as s:
        s.run(20.0, lambda: s.ev.phase == "done")
        assert "CERTIFICATE_VERIFY_FAILED" in s.ev.why


def test_without_an_answer_it_asks_fifty_times_and_gives_up() -> None:
    """[V2G2-159], [V2G2-161]: 250 ms per try, at most 50."""
    with stall(replace(PLAIN, retries=0), mutual=False, deaf=True) as s:
        s.run(13.5, lambda: s.ev.phase == "done")
        assert s.sdp_requests == 50
        assert s.ev.why == "no SDP answer in 50 tries"
        assert s.plant.now - 1_000.0 == pytest.approx(0.3 + 50 * 0.25, abs=0.2)


@pytest.mark.parametrize(
    ("station", "why"),
    [
        ({"demands_tls": True}, "demands TLS"),
        ({"port": 9}, "Connection refused"),
    ],
)
def test_a_station_that_cannot_be_reached_is_tried_again(
    station: dict[str, Any], why: str
) -> None:
    profile = replace(PLAIN, retries=2, retry_s=2.0)
    with stall(profile, mutual=False, **station) as s:
        s.run(20.0, lambda: s.ev.phase == "done")
        assert why in s.ev.why
        assert s.sdp_requests == 3


def test_without_five_percent_it_is_silent() -> None:
    with stall(PLAIN, mutual=False) as s:
        s.duty = 0.5
        s.run(5.0)
        assert s.sdp_requests == 0
        assert s.ev.phase == "asleep"


def test_a_pause_is_slept_and_the_session_taken_up_again() -> None:
    profile = replace(PLAIN, pause_after_s=2.0, pause_s=4.0)
    with stall(profile, mutual=False) as s:
        until_energy(s)
        s.run(20.0, lambda: s.ev.phase == "resting")
        assert s.ev.why == ""
        until_energy(s)
        assert s.connections == 2
        assert s.ev.evcc is not None
        assert s.ev.evcc.speaker is not None
        assert s.state.vehicle_id == PLAIN.evccid


def test_the_drivers_pause_asks_for_nothing() -> None:
    with stall(PLAIN, mutual=False) as s:
        until_energy(s)
        s.ev.pause()
        s.run(2.0)
        limits = s.state.limits
        assert limits is not None
        assert limits.requested_a == 0.0
        s.ev.resume()
        s.run(2.0)
        assert s.plant.current_a > 10.0


def test_an_unplug_closes_its_sockets() -> None:
    with stall(PLAIN, mutual=False) as s:
        until_energy(s)
        s.ev.unplugged()
        s.run(1.0)
        assert s.plant.current_a == 0.0
        assert not s.plant.dc_closed


def test_faults_are_its_misbehaviours() -> None:
    ev = catalog.make("iso15118", protocols="iso15118-2")
    assert isinstance(ev, Iso15118Ev)
    ev.fault("weld", True)
    assert ev.state()["faults"] == ["weld"]
    ev.fault("weld", False)
    assert ev.state()["faults"] == []
    with pytest.raises(ValueError, match="trailing_zeros"):
        ev.fault("lies", True)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"tls": True}, "tls needs pki"),
        ({"authorise": "contract"}, "contract needs pki"),
        ({"tls": True, "pki": "/nowhere"}, "/nowhere"),
        ({"sdp_port": "x"}, "sdp_port"),
        ({"profile": "nonesuch"}, "known are"),
        ({"soc": 101}, "soc"),
    ],
)
def test_what_cannot_be_plugged_in_is_said(keys: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        catalog.make("iso15118", **keys)
