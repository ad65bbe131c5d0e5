"""Migrations: shipped versions open, a newer one is set aside, a step is whole."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from chargerd.store import Store, schema

OLD = sorted(Path(__file__).parent.glob("written_by_schema_*.sql"))


def test_numbers_have_no_gap() -> None:
    numbers = [number for number, _ in schema.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(OLD) == len(numbers)  # a file of each version is kept as a witness


@pytest.mark.asyncio
@pytest.mark.parametrize("dump", OLD, ids=lambda p: p.stem)
async def test_a_file_of_each_shipped_version_opens(dump: Path, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    _restore(dump, path)

    store = await Store.open(path)
    entries = await store.outbox.batch(0, 10)
    assert [(e.id, e.kind, e.body) for e in entries] == [
        (3, "TransactionEvent", b'{"seqNo":1}')
    ]
    assert await store.kv.load() == {"device_model": {"OCPPCommCtrlr.A": "5"}}
    assert await store.sessions.last(5) == [{"id": "s1"}]
    assert await store.outbox.append("k", b"", thinnable=False) > 256
    assert store.fault == ""
    await store.close()


def _restore(dump: Path, path: Path) -> None:
    old = sqlite3.connect(path)
    old.executescript(dump.read_text(encoding="utf-8"))
    old.close()


@pytest.mark.asyncio
async def test_a_file_of_a_newer_version_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await Store.open(path)
    await store.close()
    newer = sqlite3.connect(path)
    newer.execute("INSERT INTO migration VALUES (999, '')")
    newer.commit()
    newer.close()

    store = await Store.open(path)
    assert "schema 999 is newer" in store.fault
    assert (tmp_path / "state.db.unusable").exists()
    assert await store.outbox.count() == 0
    await store.close()


def test_a_failing_step_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = [
        (1, "CREATE TABLE a (x); INSERT INTO a VALUES (1);"),
        (2, "CREATE TABLE b (x); INSERT INTO nowhere VALUES (1);"),
    ]
    monkeypatch.setattr(schema, "migrations", lambda: steps)
    db = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        schema.migrate(db)
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
    assert tables == {"migration", "a"}
    assert schema.version(db) == 1

    steps[1] = (2, "CREATE TABLE b (x);")
    assert schema.migrate(db) == 1
    assert schema.migrate(db) == 0
    db.close()
