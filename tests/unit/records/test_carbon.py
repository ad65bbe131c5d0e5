"""CO2: nothing is won by flat time, by losses, or where no intensity is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.records.carbon import ONE_WAY, Carbon, of

Step = tuple[float, float, float, float | None]  # s, Wh in, Wh out, g/kWh


def summed(*steps: Step) -> Carbon:
    found = Carbon()
    for step in steps:
        found.add(*step)
    return found


@pytest.mark.parametrize(
    ("steps", "avoided_g"),
    [
        ([], None),
        ([(3600.0, 1000.0, 0.0, None)], None),
        ([(3600.0, 1000.0, 0.0, 400.0)], 0.0),  # flat: timing is worth nothing
        # 1 kWh taken at 200 while the mean was 400
        ([(3600.0, 1000.0, 0.0, 200.0), (3600.0, 0.0, 0.0, 600.0)], 200.0),
        ([(3600.0, 0.0, 0.0, 200.0), (3600.0, 1000.0, 0.0, 600.0)], -200.0),
        # as much out at 600 as fits to 1 kWh in at 200: nothing left for the driver
        (
            [(3600.0, 1000.0, 0.0, 200.0), (3600.0, 0.0, 1000.0 * ONE_WAY**2, 600.0)],
            600.0 * ONE_WAY**2 - 200.0,
        ),
        ([(3600.0, 500.0, 0.0, 300.0), (3600.0, 9000.0, 0.0, None)], 0.0),
    ],
)
def test_avoided(steps: list[Step], avoided_g: float | None) -> None:
    found = summed(*steps).avoided_g
    assert found == (None if avoided_g is None else pytest.approx(avoided_g))


_STEP = st.tuples(
    st.floats(1.0, 3600.0), st.floats(0.0, 1e4), st.floats(0.0, 1e4),
    st.one_of(st.none(), st.floats(0.0, 1000.0)),
)  # fmt: skip


@given(st.lists(_STEP, max_size=20), st.floats(0.0, 1000.0))
def test_at_one_intensity_out_and_in_again_never_wins(
    steps: list[Step], flat: float
) -> None:
    found = summed(*((s, a, b, flat) for s, a, b, _ in steps))
    if steps:
        assert found.avoided_g is not None
        assert found.avoided_g <= 1e-6 * (1.0 + abs(found.import_g))


@given(st.lists(_STEP, max_size=10), st.lists(_STEP, max_size=10))
def test_parts_join_to_the_whole_and_survive_the_record(
    first: list[Step], second: list[Step]
) -> None:
    joined, whole = of(summed(*first).told()), summed(*first, *second)
    joined.join(of(summed(*second).told()))
    assert joined.import_g == pytest.approx(whole.import_g, abs=0.2)
    assert joined.known_s == pytest.approx(whole.known_s, abs=0.2)
    if whole.mean_g_per_kwh is not None:
        assert joined.mean_g_per_kwh == pytest.approx(whole.mean_g_per_kwh, abs=0.5)


def test_a_record_without_it_is_nothing() -> None:
    assert of(None) == of({}) == Carbon()
