"""Flash wear: what a queued event may cost, appended, kept and removed durably."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.store import measure


@pytest.mark.asyncio
async def test_a_queued_event_writes_at_most_10_kb(tmp_path: Path) -> None:
    found = await measure(tmp_path, 200)
    if found.online is None or found.backlog is None:
        pytest.skip("this file system does not count written bytes (tmpfs)")
    assert 3100 < found.event_bytes < 3500
    assert found.online <= 10_240
    assert found.backlog <= 12_500
