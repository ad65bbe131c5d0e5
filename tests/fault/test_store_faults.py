"""The store against its disk: damage, a full disk, a read-only one, a second owner."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from chargerd.store import Store, StoreError
from chargerd.store.database import PAGE_BYTES


async def _filled(path: Path, count: int = 40) -> None:
    store = await Store.open(path)
    for n in range(count):
        await store.outbox.append("k", b"body %d" % n * 40, thinnable=False)
    await store.close()


def _garbage(data: bytes) -> bytes:
    return b"\xffnot a database" * 200


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2 // PAGE_BYTES * PAGE_BYTES]


def _scribble(data: bytes) -> bytes:
    """All pages but the first overwritten."""
    noise = random.Random(3).randbytes(len(data) - PAGE_BYTES)
    return data[:PAGE_BYTES] + noise


@pytest.mark.asyncio
@pytest.mark.parametrize("damage", [_garbage, _half, _scribble])
async def test_a_damaged_file_is_set_aside_and_the_store_works(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "state.db"
    await _filled(path)
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)

    store = await Store.open(path)
    assert "kept as .unusable" in store.fault
    assert (tmp_path / "state.db.unusable").stat().st_size == len(damaged)
    number = await store.outbox.append("k", b"new", thinnable=False)
    assert [e.id for e in await store.outbox.batch(0, 9)] == [number]
    assert store.fault != ""  # a later good write does not hide that data was lost
    await store.close()

    store = await Store.open(path)
    assert store.fault == ""
    assert await store.outbox.count() == 1
    await store.close()


@pytest.mark.asyncio
async def test_a_file_cut_at_any_length_never_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await _filled(path)
    whole = path.read_bytes()
    chance = random.Random(7)
    for _ in range(15):
        path.write_bytes(whole[: chance.randrange(len(whole))])
        store = await Store.open(path)
        await store.outbox.append("k", b"alive", thinnable=False)
        bodies = [e.body for e in await store.outbox.batch(0, 99)]
        assert bodies[-1] == b"alive"
        assert store.fault or len(bodies) in (1, 41)
        await store.close()
        path.unlink()


@pytest.mark.asyncio
async def test_power_loss_leaves_a_state_that_was_true(tmp_path: Path) -> None:
    """The log torn at any byte: the messages found are the first k, none half."""
    store = await Store.open(tmp_path / "state.db")
    ids = [
        await store.outbox.append("k", b"%d" % n * 100, thinnable=False)
        for n in range(25)
    ]
    log = (tmp_path / "state.db-wal").read_bytes()
    main = (tmp_path / "state.db").read_bytes()
    await store.close()
    chance = random.Random(11)
    lengths = set()
    for number in range(20):
        torn = tmp_path / str(number)
        torn.mkdir()
        (torn / "state.db").write_bytes(main)
        (torn / "state.db-wal").write_bytes(log[: chance.randrange(len(log) + 1)])
        again = await Store.open(torn / "state.db")
        found = [entry.id for entry in await again.outbox.batch(0, 99)]
        assert found == ids[: len(found)]
        assert again.fault == ""
        assert await again.outbox.append("k", b"", thinnable=False) not in found
        lengths.add(len(found))
        await again.close()
    assert len(lengths) > 5


@pytest.mark.asyncio
async def test_a_full_disk_is_an_error_and_goes_away(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state.db")
    number = await store.outbox.append("k", b"kept", thinnable=False)
    database = store._database
    await database.run(
        lambda db: db.execute("PRAGMA max_page_count=20").fetchone() and None
    )
    noise = random.Random(1)

    async def fill() -> None:
        for _ in range(40):
            await store.outbox.append("k", noise.randbytes(400), thinnable=True)

    with pytest.raises(StoreError, match="full"):
        await fill()
    assert "full" in store.fault
    store.kv.put("profile", "1", {"kept": True})  # never raises for the disk's sake
    bodies = [e.body for e in await store.outbox.batch(0, 1)]
    assert bodies == [b"kept"]  # reading goes on

    await store.outbox.thin(1)
    assert (await store.outbox.batch(0, 9))[0].id == number
    await store.kv.flush()
    assert await store.kv.load() == {"profile": {"1": {"kept": True}}}
    assert store.fault == ""
    await store.close()


@pytest.mark.asyncio
async def test_a_disk_that_turns_read_only_is_an_error(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state.db")
    await store.outbox.append("k", b"kept", thinnable=False)
    database = store._database

    def read_only(on: bool) -> Callable[[sqlite3.Connection], None]:
        def job(db: sqlite3.Connection) -> None:
            db.execute(f"PRAGMA query_only={int(on)}")

        return job

    await database.run(read_only(True))
    with pytest.raises(StoreError, match="readonly"):
        await store.outbox.append("k", b"lost", thinnable=False)
    assert await store.outbox.count() == 1
    assert "readonly" in store.fault
    store.kv.put("a", "b", 1)
    with pytest.raises(StoreError, match="readonly"):
        await store.kv.flush()
    assert await store.outbox.count() == 1  # a waiting put does not stop reading
    await store.close()


@pytest.mark.asyncio
async def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    first = await Store.open(tmp_path / "state.db")
    with pytest.raises(StoreError, match="no other chargerd uses it"):
        await Store.open(tmp_path / "state.db")
    await first.outbox.append("k", b"still mine", thinnable=False)
    await first.close()


@pytest.mark.asyncio
async def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="folder is writable"):
        await Store.open(tmp_path / "file" / "state.db")


@pytest.mark.asyncio
async def test_a_rotten_row_does_not_block_those_behind_it(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state.db")
    bad = await store.outbox.append("k", b"one", thinnable=False)
    good = await store.outbox.append("k", b"two", thinnable=False)

    def rot(db: sqlite3.Connection) -> None:
        db.execute("UPDATE outbox SET message = x'0102' WHERE id = ?", (bad,))
        db.execute("INSERT INTO kv VALUES ('a', 'rotten', '{')")

    await store._database.run(rot)
    assert [e.id for e in await store.outbox.batch(0, 9)] == [good]
    assert f"message {bad} dropped" in store.fault
    assert await store.outbox.count() == 1
    assert await store.kv.load() == {}
    assert "kv a/rotten" in store.fault
    await store.close()


@pytest.mark.asyncio
async def test_a_bug_in_a_job_does_not_stop_the_thread(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state.db")

    def broken(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO kv VALUES ('a', 'b', '1')")
        raise KeyError("bug")

    with pytest.raises(StoreError, match="KeyError"):
        await store._database.run(broken)
    assert await store.kv.load() == {}  # undone
    await store.close()
