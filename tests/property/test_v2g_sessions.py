"""Any well-formed message at any point of any session: an answer, or the end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.sessions import conversation


@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_random_messages_at_any_point(seed: int) -> None:
    """No exception but ours, answers that can be sent, currents inside the ratings."""
    conversation(seed)
