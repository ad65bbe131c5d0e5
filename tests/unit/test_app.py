"""The composition root alone: nothing of it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from chargerd.app import App, Outcome
from chargerd.config_load import load
from chargerd.model import ResetRequest
from chargerd.store.store import Store

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "chargerd.toml"


@pytest.mark.asyncio
@pytest.mark.parametrize("signal_first", [True, False])
async def test_a_signal_that_meets_a_reset_counts(
    tmp_path: Path, signal_first: bool
) -> None:
    """`systemctl stop` while an immediate reset ramps down: nothing starts over."""
    store = await Store.open(tmp_path / "state.db")
    try:
        app = App(load(SHIPPED, {}), store, {})
        steps = [app._terminate, lambda: app._reset(ResetRequest(0, immediate=True))]
        for step in steps if signal_first else steps[::-1]:
            step()
        assert app._outcome is Outcome.STOPPED
    finally:
        await store.close()
