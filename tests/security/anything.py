"""Any JSON, for what is given to doors: hypothesis strategies. Owns no test."""

from __future__ import annotations

from hypothesis import strategies as st

ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
