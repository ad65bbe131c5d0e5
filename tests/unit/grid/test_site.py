"""A shared connection: who gives, who follows, what holds when somebody is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chargerd.grid.errors import GridError
from chargerd.grid.site_coordinator import Coordinator
from chargerd.grid.site_member import Member, Wish
from chargerd.grid.site_share import Want, shares
from chargerd.grid.site_words import MAX_BYTES, Ask, Beacon, Lease, read, write
from tests.grid_site import WISH, Site, rules

IDLE = Wish()
ONE, TWO = rules(4), rules(4, 2)  # four members, one or two coordinators
DUO = rules(1, 2)
BEACON = Beacon("c0", "e1", 5.0, ONE.digest)
ASK = Ask("m0", "b1", 3, "c0", "e1", 5.0, 2, ONE.digest, 11_000.0)
LEASE = Lease("m0", "b1", 3, "c0", "e1", 4000.0, 0.0, 20.0)


@pytest.mark.parametrize("message", [BEACON, ASK, LEASE])
def test_words_go_and_come_back(message: Beacon | Ask | Lease) -> None:
    assert read(type(message), write(message)) == message


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (b"", "not JSON"),
        (b"[" * 1500, "not JSON"),
        (b"x" * (MAX_BYTES + 1), "over"),
        (b"[]", "must have"),
        (b'{"coordinator":"a","epoch":"b"}', "must have"),
        (
            b'{"coordinator":"a","epoch":"b","stamp_mono":1,"rules":"","x":1}',
            "must have",
        ),
        (b'{"coordinator":1,"epoch":"b","stamp_mono":1,"rules":""}', "text"),
        (b'{"coordinator":"%065d","epoch":"b","stamp_mono":1,"rules":""}' % 1, "text"),
        (b'{"coordinator":"a","epoch":"b","stamp_mono":NaN,"rules":""}', "beyond"),
        (b'{"coordinator":"a","epoch":"b","stamp_mono":1e400,"rules":""}', "beyond"),
        (b'{"coordinator":"a","epoch":"b","stamp_mono":true,"rules":""}', "number"),
    ],
)
def test_words_that_are_none(payload: bytes, word: str) -> None:
    with pytest.raises(GridError, match=word):
        read(Beacon, payload)


@pytest.mark.parametrize(
    ("key", "value"),
    [("number", -1), ("number", 1.5), ("charge_w", -1.0), ("lease_s", -1.0)],
)
def test_a_lease_that_is_none(key: str, value: float) -> None:
    good = write(LEASE).decode()
    old = f'"{key}":{getattr(LEASE, key)}'
    assert old in good
    with pytest.raises(GridError, match=key):
        read(Lease, good.replace(old, f'"{key}":{value}').encode())


# -- one member ------------------------------------------------------------------


def follower() -> Member:
    """Follows c0 and has sent ask 1 at 100."""
    member = Member(ONE, "m0", "b1", 0.0)
    member.hear(replace(BEACON, stamp_mono=7.0), 99.0)
    assert member.ask(WISH, 100.0).coordinator == "c0"
    return member


OURS = replace(LEASE, number=1)


def test_a_lease_counts_from_the_ask_and_ends_before_its_giver_thinks() -> None:
    member = follower()
    assert member.grant(100.0).charge_w == 1400.0  # safe_w
    assert member.take(OURS, 108.0)  # came late
    held = member.grant(108.0)
    assert (held.charge_w, held.until_mono) == (4000.0, 115.0)  # 100 + 20 - 5 to fall
    assert member.grant(115.0).charge_w == 1400.0


@pytest.mark.parametrize(
    ("change", "at_mono", "reason"),
    [
        ({"member": "m1"}, 101.0, "not ours"),
        ({"boot": "b0"}, 101.0, "not ours"),
        ({"coordinator": "c1"}, 101.0, "not followed"),
        ({"epoch": "e0"}, 101.0, "not followed"),
        ({"lease_s": 3600.0}, 101.0, "too long"),
        ({"charge_w": 16_001.0}, 101.0, "too much"),  # more than the site has
        ({"discharge_w": 8_001.0}, 101.0, "too much"),
        ({"number": 2}, 101.0, "late"),  # never asked
        ({}, 115.0, "late"),
        ({}, 119.0, "not followed"),  # its word has run out
    ],
)
def test_a_lease_that_is_not_taken(
    change: dict[str, object], at_mono: float, reason: str
) -> None:
    member = follower()
    assert not member.take(replace(OURS, **change), at_mono)  # type: ignore[arg-type]
    assert member.refused == {reason: 1}
    assert member.grant(at_mono).charge_w == 1400.0


def test_a_repeated_lease_does_nothing() -> None:
    member = follower()
    assert member.take(OURS, 101.0)
    assert not member.take(replace(OURS, charge_w=9000.0), 102.0)
    assert member.grant(102.0).charge_w == 4000.0


def test_what_is_held_is_told_when_power_has_followed() -> None:
    member = follower()
    member.take(OURS, 101.0)
    assert member.ask(WISH, 105.9).held == 0
    assert member.ask(WISH, 106.0).held == 1


def test_a_stranger_and_an_old_run_are_not_followed() -> None:
    member = Member(ONE, "m0", "b1", 0.0)
    member.hear(Beacon("evil", "e1", 1.0, ONE.digest), 1.0)
    member.hear(Beacon("c0", "e1", 1.0, "x"), 1.0)
    member.hear(Beacon("c0", "e1", 9.0, ONE.digest), 2.0)
    member.hear(Beacon("c0", "e1", 8.0, ONE.digest), 3.0)  # overtaken on its way
    member.hear(Beacon("c0", "e2", 1.0, ONE.digest), 4.0)
    assert member.ask(WISH, 5.0).epoch == "e1"
    assert member.refused == {
        "stranger": 1,
        "other rules": 1,
        "late beacon": 1,
        "old epoch": 1,
    }
    member.hear(Beacon("c0", "e2", 20.0, ONE.digest), 22.0)  # 20 s silent
    assert member.ask(WISH, 23.0).epoch == "e2"


def test_its_word_binds_until_a_lease_time_after_the_last_beacon() -> None:
    member = Member(TWO, "m0", "b1", 0.0)
    member.hear(Beacon("c1", "e1", 1.0, TWO.digest), 10.0)
    assert member.ask(WISH, 11.0).coordinator == ""  # the run before may be bound
    member.hear(Beacon("c1", "e1", 2.0, TWO.digest), 20.0)
    assert member.ask(WISH, 20.5).coordinator == "c1"
    member.hear(Beacon("c0", "e7", 1.0, TWO.digest), 21.0)  # the better one is here
    member.hear(Beacon("c1", "e1", 3.0, TWO.digest), 22.0)
    bound = member.ask(WISH, 39.0)
    assert (bound.coordinator, bound.stamp_mono) == ("c1", 2.0)  # not renewed
    assert member.ask(WISH, 40.0).coordinator == "c0"


# -- one coordinator -------------------------------------------------------------


def test_nothing_is_given_until_an_older_run_s_leases_are_over() -> None:
    lead = Coordinator(ONE, "c0", "e1", 0.0)
    assert lead.receive(replace(ASK, number=1, held=0), 20.1) is None
    lease = lead.receive(replace(ASK, number=2, held=0), 20.2)
    assert lease is not None
    assert lease.charge_w == 11_000.0  # the only one that wishes


def test_who_is_not_on_the_list_gets_nothing() -> None:
    lead = Coordinator(ONE, "c0", "e1", 0.0)
    assert lead.receive(replace(ASK, member="m9"), 50.0) is None
    assert lead.receive(replace(ASK, epoch="e0"), 50.0) is None
    assert lead.receive(ASK, 50.0) is None  # a repeat of that number
    assert lead.receive(replace(ASK, number=9, stamp_mono=51.0), 50.0) is None
    assert lead.refused == {"stranger": 1, "repeated": 1, "forged": 1}


@pytest.mark.parametrize(
    ("beacon", "gives"),
    [
        (Beacon("c0", "e1", 0.0, DUO.digest), True),  # our own
        (Beacon("c1", "e9", 0.0, DUO.digest), True),  # the other one on the list
        (Beacon("c0", "e2", 0.0, DUO.digest), False),  # somebody else of our name
        (Beacon("c9", "e1", 0.0, DUO.digest), False),
        (Beacon("c1", "e9", 0.0, ONE.digest), False),  # other rules
    ],
)
def test_a_rival_with_other_rules_stops_the_giving(beacon: Beacon, gives: bool) -> None:
    lead = Coordinator(DUO, "c0", "e1", 0.0)
    ask = replace(ASK, held=0, stamp_mono=49.0, rules=DUO.digest)
    lead.receive(replace(ask, number=1), 50.0)
    assert lead.receive(replace(ask, number=2, stamp_mono=60.0), 60.0) is None
    lead.hear(beacon, 70.0)
    lease = lead.receive(replace(ask, number=3, stamp_mono=71.0), 71.0)
    assert (lease is not None) is gives


def test_a_member_with_other_rules_stops_the_giving() -> None:
    """Its safe limit may be higher than ours."""
    lead = Coordinator(ONE, "c0", "e1", 0.0)
    assert lead.receive(replace(ASK, number=1, held=0), 30.0) is not None
    assert lead.receive(replace(ASK, member="m1", rules="x"), 31.0) is None
    assert lead.receive(replace(ASK, number=2, held=0), 51.1) is None
    assert lead.receive(replace(ASK, number=3, held=0), 51.3) is not None
    assert lead.refused == {"other rules": 1}


def test_less_for_all_while_the_house_takes_more() -> None:
    lead = Coordinator(ONE, "c0", "e1", 0.0)  # 16 kW
    lead.limit(9000.0, 0.0)
    lease = lead.receive(replace(ASK, held=0, discharge_w=5000.0), 30.0)
    assert lease is not None
    assert (lease.charge_w, lease.discharge_w) == (9000.0 - 3 * 1400.0, 0.0)


def test_what_one_still_may_feed_is_nobody_else_s() -> None:
    """8 kW may go into the grid; m0 had all of it, alone."""
    lead = Coordinator(ONE, "c0", "e1", 0.0)
    for member in ("m1", "m2"):
        ask = replace(ASK, member=member, number=1, held=0, stamp_mono=25.0)
        lead.receive(ask, 30.0)
    wants = {"held": 0, "stamp_mono": 30.0, "discharge_w": 9000.0}
    first = lead.receive(replace(ASK, **wants), 40.0)  # type: ignore[arg-type]
    assert first is not None
    assert first.discharge_w == 8000.0
    other = replace(ASK, member="m1", number=2, **wants)  # type: ignore[arg-type]
    second = lead.receive(other, 45.0)
    assert second is not None
    assert second.discharge_w == 0.0
    less = replace(ASK, number=4, **(wants | {"held": 3}))  # type: ignore[arg-type]
    again = lead.receive(less, 46.0)
    assert again is not None
    assert again.discharge_w == 4000.0  # half: it holds 8 kW until it says otherwise
    told = lead.status(46.0)
    assert told["given_discharge_w"] == 8000.0


@pytest.mark.parametrize(
    ("free", "wants", "expected"),
    [
        (9.0, {"a": Want(2), "b": Want(9), "c": Want(9)}, {"a": 2, "b": 3.5, "c": 3.5}),
        (9.0, {"a": Want(9, must=8), "b": Want(9)}, {"a": 8.5, "b": 0.5}),
        (5.0, {"a": Want(9, least=3), "b": Want(9, least=3)}, {"a": 5, "b": 0}),
        (
            5.0,  # the other one had less
            {"a": Want(9, least=3, energy_wh=5e3), "b": Want(9, least=3)},
            {"a": 0, "b": 5},
        ),
        (
            5.0,  # but a promise comes first
            {"a": Want(9, must=1, least=3, energy_wh=5e3), "b": Want(9, least=3)},
            {"a": 5, "b": 0},
        ),
        (-3.0, {"a": Want(9)}, {"a": 0}),
    ],
)
def test_shares(
    free: float, wants: dict[str, Want], expected: dict[str, float]
) -> None:
    assert shares(free, wants) == pytest.approx(expected)


# -- a whole site ----------------------------------------------------------------


def settled(members: int = 5, coordinators: int = 1) -> Site:
    """All is well: everybody has its share."""
    site = Site(rules(members, coordinators), 7, WISH)
    site.run(120.0)
    assert site.held_w() == pytest.approx(members * 4000.0)
    return site


def test_a_dead_broker_leaves_the_safe_limit() -> None:
    site = settled()
    site.net.broker_up = False
    site.run(141.0)
    assert site.held_w() == 5 * 1400.0
    site.net.broker_up = True
    site.run(200.0)
    assert site.held_w() == pytest.approx(20_000.0)
    assert site.over_w <= 1e-6


def test_a_dead_coordinator_is_followed_by_the_next() -> None:
    site = settled(coordinators=2)
    site.leaders["c0"].alive = False
    site.run(141.0)
    assert site.held_w() == 5 * 1400.0
    site.run(200.0)
    assert {c.core.coordinator for c in site.chargers.values()} == {"c1"}
    assert site.held_w() == pytest.approx(20_000.0)
    assert site.over_w <= 1e-6


def test_two_leaders_in_two_halves_never_both_give() -> None:
    site = settled(coordinators=2)
    site.net.islands = {"c:c1": 1, "m:m2": 1, "m:m3": 1, "m:m4": 1}
    site.run(200.0)
    held = {
        name: c.core.grant(c.offset_s + site.now * c.rate).charge_w
        for name, c in site.chargers.items()
    }
    assert held["m0"] == held["m1"] == 1400.0  # two of five: nobody gives to them
    assert sum(held.values()) == pytest.approx(20_000.0)
    assert site.over_w <= 1e-6
    site.net.islands = {}
    site.run(300.0)
    assert {c.core.coordinator for c in site.chargers.values()} == {"c0"}
    assert site.held_w() == pytest.approx(20_000.0)
    assert site.over_w <= 1e-6


def test_power_moves_from_one_to_the_other_only_when_it_has_fallen() -> None:
    site = settled(2)
    site.wishes["m1"] = IDLE
    site.run(160.0)
    for turn in range(6):
        site.wishes["m0"], site.wishes["m1"] = (
            (WISH, IDLE) if turn % 2 else (IDLE, WISH)
        )
        site.run(160.0 + 20.0 * (turn + 1))
    assert site.over_w <= 1e-6
    assert site.held_w() == pytest.approx(8000.0)
