"""SupportedAppProtocol: priority, versions, the private namespace, TLS."""

from __future__ import annotations

import pytest

from chargerd.vehicle.iso15118 import sap
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


def test_iso_20_needs_tls_1_3_both_ways() -> None:
    offers = [offer(ISO20_DC, 1, 1), offer(ISO2, 2, 2)]
    all_of_them = sap.PROTOCOLS
    safe = sap.speakable(all_of_them, mutual_tls_1_3=True)
    plain = sap.speakable(all_of_them, mutual_tls_1_3=False)
    assert sap.choose(offers, safe).protocol is ISO20_DC
    assert sap.choose(offers, plain).protocol is ISO2
    assert sap.choose([offer(ISO20_AC, 1, 1)], plain) == NOTHING
