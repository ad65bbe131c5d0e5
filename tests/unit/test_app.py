"""The composition root alone: nothing of it runs."""

from __future__ import annotations

import asyncio
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


@pytest.mark.asyncio
async def test_a_clock_that_the_machine_has_set_is_trusted_without_a_central_system(
    tmp_path: Path,
) -> None:
    mark = tmp_path / "synchronized"
    config = load(SHIPPED, {"CHARGERD__STATION__CLOCK_SET_FILE": str(mark)})
    store = await Store.open(tmp_path / "state.db")
    try:
        app = App(config, store, {})
        for there in (False, True):
            if there:
                mark.touch()
            watching = asyncio.create_task(app._watch_partners())
            await asyncio.sleep(0)
            watching.cancel()
            assert app._clock.now().trusted is there
    finally:
        await store.close()
