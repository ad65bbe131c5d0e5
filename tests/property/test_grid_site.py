"""Never over the fuse: any loss, delay, repeat, partition, restart, second leader."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.grid.site_share import Want, shares
from tests.grid_site import WISH, Site, rules

CALM_S = 90.0
OVER_W = 1e-6


def trouble(site: Site, chance: random.Random) -> None:
    """One thing goes wrong, or gets better."""
    net = site.net
    names = [f"m:{m}" for m in site.rules.members]
    leaders = [f"c:{c}" for c in site.rules.coordinators]
    match chance.randrange(8):
        case 0:
            net.loss = chance.choice([0.0, 0.1, 0.5, 0.9])
        case 1:
            net.late, net.late_s = chance.choice([(0.0, 0.0), (0.3, 8.0), (0.5, 60.0)])
        case 2:
            net.twice = chance.choice([0.0, 0.5])
        case 3:
            net.islands = {n: chance.randrange(2) for n in [*names, *leaders]}
        case 4:
            net.islands = {}
        case 5:
            name = chance.choice(site.rules.members)
            site.restart_charger(name, away_s=chance.choice([0.0, 1.0, 30.0]))
        case 6:
            name = chance.choice(site.rules.coordinators)
            site.restart_leader(name, away_s=chance.choice([0.0, 1.0, 30.0]))
        case 7:
            net.broker_up = not net.broker_up


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    members=st.integers(1, 5),
    coordinators=st.integers(1, 3),
)
def test_never_over_the_fuse(seed: int, members: int, coordinators: int) -> None:
    site = Site(rules(members, coordinators), seed, WISH)
    chance = random.Random(seed + 1)
    until = 0.0
    for _ in range(30):
        until += chance.expovariate(1 / 8.0)
        site.run(until)
        trouble(site, chance)
    assert site.over_w <= OVER_W
    # And it comes back: all is well again, everybody has a share of all there is.
    site.net.loss = site.net.late = site.net.twice = 0.0
    site.net.islands, site.net.broker_up = {}, True
    site.run(until + 60.0 + CALM_S)
    assert site.over_w <= OVER_W
    wished_w = min(members * WISH.charge_w, site.rules.charge_w)
    assert site.held_w() > 0.99 * wished_w
    wished_w = min(members * WISH.discharge_w, site.rules.discharge_w)
    assert site.held_out_w() > 0.99 * wished_w


def test_two_hundred_chargers() -> None:
    """On a bad network, and when the broker is gone for a while."""
    site = Site(rules(200), 3, WISH, judge_s=0.2)
    site.net.loss, site.net.late, site.net.late_s = 0.2, 0.2, 5.0
    site.run(45.0)
    assert site.held_w() > 0.95 * site.rules.charge_w
    site.net.broker_up = False
    site.run(66.0)
    assert site.held_w() == 200 * site.rules.safe_w
    assert site.held_out_w() == 0.0
    assert site.over_w <= OVER_W


@settings(max_examples=200, deadline=None)
@given(
    free=st.floats(-1e5, 1e6),
    wants=st.dictionaries(
        st.text("abcdef", min_size=1, max_size=3),
        st.builds(
            Want,
            most=st.floats(0, 1e5),
            must=st.floats(0, 1e5),
            least=st.floats(0, 1e4),
            energy_wh=st.floats(0, 1e5),
            served=st.booleans(),
        ),
        max_size=12,
    ),
)
def test_no_more_is_shared_than_there_is(free: float, wants: dict[str, Want]) -> None:
    given_ = shares(free, wants)
    assert given_.keys() == wants.keys()
    assert sum(given_.values()) <= max(0.0, free) + 1e-6
    for name, share in given_.items():
        want = wants[name]
        assert -1e-9 <= share <= want.most + 1e-6
        assert share == 0.0 or share >= min(want.least, want.most) - 1e-6
