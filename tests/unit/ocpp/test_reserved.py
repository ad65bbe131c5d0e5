"""Which EVSEs must stay free: against all ways to seat everybody."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from chargerd.ocpp.blocks.reserved import Reservation, kept_free, served

TYPES = st.sampled_from(["cCCS2", "cG105", "sType2"])
EVSES = st.dictionaries(
    st.integers(1, 5), st.lists(TYPES, min_size=1, max_size=2), max_size=4
)
RESERVATIONS = st.lists(
    st.builds(
        Reservation,
        st.integers(1, 99),
        st.just("2026-11-23T09:00:00Z"),
        st.just("t"),
        st.just(""),
        st.one_of(st.none(), st.integers(1, 5)),
        st.one_of(st.just(""), TYPES),
    ),
    max_size=4,
)


def slow(reservations: list[Reservation], evses: dict[int, list[str]]) -> int:
    """Everybody in every order, each at an EVSE or at none."""
    seats = [*evses, *([None] * len(reservations))]
    return max(
        sum(
            evse_id is not None and one.fits(evse_id, evses[evse_id])
            for one, evse_id in zip(reservations, order, strict=False)
        )
        for order in permutations(seats, len(reservations))
    )


@given(RESERVATIONS, EVSES)
def test_as_many_as_possible_are_served(
    reservations: list[Reservation], evses: dict[int, list[str]]
) -> None:
    assert served(reservations, evses) == slow(reservations, evses)


@given(RESERVATIONS, EVSES)
def test_an_evse_is_kept_free_when_somebody_would_lose_by_it(
    reservations: list[Reservation], evses: dict[int, list[str]]
) -> None:
    kept = kept_free(reservations, evses)
    most = slow(reservations, evses)
    for evse_id in evses:
        others = {n: types for n, types in evses.items() if n != evse_id}
        assert (evse_id in kept) is (slow(reservations, others) < most)
