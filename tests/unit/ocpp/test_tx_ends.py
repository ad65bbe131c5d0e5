"""Ended in every way there is: seqNo, meter data, thinning, the meter's signature."""

from __future__ import annotations

import base64
import itertools
from dataclasses import dataclass
from typing import Any

import pytest

from chargerd.model import SessionPhase, StopReason
from chargerd.ocpp.blocks.transaction import MOST_ENDED_VALUES, Transaction
from firmware_bridge.api import MeterReading, Reading, SignedReading, Telemetry
from tests.unit.ocpp.station_rig import CARD, DEVICE, EVSE, V21, V201, Rig, config

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])
OCMF = 'OCMF|{"FV":"1.2"}|{"SA":"ECDSA-secp256r1-SHA256","SD":"00"}'
KEY = "3059301306072a8648ce3d020106082a8648ce3d030107034200" + "04" + "ab" * 64
REGISTER = "Energy.Active.Import.Register"
SIGNING = {**EVSE["devices"], "meter": {**DEVICE, "driver": "eastron_sdm630ev"}}  # type: ignore[dict-item]


@dataclass
class Plant:
    """A station whose meter signs; each step is a report of the heart."""

    rig: Rig
    import_wh: float = 1000.0
    signed: SignedReading | None = None
    has_meter: bool = True

    def observe(self, phase: P, **more: Any) -> None:
        reading = MeterReading(3000.0, self.import_wh, 500.0, 50.0, (230.0,), (13.0,))
        told = self.signed or SignedReading(public_key=KEY, open_id="s1")
        mono = self.rig.now.mono
        self.rig.observe(
            phase,
            telemetry=Telemetry(
                meter=Reading(reading, mono), signed=Reading(told, mono)
            ),
            **more,
        )

    def run(self, phase: P, seconds: int, **more: Any) -> None:
        for _ in range(seconds):
            self.rig.pass_s(1.0)
            self.import_wh += 1.0
            self.observe(phase, **more)

    def sign(self, session_id: str = "s1", text: str = OCMF, fault: str = "") -> None:
        self.signed = SignedReading(text, session_id, KEY, "", fault)


def plant(version: str = V21, **presets: Any) -> Plant:
    presets = {
        "SampledDataCtrlr.SignReadings": True,
        "SampledDataCtrlr.TxEndedMeasurands": REGISTER,
        "SampledDataCtrlr.TxEndedInterval": 1,
        "SampledDataCtrlr.TxUpdatedInterval": 0,
        **presets,
    }
    conf = config(device_model=presets, evse={"devices": SIGNING})
    rig = Rig(conf, version=version)
    rig.observe()
    return Plant(rig)


def cable_first(plant: Plant) -> None:
    plant.observe(P.CONNECTED)
    plant.observe(P.STARTING, authorised=True)


def token_first(plant: Plant) -> None:
    plant.observe(P.IDLE, authorised=True)
    plant.observe(P.STARTING, authorised=True)


def stop(plant: Plant, reason: StopReason) -> None:
    more = {"authorised": True, "stop": reason}
    if reason is StopReason.LOCAL:
        more["stop_token"] = CARD
    plant.observe(P.STOPPING, **more)
    plant.observe(P.FINISHED, **more)


def refused(plant: Plant) -> None:
    first = next(s for s in plant.rig.sent if s.action == "TransactionEvent")
    plant.rig.answer(first, {"idTokenInfo": {"status": "Invalid"}})
    stop(plant, StopReason.DEAUTHORIZED)


def lost(plant: Plant) -> None:
    """E10: unplugged, kept, and given up."""
    plant.observe(P.IDLE, authorised=True, kept=True)
    plant.rig.pass_s(60)
    plant.observe(
        P.FINISHED, authorised=True, kept=True, stop=StopReason.EV_DISCONNECTED
    )


KEPT = {
    "TxCtrlr.TxStopPoint": "Authorized",
    "TxCtrlr.StopTxOnEVSideDisconnect": False,
}
ENDS = [
    # how it starts, whether the link is up, how it ends, presets, and what it shows
    pytest.param(
        cable_first, True, lambda p: stop(p, StopReason.LOCAL), {},
        id="card", marks=pytest.mark.req(
            "E02.FR.07", "E02.FR.14", "E06.FR.11", "E06.FR.12", "E06.FR.13",
            "E06.FR.14", "E07.FR.08", "E07.FR.09", "E07.FR.10", "E07.FR.11",
            "E07.FR.12", "J02.FR.20", "J02.FR.21",
        ),
    ),
    pytest.param(
        token_first, True, lambda p: stop(p, StopReason.LOCAL), {},
        id="card first", marks=pytest.mark.req("E03.FR.06", "E03.FR.10"),
    ),
    pytest.param(
        cable_first, False, lambda p: stop(p, StopReason.LOCAL), {},
        id="offline", marks=pytest.mark.req(
            "E04.FR.04", "E04.FR.10", "E08.FR.08", "E08.FR.09", "E08.FR.10",
            "E08.FR.11", "E08.FR.12", "E11.FR.08", "E12.FR.07", "E12.FR.08",
            "E12.FR.09", "E12.FR.10",
        ),
    ),
    pytest.param(
        cable_first, True, refused, {}, id="token refused",
        marks=pytest.mark.req("E05.FR.04", "E05.FR.06"),
    ),
    pytest.param(
        cable_first, True, lambda p: stop(p, StopReason.EV_DISCONNECTED), {},
        id="plug pulled", marks=pytest.mark.req(
            "E09.FR.04", "E09.FR.05", "E09.FR.06", "E09.FR.07", "E09.FR.08"
        ),
    ),
    pytest.param(
        cable_first, True, lost, KEPT, id="plug pulled and kept",
        marks=pytest.mark.req(
            "E10.FR.03", "E10.FR.04", "E10.FR.05", "E10.FR.06", "E10.FR.07"
        ),
    ),
    pytest.param(
        cable_first, True, lambda p: stop(p, StopReason.STOPPED_BY_EV), {},
        id="by the vehicle",
        marks=pytest.mark.req("E15.FR.01", "E15.FR.02", "E15.FR.03"),
    ),
    pytest.param(
        cable_first, True, lambda p: stop(p, StopReason.REMOTE), {},
        id="by the CSMS",
        marks=pytest.mark.req(
            "F03.FR.04", "F03.FR.05", "F03.FR.06", "F04.FR.04", "F04.FR.05",
            "F04.FR.06",
        ),
    ),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize(("begin", "online", "end", "presets"), ENDS)
def test_ended_has_it_all(
    version: str, begin: Any, online: bool, end: Any, presets: dict[str, Any]
) -> None:
    """More samples than Ended may have: every second of those between is dropped."""
    one = plant(version, **presets)
    one.rig.boot()
    if not online:
        one.rig.link(up=False)
    begin(one)
    begun_wh = one.import_wh
    one.observe(P.ENERGY, authorised=True)
    one.run(P.ENERGY, 2 * MOST_ENDED_VALUES + 10, authorised=True)
    one.sign()
    end(one)
    events = one.rig.events()
    assert [e["seqNo"] for e in events] == list(range(len(events)))
    assert {e.get("offline", False) for e in events} == {not online}
    ended = events[-1]
    assert ended["eventType"] == "Ended"
    samples = [value["sampledValue"][0] for value in ended["meterValue"]]
    assert samples[0]["context"] == "Transaction.Begin"
    assert samples[-1]["context"] == "Transaction.End"
    values = [sample["value"] for sample in samples]
    assert (values[0], values[-1]) == (begun_wh, one.import_wh)
    between = values[1:-1]
    assert MOST_ENDED_VALUES / 2 <= len(between) <= MOST_ENDED_VALUES
    gaps = [b - a for a, b in itertools.pairwise(values)]
    assert max(gaps) <= 8.0  # Wh and seconds: spread over all the time
    signed = samples[-1]["signedMeterValue"]
    assert base64.b64decode(signed["signedMeterData"]).decode() == OCMF
    assert all("signedMeterValue" not in sample for sample in samples[:-1])


@pytest.mark.req(
    "E06.FR.13", "E07.FR.10", "E09.FR.07", "F03.FR.05", "F03.FR.06", "F04.FR.05",
    "F04.FR.06",
)  # fmt: skip
def test_when_full_every_second_of_the_older_goes() -> None:
    tx = Transaction("t", 1, 1)
    for number in range(MOST_ENDED_VALUES + 1):
        tx.keep({"n": number})
    kept = [value["n"] for value in tx.values]
    assert kept == [*range(1, MOST_ENDED_VALUES, 2), MOST_ENDED_VALUES]


@pytest.mark.req("J02.FR.23", "J02.FR.24")
@pytest.mark.parametrize(
    ("rule", "has_key"),
    [("Never", False), ("OncePerTransaction", True), ("EveryMeterValue", True)],
)
def test_key_and_method_of_a_signature(rule: str, has_key: bool) -> None:
    one = plant(**{"OCPPCommCtrlr.PublicKeyWithSignedMeterValue": rule})
    one.rig.boot()
    cable_first(one)
    one.sign()
    stop(one, StopReason.LOCAL)
    sample = one.rig.events()[-1]["meterValue"][-1]["sampledValue"][0]
    signed = sample["signedMeterValue"]
    assert signed["encodingMethod"] == "OCMF"
    assert signed["signingMethod"] == "ECDSA-secp256r1-SHA256"
    assert ("publicKey" in signed) is has_key
    if has_key:
        named = base64.b64decode(signed["publicKey"]).decode()
        assert named == f"oca:base16:asn1:{KEY}"


def test_2_0_1_wants_key_and_method_always() -> None:
    one = plant(V201, **{"OCPPCommCtrlr.PublicKeyWithSignedMeterValue": "Never"})
    one.rig.boot()
    cable_first(one)
    one.sign(text="OCMF|{}|nonsense")
    stop(one, StopReason.LOCAL)
    sample = one.rig.events()[-1]["meterValue"][-1]["sampledValue"][0]
    signed = sample["signedMeterValue"]
    assert (signed["publicKey"], signed["signingMethod"]) == ("", "")


def test_ended_waits_for_the_signature() -> None:
    one = plant()
    one.rig.boot()
    cable_first(one)
    stop(one, StopReason.LOCAL)
    assert one.rig.events()[-1]["eventType"] == "Started"
    assert one.rig.saved["transaction"]["1"]["seq_no"] == 0  # a crash ends it itself
    one.run(P.FINISHED, 3)
    one.sign()
    one.run(P.FINISHED, 1)
    ended = one.rig.events()[-1]
    assert ended["eventType"] == "Ended"
    assert "signedMeterValue" in ended["meterValue"][-1]["sampledValue"][0]
    assert "1" not in one.rig.saved["transaction"]


@pytest.mark.parametrize(
    ("why", "waits_s"),
    [("silence", 16), ("fault", 1), ("next", 0)],
)
def test_it_does_not_wait_for_ever(why: str, waits_s: int) -> None:
    one = plant()
    one.rig.boot()
    cable_first(one)
    stop(one, StopReason.LOCAL)
    if why == "fault":
        one.sign(text="", fault="the meter did not sign")
    if why == "next":
        one.observe(P.STARTING, authorised=True, session_id="s2")
    one.run(P.FINISHED, waits_s, session_id="s2" if why == "next" else "s1")
    kinds = [e["eventType"] for e in one.rig.events()]
    assert kinds[1] == "Ended"
    assert (kinds[2:3] == ["Started"]) is (why == "next")


@pytest.mark.parametrize("reason", [StopReason.REBOOT, StopReason.IMMEDIATE_RESET])
def test_a_daemon_that_ends_does_not_wait(reason: StopReason) -> None:
    """Else Ended would be that of an interruption, after the next start."""
    one = plant()
    one.rig.boot()
    cable_first(one)
    stop(one, reason)
    ended = one.rig.events()[-1]
    assert ended["transactionInfo"]["stoppedReason"] == reason.value


@pytest.mark.parametrize("signed_for", ["", "s0"])
def test_a_text_of_another_session_is_not_taken(signed_for: str) -> None:
    one = plant()
    one.rig.boot()
    cable_first(one)
    one.sign(signed_for)
    stop(one, StopReason.LOCAL)
    one.run(P.FINISHED, 16)
    ended = one.rig.events()[-1]
    assert ended["eventType"] == "Ended"
    assert "signedMeterValue" not in str(ended)


def test_switched_off_nothing_is_signed_nor_waited_for() -> None:
    one = plant(**{"SampledDataCtrlr.SignReadings": False})
    one.rig.boot()
    cable_first(one)
    one.sign()
    stop(one, StopReason.LOCAL)
    ended = one.rig.events()[-1]
    assert ended["eventType"] == "Ended"
    assert "signedMeterValue" not in str(ended)


@pytest.mark.parametrize("signs", [True, False])
def test_who_cannot_sign_does_not_say_so(signs: bool) -> None:
    conf = config(evse={"devices": SIGNING}) if signs else config()
    rig = Rig(conf).boot()
    for component, variable in (
        ("SampledDataCtrlr", "SignReadings"),
        ("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue"),
    ):
        answer = rig.call("GetVariables", {"getVariableData": [
            {"component": {"name": component}, "variable": {"name": variable}}
        ]})  # fmt: skip
        assert isinstance(answer, dict)
        status = answer["getVariableResult"][0]["attributeStatus"]
        assert (status == "Accepted") is signs


def test_the_meters_key_is_in_the_device_model() -> None:
    one = plant()
    one.rig.boot()
    one.run(P.CONNECTED, 2)
    assert one.rig.station._desk.model.text("FiscalMetering", "PublicKey", "", 1) == KEY
