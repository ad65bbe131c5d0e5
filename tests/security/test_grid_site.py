"""A hostile site: whatever is said to member or coordinator, bounds and books hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.grid import build
from chargerd.grid.site_coordinator import Coordinator
from chargerd.grid.site_door import FOR_EVER_S, SiteDoor
from chargerd.grid.site_words import Ask
from tests.grid_site import rules
from tests.unit.grid.stand import Told, config, ports

SITE = {
    "tls": False,
    "members": ["CS1", "CS2", "CS3"],
    "coordinators": ["CS1", "CS2"],
    "safe_w": 1400,
    "charge_w": 10_000,
    "discharge_w": 3_000,
}
NAMES = st.sampled_from(["CS1", "CS2", "CS9", "", "+"])
TEXTS = st.sampled_from(["CS1", "CS2", "b1", "", "x" * 65])
NUMBERS = st.one_of(
    st.integers(-1, 9),
    st.floats(),
    st.sampled_from([True, None, "1", 1e400, 2**70, 10_000, 20.0]),
)
BODIES = st.one_of(
    st.binary(max_size=60),
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(["member", "boot", "coordinator", "epoch", "rules"], TEXTS),
            **dict.fromkeys(
                [
                    *("number", "held", "stamp_mono", "charge_w", "must_w"),
                    *("least_w", "discharge_w", "energy_wh", "power_w", "lease_s"),
                ],
                NUMBERS,
            ),
        },
    ).map(lambda values: json.dumps(values).encode()),
)


def whole(kind: str, values: dict[str, Any]) -> bytes:
    """Only the fields of that message."""
    fields = {
        "beacon": ("coordinator", "epoch", "stamp_mono", "rules"),
        "lease": (
            *("member", "boot", "number", "coordinator", "epoch"),
            *("charge_w", "discharge_w", "lease_s"),
        ),
    }[kind]
    return json.dumps({name: values[name] for name in fields}).encode()


FORGED = st.fixed_dictionaries(
    {
        "member": st.just("CS1"),
        "coordinator": st.sampled_from(["CS2", "CS2", "CS2", "CS1"]),
        "epoch": st.sampled_from(["e1", "e1", "e1", "e2"]),
        "newest": st.booleans(),
        "number": st.integers(0, 20),
        "charge_w": st.floats(0, 1e6),
        "discharge_w": st.floats(0, 1e6),
        "lease_s": st.sampled_from([20.0, 20.0, 6.0, 0.0, 1e3]),
    }
)


@settings(max_examples=150, deadline=None)
@given(
    messages=st.lists(
        st.tuples(
            st.floats(1.0, 5.0),
            st.one_of(
                st.tuples(
                    st.sampled_from(["coordinator", "member"]),
                    NAMES,
                    st.sampled_from(["beacon", "ask", "lease", "x"]),
                    BODIES,
                ),
                FORGED,
            ),
        ),
        min_size=5,
        max_size=25,
    )
)
def test_a_member_s_heart_is_told_only_bounded_limits_that_end(
    messages: list[Any],
) -> None:
    """Even by one who writes to every topic and knows our boot."""
    told = Told()
    door = build.build(config(site=SITE), ports(told)[0])[0]
    assert isinstance(door, SiteDoor)
    assert door._member is not None
    digest = door._member._digest
    for wait_s, message in messages:
        told.mono += wait_s
        if isinstance(message, dict):
            sender, boot = message["coordinator"], door._member._boot
            beacon = whole(
                "beacon", {**message, "stamp_mono": told.mono, "rules": digest}
            )
            door._receive(f"site/coordinator/{sender}/beacon", beacon, False)
            door._speak()
            number = door._member._number if message["newest"] else message["number"]
            lease = whole("lease", {**message, "boot": boot, "number": number})
            door._receive("site/member/CS1/lease", lease, False)
        else:
            kind, name, leaf, body = message
            door._receive(f"site/{kind}/{name}/{leaf}", body, False)
    for signal in told.signals:
        received, (first, *rest) = signal.received_mono, signal.segments
        assert signal.valid_until_mono == received + FOR_EVER_S
        assert 0.0 <= (first.limit_w or 0.0) <= 10_000.0
        assert -3_000.0 <= (first.discharge_limit_w or 0.0) <= 0.0
        last = rest[-1] if rest else first
        assert (last.limit_w, last.discharge_limit_w) == (1400.0, 0.0)
        assert last.start_mono <= received + 20.0


ASKS = st.builds(
    Ask,
    member=st.sampled_from(["m0", "m1", "m2", "m9"]),
    boot=st.sampled_from(["b1", "b2"]),
    number=st.integers(0, 30),
    coordinator=st.sampled_from(["c0", "c0", "c0", "c1", ""]),
    epoch=st.sampled_from(["e1", "e1", "e1", "e0"]),
    stamp_mono=st.floats(0, 40),
    held=st.integers(0, 30),
    rules=st.sampled_from([rules(3).digest] * 9 + ["x"]),
    charge_w=st.floats(0, 1e9),
    must_w=st.floats(0, 1e9),
    least_w=st.floats(0, 1e9),
    discharge_w=st.floats(0, 1e9),
    energy_wh=st.floats(0, 1e9),
    power_w=st.floats(-1e9, 1e9),
)


@settings(max_examples=150, deadline=None)
@given(
    asks=st.lists(
        st.tuples(st.floats(0, 4), ASKS, st.booleans()), min_size=5, max_size=40
    )
)
def test_a_coordinator_s_books_never_exceed_the_site(
    asks: list[tuple[float, Ask, bool]],
) -> None:
    shared = rules(3)
    lead = Coordinator(shared, "c0", "e1", 0.0)
    mono = 40.0
    for index, (wait_s, ask, newest) in enumerate(asks):
        mono += wait_s
        lease = lead.receive(replace(ask, number=index) if newest else ask, mono)
        status = lead.status(mono)
        assert status["given_charge_w"] <= shared.charge_w + 1e-6
        assert status["given_discharge_w"] <= shared.discharge_w + 1e-6
        if lease is not None:
            assert lease.member != "m9"
            assert 0.0 <= lease.charge_w <= shared.charge_w
