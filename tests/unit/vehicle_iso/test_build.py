"""From the configuration to a door: what is offered, and what a broken file does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chargerd.clock import Clock
from chargerd.config import Config
from chargerd.config_check import contradictions
from chargerd.vehicle.iso15118 import build, sap
from chargerd.vehicle.iso15118.secc.sessions import protocols
from chargerd.vehicle.iso15118.secc.station import Authorise, Energy
from hil.pki import store
from hil.pki.make import make_pki
from hil.pki.profiles import Profile

DEVICE = {"driver": "x", "at": "serial:/dev/null"}
DEVICES = {
    "pilot": DEVICE,
    "meter": DEVICE | {"unit": 2},
    "stage": DEVICE | {"unit": 3},
}
PORT = {"interface": "lo", "evse_id": "JP*ABC*E1"}


def config(words: dict[str, Any], **evse: Any) -> Config:
    row = {"id": 1, "devices": DEVICES, "iso15118": PORT, **evse}
    vehicle = {"iso15118": words}
    return Config.model_validate(
        {"station": {"id": "CS1"}, "evse": [row], "vehicle": vehicle}
    )


def files(folder: Path) -> dict[str, Any]:
    home = store.write_pki(make_pki(Profile.ISO20, datetime.now(UTC)), folder)
    return {
        "certificates": [
            {"chain": home / "secc" / "chain.pem", "key": home / "secc" / "leaf.key"}
        ],
        "oem_roots": home / "oem" / "root.pem",
        "mo_roots": home / "mo" / "root.pem",
        "v2g_roots": home / "v2g" / "root.pem",
    }


ALL = ("iso15118-20", "iso15118-2", "din70121")


@pytest.mark.parametrize(
    ("names", "energies", "spoken"),
    [
        (ALL, "DC_BPT DC", {sap.DIN, sap.ISO2, sap.ISO20_DC}),
        (ALL, "DC_BPT", {sap.ISO20_DC}),  # -2 and DIN know no BPT
        (ALL, "AC_BPT AC", {sap.ISO2, sap.ISO20_AC}),
        (ALL, "AC DC", {sap.DIN, sap.ISO2, sap.ISO20_AC, sap.ISO20_DC}),
        (ALL, "MCS_BPT", {sap.ISO20_DC}),
        (("iso15118-2",), "DC_BPT DC", {sap.ISO2}),
        (("din70121",), "AC", set()),
    ],
)
def test_what_is_spoken(
    names: tuple[str, ...], energies: str, spoken: set[sap.Protocol]
) -> None:
    able = tuple(Energy(word) for word in energies.split())
    assert set(protocols(names, able)) == spoken


def test_ratings_and_words() -> None:
    made = config(
        {"authorise": ["EIM"], "free": True, "voltage_sense": "stage"},
        discharge_w=0,
        iso15118={**PORT, "energies": ["DC"]},
    )
    evse = made.evse[0]
    setup = build.setup_of(made, evse, evse.iso15118)  # type: ignore[arg-type]
    assert setup.evse_id == "JP*ABC*E1"
    assert setup.energies == (Energy.DC,)
    assert setup.ratings.discharge_max_a == 0.0
    assert setup.ratings.ac_phases == 0  # no AC outlet
    assert setup.free
    assert not setup.outlet_sensed
    assert setup.meter_id == "CS1-1"


def test_contracts_need_tls_and_roots(tmp_path: Path) -> None:
    words = {"authorise": ["PnC", "EIM"], **files(tmp_path)}
    made = config(words)
    security = build.Security(made.vehicle.iso15118, Clock())
    assert security.problem() == ""
    assert security.serves()
    evse = made.evse[0]
    setup = build.setup_of(made, evse, evse.iso15118)  # type: ignore[arg-type]
    assert setup.authorise == (Authorise.PNC, Authorise.EIM)
    assert len(security.trust().mo_roots) == 1


@pytest.mark.parametrize("broken", ["chain", "key"])
def test_a_broken_certificate_is_no_tls_and_a_problem(
    broken: str, tmp_path: Path
) -> None:
    words = files(tmp_path)
    path = words["certificates"][0][broken]
    path.write_text("not PEM")
    security = build.Security(config(words).vehicle.iso15118, Clock())
    assert not security.serves()
    assert str(path) in security.problem()


def test_broken_roots_are_named_too(tmp_path: Path) -> None:
    words = files(tmp_path)
    words["oem_roots"].write_text("-----BEGIN CERTIFICATE-----\nx\n")
    security = build.Security(config(words).vehicle.iso15118, Clock())
    assert str(words["oem_roots"]) in security.problem()


@pytest.mark.parametrize(
    ("words", "evse", "key"),
    [
        ({"authorise": ["PnC", "EIM"]}, {}, "vehicle.iso15118.certificates"),
        ({"plain": False}, {}, "vehicle.iso15118.certificates"),
        ({"authorise": ["PnC"]}, {}, "vehicle.iso15118.plain"),
        ({}, {"iso15118": {**PORT, "interface": "plc0", "sdp_port": 9}}, "sdp_port"),
        ({}, {"devices": {**DEVICES, "stage": None}}, "devices.stage"),
        ({}, {"devices": {**DEVICES, "chademo": DEVICE}}, "evse[0].iso15118"),
    ],
)
def test_what_cannot_be(words: dict[str, Any], evse: dict[str, Any], key: str) -> None:
    found = contradictions(config(words, **evse))
    assert any(key in where for where, _ in found), found


def test_a_bench_on_loopback_is_good() -> None:
    assert contradictions(config({})) == []
