"""The three faces of the store: order, durability across reopening, thinning."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.store import Store, StoreError
from chargerd.store.outbox import MAX_BODY_BYTES, thinned
from chargerd.store.packing import PackingError, pack, unpack


@pytest.mark.asyncio
async def test_outbox_keeps_order_and_bodies_over_a_restart(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state.db")
    ids = [
        await store.outbox.append("TransactionEvent", b"%d" % n, thinnable=False)
        for n in range(5)
    ]
    assert ids == sorted(set(ids))
    await store.outbox.remove([ids[1]])
    await store.close()

    store = await Store.open(tmp_path / "state.db")
    entries = await store.outbox.batch(0, 10)
    assert [e.body for e in entries] == [b"0", b"2", b"3", b"4"]
    assert [e.id for e in await store.outbox.batch(ids[2], 1)] == [ids[3]]
    assert entries[0].kind == "TransactionEvent"
    assert await store.outbox.count() == 4
    await store.close()


@pytest.mark.asyncio
async def test_an_id_is_never_used_twice(tmp_path: Path) -> None:
    seen: list[int] = []
    for _ in range(3):
        store = await Store.open(tmp_path / "state.db")
        for _ in range(300):  # over one reservation of ids
            number = await store.outbox.append("k", b"", thinnable=False)
            seen.append(number)
            await store.outbox.remove([number])
        assert await store.outbox.count() == 0
        await store.close()
    assert seen == sorted(set(seen))


@pytest.mark.asyncio
async def test_appends_at_once_share_transactions_and_keep_their_order(
    tmp_path: Path,
) -> None:
    store = await Store.open(tmp_path / "state.db")
    ids = await asyncio.gather(
        *(store.outbox.append("k", b"%d" % n, thinnable=False) for n in range(50))
    )
    assert list(ids) == sorted(ids)
    assert [e.body for e in await store.outbox.batch(0, 100)] == [
        b"%d" % n for n in range(50)
    ]
    await store.close()


@pytest.mark.asyncio
async def test_an_endless_message_is_refused(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state.db")
    with pytest.raises(StoreError, match="1000001 bytes"):
        await store.outbox.append("k", b"x" * (MAX_BODY_BYTES + 1), thinnable=True)
    await store.close()


@pytest.mark.asyncio
@pytest.mark.req("E04.FR.08", "E11.FR.05", "E12.FR.05", "J02.FR.13")
async def test_thin_drops_every_second_thinnable_and_nothing_else(
    tmp_path: Path,
) -> None:
    store = await Store.open(tmp_path / "state.db")
    for n in range(10):
        await store.outbox.append("k", b"%d" % n, thinnable=n not in (0, 9))
    assert await store.outbox.thin(7) == 3
    bodies = [e.body for e in await store.outbox.batch(0, 99)]
    assert bodies == [b"0", b"2", b"4", b"6", b"7", b"8", b"9"]
    assert await store.outbox.thin(0) == 5
    assert [e.body for e in await store.outbox.batch(0, 99)] == [b"0", b"9"]
    assert await store.outbox.thin(2) == 0
    await store.close()


@given(st.lists(st.integers(1, 10**6), unique=True, max_size=60), st.integers(-5, 80))
@settings(max_examples=60)
def test_thinned_takes_what_must_go_and_no_more(ids: list[int], excess: int) -> None:
    ids.sort()
    dropped = thinned(ids, excess)
    assert len(dropped) == min(max(excess, 0), len(ids))
    assert len(set(dropped)) == len(dropped)
    assert set(dropped) <= set(ids)
    first = min(max(excess, 0), (len(ids) + 1) // 2)
    assert dropped[:first] == ids[0::2][:first]


@pytest.mark.asyncio
async def test_kv_newest_value_wins_and_none_deletes(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state.db")
    for n in range(100):
        store.kv.put("profile", "1", {"n": n})
    store.kv.put("profile", "2", [1, "é"])
    store.kv.put("device_model", "A.B", "x")
    await store.kv.flush()
    store.kv.put("device_model", "A.B", None)
    await store.close()  # without a flush: close writes what waits

    store = await Store.open(tmp_path / "state.db")
    assert await store.kv.load() == {"profile": {"1": {"n": 99}, "2": [1, "é"]}}
    await store.close()


@pytest.mark.asyncio
async def test_a_put_is_never_behind_a_later_append(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state.db")
    store.kv.put("transaction", "1", {"seqNo": 7})
    await store.outbox.append("TransactionEvent", b"{}", thinnable=False)
    # As if killed here: the files alone must tell. Its owner lives, so read a copy.
    again = await Store.open(_copied(tmp_path))
    assert await again.kv.load() == {"transaction": {"1": {"seqNo": 7}}}
    assert await again.outbox.count() == 1
    await again.close()
    await store.close()


def _copied(folder: Path) -> Path:
    copy = folder / "copy"
    copy.mkdir()
    for part in folder.glob("state.db*"):
        (copy / part.name).write_bytes(part.read_bytes())
    return copy / "state.db"


@pytest.mark.asyncio
@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
async def test_kv_refuses_what_json_cannot_hold(tmp_path: Path, value: object) -> None:
    store = await Store.open(tmp_path / "state.db")
    with pytest.raises(StoreError, match="kv a/b"):
        store.kv.put("a", "b", value)
    await store.close()


@pytest.mark.asyncio
async def test_sessions_newest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargerd.store.sessions.KEEP", 3)
    store = await Store.open(tmp_path / "state.db")
    for n in range(5):
        await store.sessions.append({"id": n, "stop": "Local"})
    assert [r["id"] for r in await store.sessions.last(2)] == [4, 3]
    assert [r["id"] for r in await store.sessions.last(9)] == [4, 3, 2]
    with pytest.raises(StoreError, match="session record"):
        await store.sessions.append({"energy": float("nan")})
    await store.close()


@pytest.mark.asyncio
async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state.db")
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.outbox.count()
    with pytest.raises(StoreError, match="closed"):
        store.kv.put("a", "b", 1)


@given(st.binary(max_size=4000))
@settings(max_examples=50)
def test_packing_gives_back_every_body(body: bytes) -> None:
    assert unpack(pack(body)) == body


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_body_is_an_error_or_itself(seed: int) -> None:
    chance = random.Random(seed)
    body = b'{"eventType":"Updated","value":%d}' % seed
    packed = bytearray(pack(body))
    refused = 0
    for _ in range(50):
        damaged = bytearray(packed)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        try:
            assert unpack(bytes(damaged)) == body  # a padding bit of deflate
        except PackingError:
            refused += 1
    assert refused >= 40
    for cut in range(len(packed)):
        with pytest.raises(PackingError):
            unpack(bytes(packed[:cut]))


@pytest.mark.asyncio
async def test_a_message_and_its_record_are_one_transaction(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state.db")
    for value in ({"seqNo": 1}, {"seqNo": 2}):
        record = ("transaction", "1", value)
        await store.outbox.append("k", b"{}", thinnable=False, put=record)
    assert await store.kv.load() == {"transaction": {"1": {"seqNo": 2}}}
    bad = ("transaction", "1", {"x": float("nan")})
    with pytest.raises(StoreError, match="not JSON"):
        await store.outbox.append("k", b"{}", thinnable=False, put=bad)
    assert await store.outbox.count() == 2
    gone = ("transaction", "1", None)
    await store.outbox.append("k", b"{}", thinnable=False, put=gone)
    again = await Store.open(_copied(tmp_path))
    assert await again.kv.load() == {}
    assert await again.outbox.count() == 3
    await again.close()
    await store.close()
