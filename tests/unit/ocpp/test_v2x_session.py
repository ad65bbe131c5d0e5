"""Q01, Q02: who the vehicle is, which energy transfers it may use, and how that changes
while a transaction runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargerd.model import (
    Authorisation,
    AuthQuestion,
    DischargePermission,
    Greeting,
    SessionPhase,
    StopRequest,
    VehicleState,
)
from tests.unit.ocpp.station_rig import V21, V201, Rig, config
from tests.unit.ocpp.test_charging_needs import NEW, OLD, V2X, Stand
from tests.unit.ocpp.variable_kit import get_one, item
from tests.unit.ocpp.whole import Whole
from tests.unit.scheduler.stand import TOKEN

req = pytest.mark.req
P = SessionPhase
EVCCID = "PIXV12A3B4C5D6E7F"
ISO2, ISO20 = "urn:iso:15118:2:2013:MsgDef,2,0", "urn:iso:std:iso:15118:-20:DC,1,0"
KNOWN = replace(
    NEW, vehicle_id=EVCCID, greeting=Greeting(ISO20, (ISO20, ISO2), b"certificate")
)


def token_of(rig: Rig) -> Any:
    return next(e["idToken"] for e in rig.events() if "idToken" in e)


@req("Q01.FR.02")
@pytest.mark.parametrize("version", [V21, V201])
def test_an_iso15118_20_transaction_names_the_vehicle(version: str) -> None:
    rig = Rig(version=version).boot()
    rig.observe(P.STARTING, authorised=True, vehicle=KNOWN)
    started = rig.events()[0]
    assert started["eventType"] == "Started"
    assert started["idToken"]["additionalInfo"] == [
        {"additionalIdToken": EVCCID, "type": "EVCCID"}
    ]
    assert started["idToken"]["idToken"] == "04A1B2C3"
    other = Rig(version=version).boot()
    other.observe(P.STARTING, authorised=True, vehicle=replace(OLD, vehicle_id="x"))
    assert "additionalInfo" not in token_of(other)


@req("Q01.FR.36")
def test_the_connected_vehicle_is_in_the_device_model() -> None:
    rig = Rig().boot()

    def told() -> dict[str, str]:
        names = ["Available", "VehicleID", "ProtocolAgreed", "VehicleCertificate[Leaf]",
                 "ProtocolSupportedByEV[1]", "ProtocolSupportedByEV[2]",
                 "ProtocolSupportedByEV[3]"]  # fmt: skip
        found = {}
        for name in names:
            variable, _, rest = name.partition("[")
            more = {"instance": rest.removesuffix("]")} if rest else {}
            made = item("ConnectedEV", variable, evse={"id": 1}, **more)
            found[name] = get_one(rig, made).get("attributeValue", "")
        return found

    rig.observe()
    assert set(told().values()) == {"false", ""}
    rig.observe(P.ENERGY, authorised=True, vehicle=KNOWN)
    values = told()
    assert values.pop("VehicleCertificate[Leaf]").startswith("-----BEGIN CERTIFICATE")
    assert values == {
        "Available": "true", "VehicleID": EVCCID, "ProtocolAgreed": ISO20,
        "ProtocolSupportedByEV[1]": ISO20, "ProtocolSupportedByEV[2]": ISO2,
        "ProtocolSupportedByEV[3]": "",
    }  # fmt: skip
    rig.observe(P.IDLE, vehicle=VehicleState())
    assert set(told().values()) == {"false", ""}


@req("Q01.FR.03")
def test_the_needs_name_the_services_in_use_and_those_there_are() -> None:
    stand = Stand(KNOWN)
    stand.says(replace(V2X, energies=("DC", "DC_BPT")))
    (told,) = stand.told()
    assert told["evseId"] == 1
    needs = told["chargingNeeds"]
    assert needs["requestedEnergyTransfer"] == "DC_BPT"
    assert needs["availableEnergyTransfer"] == ["DC", "DC_BPT"]
    assert needs["controlMode"] == "DynamicControl"
    assert needs["v2xChargingParameters"]["maxDischargePower"] > 0.0


@req("Q01.FR.09", "Q02.FR.04")
@pytest.mark.parametrize(
    ("vehicle", "said", "unless_refused", "allowed"),
    [
        (KNOWN, {}, False, False),
        (KNOWN, {"allowedEnergyTransfer": ["DC_BPT"]}, False, True),
        (KNOWN, {"allowedEnergyTransfer": ["DC"]}, True, False),
        (KNOWN, {}, True, True),
        (OLD, {}, False, True),  # it has no services to choose from
    ],
)
def test_what_authorize_says_of_energy_transfers(
    vehicle: VehicleState, said: Any, unless_refused: bool, allowed: bool
) -> None:
    rig = Rig(config(discharge_unless_refused=unless_refused)).boot()
    rig.observe(P.CONNECTED, vehicle=vehicle)
    rig.station.ask(AuthQuestion(1, TOKEN), rig.now)
    rig.drain()
    answer = {"idTokenInfo": {"status": "Accepted"}, **said}
    asked = rig.last("Authorize")
    named = "additionalInfo" in asked.payload["idToken"]
    assert named is (vehicle is KNOWN)
    rig.answer(asked, answer)
    (made,) = [a for a in rig.asked() if isinstance(a, Authorisation)]
    assert made.discharge_allowed is allowed


@req("Q01.FR.09", "Q02.FR.04")
def test_charging_comes_first_when_the_csms_has_not_decided() -> None:
    """Without permission the vehicle is offered charging alone, and says so."""
    stand = Stand(KNOWN)
    one_way = replace(V2X, energy="DC", energies=("DC", "DC_BPT"))
    stand.says(one_way)
    (told,) = stand.told()
    assert told["chargingNeeds"]["requestedEnergyTransfer"] == "DC"
    assert told["chargingNeeds"]["availableEnergyTransfer"] == ["DC", "DC_BPT"]


@req("Q01.FR.05")
def test_a_refused_transfer_both_ways_is_renegotiated_once() -> None:
    stand = Stand(KNOWN)
    stand.says(replace(V2X, energies=("DC", "DC_BPT")))
    stand.answer("Rejected")
    assert DischargePermission(1, False) in stand.rig.asked()
    assert not any(isinstance(a, StopRequest) for a in stand.rig.asked())


def permit(rig: Rig, transaction_id: str, *names: str) -> tuple[str, str]:
    answer: Any = rig.call(
        "NotifyAllowedEnergyTransfer",
        {"transactionId": transaction_id, "allowedEnergyTransfer": list(names)},
    )
    return answer["status"], answer.get("statusInfo", {}).get("reasonCode", "")


@req("Q02.FR.06")
@pytest.mark.parametrize(
    ("names", "allowed"), [(("DC",), False), (("DC", "DC_BPT"), True)]
)
def test_a_permission_reaches_the_heart(names: tuple[str, ...], allowed: bool) -> None:
    """From there the vehicle is asked to renegotiate: test_iso20_pause.py."""
    stand = Stand(KNOWN)
    tx = stand.rig.events()[0]["transactionInfo"]["transactionId"]
    assert permit(stand.rig, tx, *names) == ("Accepted", "")
    assert stand.rig.asked()[-1] == DischargePermission(1, allowed)


@req("Q02.FR.07")
def test_after_the_renegotiation_the_needs_are_told_anew() -> None:
    stand = Stand(KNOWN)
    one_way = replace(V2X, energy="DC", energies=("DC", "DC_BPT"))
    stand.says(one_way)
    stand.answer("Accepted")
    tx = stand.rig.events()[0]["transactionInfo"]["transactionId"]
    permit(stand.rig, tx, "DC", "DC_BPT")
    stand.says(replace(one_way, energy="DC_BPT", asked=2))
    told = [t["chargingNeeds"]["requestedEnergyTransfer"] for t in stand.told()]
    assert told == ["DC", "DC_BPT"]


@pytest.mark.parametrize(
    ("vehicle", "names", "device_model", "reason"),
    [
        (KNOWN, ("AC_BPT",), {}, "UnsupportedParam"),
        (OLD, ("DC_BPT",), {}, "UnsupportedRequest"),
        (KNOWN, ("DC_BPT",), {"V2XChargingCtrlr.Enabled": False}, "UnsupportedRequest"),
    ],
)
def test_a_permission_that_cannot_be_used_is_refused(
    vehicle: VehicleState, names: tuple[str, ...], device_model: Any, reason: str
) -> None:
    stand = Stand(vehicle, conf=config(device_model=device_model))
    tx = stand.rig.events()[0]["transactionInfo"]["transactionId"]
    assert permit(stand.rig, tx, *names) == ("Rejected", reason)
    assert permit(stand.rig, "nobody", *names) == ("Rejected", "TxNotFound")


def test_a_permission_that_goes_stops_discharge_at_once() -> None:
    whole = Whole()
    tx = whole.start()
    whole.external(setpoint_w=-3000.0, seconds=600.0)
    whole.run(5.0)
    assert whole.power_w < -2500.0
    assert permit(whole.rig, tx, "DC") == ("Accepted", "")
    whole.run(1.0)
    assert whole.power_w >= 0.0
    assert whole.stand.vehicles[1].last.both_ways is False
    assert permit(whole.rig, tx, "DC", "DC_BPT") == ("Accepted", "")
    whole.run(5.0)
    assert whole.power_w < -2500.0
    assert TOKEN.value in str(token_of(whole.rig))
