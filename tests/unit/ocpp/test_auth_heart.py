"""Blocks C, F, H with the real heart: a card is read, and energy flows or does not."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import SessionPhase, Token, TokenRead
from tests.unit.ocpp.auth_kit import ACCEPTED, OTHER, group, id_token
from tests.unit.ocpp.station_rig import CARD
from tests.unit.ocpp.whole import Whole, conf

P = SessionPhase
req = pytest.mark.req
PRE = {"AuthCtrlr.LocalPreAuthorize": True}


class Counter:
    """A station with its reader, in the hands of drivers; a CSMS that knows cards."""

    def __init__(self, evses: int = 1, **presets: Any) -> None:
        presets = {"SampledDataCtrlr.TxUpdatedInterval": 0, **presets}
        self.whole = Whole(conf(evses=evses, device_model=presets))
        self.rig, self.stand = self.whole.rig, self.whole.stand
        self.known: dict[str, dict[str, Any]] = {}
        self._answered = len(self.rig.sent)
        self.run(1.0)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.whole.run(0.05)
            for question in self.stand.questions:
                self.rig.station.ask(question, self.rig.now)
            self.stand.questions.clear()
            self.rig.drain()
            self._answer()
            self.whole._forward()

    def _answer(self) -> None:
        for send in self.rig.sent[self._answered :]:
            self._answered += 1
            if send.action == "Authorize":
                card = send.payload["idToken"]["idToken"]
                info = self.known.get(card, {"status": "Unknown"})
                self.rig.answer(send, {"idTokenInfo": info})

    def card(self, token: Token, evse_id: int = 1) -> None:
        self.stand.cycle.request(TokenRead((evse_id,), token))
        self.run(0.5)

    def plug(self, evse_id: int = 1) -> None:
        self.stand.plug(evse_id)
        self.run(0.5)

    def offer(self, evse_id: int = 1) -> None:
        self.stand.setpoint(3000.0, 600.0, evse_id=evse_id)
        self.run(5.0)

    def power_w(self, evse_id: int = 1) -> float:
        return self.stand.bridge.power_w[evse_id]

    def asked(self) -> list[str]:
        sent = self.rig.payloads("Authorize")
        return [payload["idToken"]["idToken"] for payload in sent]


@req("C01.FR.01", "C06.FR.01")
@pytest.mark.parametrize("kind", ["ISO14443", "Local", "KeyCode"])
def test_energy_flows_after_authorization_only(kind: str) -> None:
    station = Counter()
    station.plug()
    station.offer()
    assert station.power_w() == 0.0
    station.card(Token("STRANGE", kind))
    station.offer()
    assert station.power_w() == 0.0
    station.known["GOOD"] = ACCEPTED
    station.card(Token("GOOD", kind))
    station.offer()
    assert station.power_w() > 2000.0
    assert station.asked() == ["STRANGE", "GOOD"]


@req("C01.FR.03", "C01.FR.04", "C06.FR.03", "C09.FR.07")
def test_the_card_that_started_stops_and_nobody_is_asked() -> None:
    station = Counter()
    station.known[CARD.value] = ACCEPTED
    station.plug()
    station.card(CARD)
    station.offer()
    station.card(CARD)
    station.run(3.0)
    assert station.power_w() == 0.0
    assert station.asked() == [CARD.value]  # and for nothing else
    assert station.rig.events()[-1]["triggerReason"] == "StopAuthorized"


@pytest.mark.parametrize(
    ("info", "stops"),
    [
        pytest.param({**ACCEPTED, **group("G1")}, True, marks=req("C09.FR.03")),
        pytest.param(
            {"status": "Blocked", **group("G1")}, False, marks=req("C09.FR.11")
        ),
        ({**ACCEPTED, **group("G2")}, False),
    ],
)
def test_another_card_stops_when_it_is_of_the_group(
    info: dict[str, Any], stops: bool
) -> None:
    station = Counter()
    station.known[CARD.value] = {**ACCEPTED, **group("G1")}
    station.known[OTHER.value] = info
    station.plug()
    station.card(CARD)
    station.offer()
    station.card(OTHER)
    station.run(3.0)
    assert (station.power_w() == 0.0) is stops
    assert station.asked() == [CARD.value, OTHER.value]


@req("C12.FR.02", "C12.FR.04", "C14.FR.02")
@pytest.mark.parametrize("how", ["cached", "listed"])
def test_a_known_card_starts_at_once(how: str) -> None:
    station = Counter(**PRE)
    if how == "cached":
        station.known[CARD.value] = ACCEPTED
        station.card(CARD)
        station.run(65.0)  # nobody came
    else:
        row = {"idToken": id_token(CARD), "idTokenInfo": ACCEPTED}
        rows = {"updateType": "Full", "localAuthorizationList": [row]}
        station.rig.call("SendLocalList", {"versionNumber": 1, **rows})
    station.rig.clear()
    station.whole._taken = station._answered = 0
    station.plug()
    station.card(CARD)
    station.offer()
    assert station.asked() == []
    assert station.power_w() > 2000.0
    assert station.rig.events()[0]["idToken"] == id_token(CARD)


@req("C01.FR.26")
def test_who_does_not_plug_in_must_show_the_card_again() -> None:
    station = Counter(**{"TxCtrlr.EVConnectionTimeOut": 5})
    station.known[CARD.value] = ACCEPTED
    station.card(CARD)
    station.run(6.0)
    station.plug()
    station.offer()
    assert station.power_w() == 0.0


@req("C16.FR.02", "C16.FR.03", "C16.FR.08")
def test_a_master_pass_ends_everything() -> None:
    station = Counter(3, **{"AuthCtrlr.MasterPassGroupId": "POLICE"})
    station.known[CARD.value] = ACCEPTED
    station.known[OTHER.value] = {**ACCEPTED, **group("POLICE")}
    for evse_id in (1, 2):
        station.plug(evse_id)
        station.card(CARD, evse_id)
        station.offer(evse_id)
        assert station.power_w(evse_id) > 2000.0
    station.plug(3)
    station.card(OTHER, 3)
    station.run(3.0)
    assert [station.power_w(evse_id) for evse_id in (1, 2, 3)] == [0.0] * 3
    ended = [e for e in station.rig.events() if e["eventType"] == "Ended"]
    reasons = [e["transactionInfo"]["stoppedReason"] for e in ended]
    assert reasons == ["MasterPass"] * 2
    assert station.stand.phase(3) is P.CONNECTED


def test_without_authorization_a_plug_is_enough() -> None:
    station = Counter(**{"AuthCtrlr.Enabled": False})
    station.plug()
    station.offer()
    assert station.power_w() > 2000.0
    token = {"idToken": "", "type": "NoAuthorization"}
    assert station.rig.events()[0]["idToken"] == token
    assert station.asked() == []


@req("F01.FR.01", "F02.FR.09")
@pytest.mark.parametrize("info", [ACCEPTED, {"status": "Blocked"}])
@pytest.mark.parametrize("plugged", [False, True])
def test_a_remote_start_may_be_authorised_first(
    info: dict[str, Any], plugged: bool
) -> None:
    station = Counter(**{"AuthCtrlr.AuthorizeRemoteStart": True})
    station.known[CARD.value] = info
    if plugged:
        station.plug()
    request = {"evseId": 1, "remoteStartId": 4, "idToken": id_token(CARD)}
    answer = station.rig.call("RequestStartTransaction", request)
    assert answer == {"status": "Accepted"}
    assert station.asked() == []  # the answer comes first
    station.run(0.5)
    assert station.asked() == [CARD.value]
    if not plugged:
        station.plug()
    station.offer()
    good = info == ACCEPTED
    assert (station.power_w() > 2000.0) is good
    assert bool(station.rig.events()) is good
    if good:
        assert station.rig.events()[0]["triggerReason"] == "RemoteStart"


@req("H03.FR.01", "H01.FR.15")
def test_a_reserved_evse_gives_energy_to_its_card_only() -> None:
    station = Counter()
    for token in (CARD, OTHER):
        station.known[token.value] = ACCEPTED
    request = {
        "id": 5,
        "evseId": 1,
        "expiryDateTime": "2026-11-24T00:00:00Z",
        "idToken": id_token(CARD),
    }
    assert station.rig.call("ReserveNow", request) == {"status": "Accepted"}
    station.plug()
    station.card(OTHER)
    station.offer()
    assert station.power_w() == 0.0
    station.card(CARD)
    station.offer()
    assert station.power_w() > 2000.0
    assert station.rig.events()[0]["reservationId"] == 5
