"""SLAC against a hostile wire: any bytes, any order of good frames.

Laws: nothing raises; runs and queues stay few; the key goes only to a vehicle that was
measured and confirmed it, in answer to its own request.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.vehicle.slac import mme
from chargerd.vehicle.slac.matching import Leave, Matching, Settings, State
from hil.slac import frames
from tests.fuzz import targets

OWN = bytes.fromhex("020000000001")
MODEM = bytes.fromhex("020000000081")
MACS = [bytes((2, 0, 0, 0, 1, n)) for n in range(3)] + [OWN, MODEM, frames.ALL]
RUNS = [bytes(8), b"abcdefgh", b"zyxwvuts"]
KEY = bytes(range(16))


def ready() -> Matching:
    """A station with modem, key and plugged vehicle."""
    matching = Matching(OWN, Settings(), lambda size: KEY, 0.0)
    body = frames.version_cnf("QCA")
    matching.receive(frames.pack(OWN, MODEM, frames.VERSION_CNF, body), 0.1)
    matching.on_timer(0.1)
    matching.receive(frames.pack(OWN, MODEM, frames.KEY_CNF, frames.key_cnf(1)), 0.2)
    matching.pilot("B", 0.2)
    matching.to_send()
    return matching


macs, runs = st.sampled_from(MACS), st.sampled_from(RUNS)
bodies = st.one_of(
    st.tuples(st.just(frames.PARM_REQ), st.builds(frames.parm_req, runs)),
    st.tuples(st.just(frames.START_IND), st.builds(frames.start_ind, runs, macs)),
    st.tuples(
        st.just(frames.PROFILE_IND),
        st.builds(frames.profile_ind, macs, st.just(bytes(58))),
    ),
    st.tuples(
        st.just(frames.CHAR_RSP),
        st.builds(frames.char_rsp, runs, macs, st.sampled_from([0, 1])),
    ),
    st.tuples(st.just(frames.MATCH_REQ), st.builds(frames.match_req, runs, macs, macs)),
    st.tuples(st.just(frames.VALIDATE_REQ), st.just(b"\0\0\1")),
    st.tuples(st.just(frames.KEY_CNF), st.builds(frames.key_cnf, st.integers(0, 255))),
    st.tuples(st.just(frames.LINK_CNF), st.builds(frames.link_cnf, st.booleans())),
    st.tuples(st.just(frames.VERSION_CNF), st.builds(frames.version_cnf, st.text("x"))),
)
good = st.builds(lambda to, by, what: frames.pack(to, by, *what), macs, macs, bodies)
broken = st.builds(
    lambda raw, cut, at, flip: (
        raw[:at] + bytes((raw[at] ^ flip,)) + raw[at + 1 : cut]
        if at < len(raw)
        else raw[:cut]
    ),
    good,
    st.integers(0, 80),
    st.integers(0, 80),
    st.integers(1, 255),
)
moves = st.one_of(
    st.tuples(st.just("frame"), good),
    st.tuples(st.just("frame"), broken),
    st.tuples(st.just("frame"), st.binary(max_size=1600)),
    st.tuples(st.just("pilot"), st.sampled_from("ABCDEF?")),
    st.tuples(st.just("leave"), st.sampled_from(Leave)),
    st.tuples(st.just("wait"), st.floats(0.0, 15.0)),
)


@settings(max_examples=200)
@given(st.lists(moves, max_size=60))
def test_any_story_keeps_the_laws(story: list[tuple[str, object]]) -> None:
    matching, now = ready(), 0.2
    sounded: set[tuple[bytes, bytes]] = set()  # reported to, by MAC and run
    for verb, what in story:
        if verb == "frame":
            frame = what if isinstance(what, bytes) else b""
            matching.receive(frame, now)
        elif verb == "pilot":
            matching.pilot(str(what), now)
        elif verb == "leave" and isinstance(what, Leave):
            matching.leave(what, now)
        elif isinstance(what, float):
            now += what
            matching.on_timer(now)
        sent = matching.to_send()
        assert len(sent) <= 32
        assert len(matching._runs) <= 128
        assert len(matching.dropped) < 20
        for raw in sent:
            frame_out = frames.unpack(raw)
            assert frame_out is not None
            assert 60 <= len(raw) <= mme.MAX_FRAME
            if frame_out.kind == frames.CHAR_IND:
                sounded.add((frame_out.to, frames.char_ind(frame_out.data)[0]))
            if frame_out.kind == frames.MATCH_CNF:
                run, mac, station, _, nmk = frames.match_cnf(frame_out.data)
                assert (mac, run) in sounded
                assert (frame_out.to, station, nmk) == (mac, OWN, KEY)
        due = matching.next_timer()
        assert due is None or due > now - 1e-9 or verb != "wait"


@given(st.binary(max_size=1600))
def test_any_bytes_are_an_mme_or_nothing(raw: bytes) -> None:
    message = mme.parse(raw)
    if message is not None:
        again = mme.parse(mme.build(message))
        assert again is not None
        assert again.body.startswith(message.body)


@given(st.lists(st.tuples(macs, runs), min_size=50, max_size=300))
def test_a_flood_of_requests_costs_a_few_runs(asked: list[tuple[bytes, bytes]]) -> None:
    matching = ready()
    for number, (by, run) in enumerate(asked):
        by = bytes((2, 1)) + number.to_bytes(4, "big") if by[5] == 0 else by
        matching.receive(
            frames.pack(frames.ALL, by, frames.PARM_REQ, frames.parm_req(run)), 1.0
        )
    assert len(matching._runs) <= 128
    matching.on_timer(1.4)
    assert not matching._runs


def test_the_fuzzer_begins_with_a_whole_match() -> None:
    """Else it would only ever scratch the surface."""
    station, now = Matching(targets.SLAC_OWN, Settings(), bytes, 0.0), 0.0
    station.pilot("B", now)
    for frame in targets._match():
        station.receive(frame, now)
        now += 0.05
        station.on_timer(now)
    assert station.status().state is State.MATCHED
