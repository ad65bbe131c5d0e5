"""SupportedAppProtocol: priority, versions, the private namespace, TLS."""

from __future__ import annotations

import pytest

from chargerd.vehicle.iso15118 import sap
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.sap import DIN, ISO2, ISO20_AC, ISO20_DC, Choice, Offer
from chargerd.vehicle.iso15118.sap import ResponseCode as Code

TESLA = Offer("urn:tesla:din:2018:MsgDef", 2, 0, 1, 1)
NOTHING = Choice(Code.FAILED)


def offer(
    protocol: sap.Protocol, schema_id: int, priority: int, minor: int = 0
) -> Offer:
    return Offer(protocol.namespace, protocol.major, minor, schema_id, priority)


@pytest.mark.parametrize(
    ("offers", "protocols", "expected"),
    [
        ([], [DIN], NOTHING),
        ([offer(DIN, 1, 1)], [], NOTHING),
        ([offer(DIN, 1, 1)], [DIN], Choice(Code.OK, DIN, 1)),
        ([TESLA, offer(DIN, 0, 2)], [DIN, ISO2], Choice(Code.OK, DIN, 0)),
        ([TESLA], [DIN, ISO2], NOTHING),
        (
            [offer(DIN, 1, 2), offer(ISO2, 2, 1)],
            [DIN, ISO2],
            Choice(Code.OK, ISO2, 2),
        ),
        ([offer(DIN, 1, 1), offer(ISO2, 2, 1)], [DIN, ISO2], Choice(Code.OK, DIN, 1)),
        (
            [offer(ISO20_DC, 9, 1), offer(ISO2, 2, 2)],
            [ISO2],
            Choice(Code.OK, ISO2, 2),
        ),
        (
            [offer(ISO2, 7, 1, minor=3)],
            [ISO2],
            Choice(Code.OK_MINOR_DEVIATION, ISO2, 7),
        ),
        ([Offer(ISO2.namespace, 1, 0, 7, 1)], [ISO2], NOTHING),
        ([offer(ISO2, 7, 1), offer(DIN, 7, 2)], [ISO2, DIN], NOTHING),
        (
            [offer(ISO2, 7, 1), offer(DIN, 7, 2), offer(DIN, 8, 3)],
            [ISO2, DIN],
            Choice(Code.OK, DIN, 8),
        ),
        ([offer(DIN, n, 1) for n in range(21)], [DIN], NOTHING),
    ],
)
def test_choice(
    offers: list[Offer], protocols: list[sap.Protocol], expected: Choice
) -> None:
    assert sap.choose(offers, protocols) == expected


@pytest.mark.parametrize(
    ("broken", "chosen"),
    [
        ((), ISO20_DC),
        ((ISO20_DC,), ISO2),  # fallback: -20, -2, DIN
        ((ISO20_DC, ISO2), DIN),
        ((ISO20_DC, ISO2, DIN), ISO20_DC),  # all broke: the vehicle's wish again
    ],
)
def test_what_broke_before_comes_last(
    broken: tuple[sap.Protocol, ...], chosen: sap.Protocol
) -> None:
    offers = [offer(ISO20_DC, 1, 1), offer(ISO2, 2, 2), offer(DIN, 3, 3)]
    assert sap.choose(offers, (DIN, ISO2, ISO20_DC), broken).protocol is chosen


def test_messages_on_the_wire() -> None:
    offers = [TESLA, offer(DIN, 0, 2), offer(ISO2, 255, 20, minor=1)]
    assert sap.decode_request(sap.encode_request(offers)) == offers
    assert sap.encode_response(Choice(Code.OK, DIN, 1)).hex() == "80400040"
    assert sap.decode_response(bytes.fromhex("80400040")) == (Code.OK, 1)
    for choice in (NOTHING, Choice(Code.OK_MINOR_DEVIATION, ISO2, 255)):
        told = sap.decode_response(sap.encode_response(choice))
        assert told == (choice.code, choice.schema_id)


def test_messages_of_the_wrong_side() -> None:
    request = sap.encode_request([TESLA])
    with pytest.raises(V2gError, match="from the vehicle"):
        sap.decode_request(bytes.fromhex("80400040"))
    with pytest.raises(V2gError, match="from the station"):
        sap.decode_response(request)
    with pytest.raises(V2gError):
        sap.encode_request([])
    with pytest.raises(V2gError):
        sap.encode_request([TESLA] * 21)


def test_iso_20_needs_tls_1_3_both_ways() -> None:
    offers = [offer(ISO20_DC, 1, 1), offer(ISO2, 2, 2)]
    all_of_them = sap.PROTOCOLS
    safe = sap.speakable(all_of_them, mutual_tls_1_3=True)
    plain = sap.speakable(all_of_them, mutual_tls_1_3=False)
    assert sap.choose(offers, safe).protocol is ISO20_DC
    assert sap.choose(offers, plain).protocol is ISO2
    assert sap.choose([offer(ISO20_AC, 1, 1)], plain) == NOTHING
