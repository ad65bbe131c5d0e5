"""V2GTP and SDP under any bytes in any split: the same frames, only our exception."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.vehicle.iso15118 import sap, sdp, v2gtp
from chargerd.vehicle.iso15118.errors import V2gError

Log = list[v2gtp.Frame | str]

types = st.sampled_from([*v2gtp.CAPS, 0x9000, 0xA000, 0xFFFF])
frames = st.builds(v2gtp.pack, types, st.binary(max_size=40))
headers = st.builds(
    lambda kind, length: (
        b"\x01\xfe" + kind.to_bytes(2, "big") + length.to_bytes(4, "big")
    ),
    types,
    st.integers(0, 2**32 - 1),
)
streams = st.lists(
    st.one_of(frames, frames, frames, headers, st.binary(max_size=12)), max_size=8
).map(b"".join)


def play(parts: list[bytes]) -> tuple[Log, int]:
    """Frames in order, the error that ended them, and how many were ignored."""
    framer = v2gtp.Framer()
    log: Log = []
    for part in parts:
        framer.receive(part)
        try:
            while (frame := framer.next_frame()) is not None:
                log.append(frame)
        except V2gError as error:
            log.append(str(error))
            break
        assert framer.waiting <= v2gtp.HEADER_BYTES + max(v2gtp.CAPS.values())
    return log, framer.ignored


@settings(max_examples=200, deadline=None)
@given(streams, st.lists(st.integers(0, 300), max_size=12))
def test_any_split_gives_the_same(stream: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    whole = play([stream])
    assert play([stream[a:b] for a, b in pairwise(edges)]) == whole
    assert play([stream[i : i + 1] for i in range(len(stream))]) == whole


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(types, st.binary(max_size=40)), max_size=8))
def test_every_known_frame_comes_out(sent: list[tuple[int, bytes]]) -> None:
    log, ignored = play([b"".join(v2gtp.pack(*frame) for frame in sent)])
    known = [v2gtp.Frame(*frame) for frame in sent if frame[0] in v2gtp.CAPS]
    assert log == known
    assert ignored == len(sent) - len(known)


STATION = sdp.Station(sdp.ipaddress.IPv6Address("fe80::1"), 50_000, 50_001)
asks = st.binary(max_size=4).map(lambda data: v2gtp.pack(0x9000, data))


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=40), asks), st.text(max_size=40))
def test_sdp_answers_or_stays_silent(datagram: bytes, source: str) -> None:
    for sender in ("fe80::2", source):
        try:
            told = sdp.decode_response(sdp.answer(datagram, sender, STATION))
        except V2gError:
            continue
        assert told.address == STATION.address


offers = st.builds(
    sap.Offer,
    st.sampled_from([*(p.namespace for p in sap.PROTOCOLS), "urn:other"]),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 255),
    st.integers(1, 20),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(offers, max_size=20), st.sets(st.sampled_from(sap.PROTOCOLS)))
def test_no_better_offer_is_passed_over(
    told: list[sap.Offer], spoken: set[sap.Protocol]
) -> None:
    choice = sap.choose(told, spoken)
    known = {(p.namespace, p.major) for p in spoken}
    ids = [offer.schema_id for offer in told]
    fit = [
        offer.priority
        for offer in told
        if (offer.namespace, offer.major) in known and ids.count(offer.schema_id) == 1
    ]
    if choice.protocol is None:
        assert fit == []
        return
    chosen = next(offer for offer in told if offer.schema_id == choice.schema_id)
    assert chosen.priority == min(fit)
    assert chosen.namespace == choice.protocol.namespace
