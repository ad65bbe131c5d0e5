"""Order, gate, retry and drop rules of own CALLs."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from chargerd.ocpp.effects import CallError, Durability, Gate, Send
from chargerd.ocpp.queue import MAX_WAITING, WINDOW, Done, Item, Queue, Retry
from chargerd.ocpp.rpc import How

RETRY = Retry(attempts=3, interval_s=60.0)
BOOT = Send("BootNotification", {}, Durability.NOW_OR_NEVER, 1, True, True)
NO = CallError("InternalError")


@dataclass(frozen=True)
class Row:
    id: int
    kind: str = "TransactionEvent"
    body: bytes = b"{}"
    attempts: int = 0


def send(
    name: str, durability: Durability = Durability.QUEUED, handle: int = 0
) -> Send:
    return Send(name, {}, durability, handle)


def durable(name: str = "TransactionEvent", handle: int = 0) -> Send:
    return send(name, Durability.DURABLE, handle)


def make(gate: Gate = Gate.OPEN, up: bool = True) -> Queue:
    """A queue with an empty disk."""
    queue = Queue()
    queue.link(up)
    queue.set_gate(gate)
    queue.load([], WINDOW)
    return queue


def drain(queue: Queue, now_mono: float = 0.0, how: How = How.ANSWERED) -> list[str]:
    names = []
    while (item := queue.next(now_mono)) is not None:
        names.append(item.send.action)
        queue.ended(how, {}, now_mono, RETRY)
    return names


@pytest.mark.req("General.FR.01")
def test_one_in_flight() -> None:
    queue = make()
    queue.push(send("A"))
    queue.push(send("B"))
    assert queue.next(0.0) == Item(send("A"))
    assert queue.next(0.0) is None
    assert queue.ended(How.ANSWERED, {"x": 1}, 0.0, RETRY) == Done(
        Item(send("A")), {"x": 1}
    )
    assert queue.next(0.0) == Item(send("B"))


def test_boot_goes_first_whatever_waits() -> None:
    queue = make()
    queue.push(send("A"))
    queue.stored(1, durable())
    queue.push(BOOT)
    assert drain(queue)[0] == "BootNotification"


GATES = [
    # gate, what leaves
    (Gate.SILENT, []),
    (Gate.BOOT, ["BootNotification", "Triggered"]),
    (Gate.OPEN, ["BootNotification", "A", "TransactionEvent", "Triggered"]),
]


@pytest.mark.req("B01.FR.08", "B02.FR.02", "B03.FR.02")
@pytest.mark.parametrize(("gate", "leaves"), GATES)
def test_gate(gate: Gate, leaves: list[str]) -> None:
    queue = make(gate)
    queue.push(send("A"))
    queue.stored(1, durable())
    queue.push(Send("Triggered", {}, while_gated=True))
    queue.push(BOOT)
    assert drain(queue) == leaves


def test_nothing_leaves_while_the_link_is_down() -> None:
    queue = make(up=False)
    queue.push(send("A"))
    queue.stored(1, durable())
    assert queue.next(0.0) is None
    assert queue.next_timer() is None


def test_memory_and_disk_take_turns() -> None:
    """A long backlog of events must not hold up an Authorize, nor the reverse."""
    queue = make()
    for number in range(1, 4):
        queue.push(send(f"M{number}"))
        queue.stored(number, durable(f"D{number}"))
    assert drain(queue) == ["M1", "D1", "M2", "D2", "M3", "D3"]


@pytest.mark.parametrize(
    ("item", "dies"),
    [
        (BOOT, True),
        (send("Heartbeat", Durability.NOW_OR_NEVER, 7), True),
        (send("StatusNotification", Durability.QUEUED, 7), False),
    ],
)
def test_what_dies_with_the_link(item: Send, dies: bool) -> None:
    queue = make()
    queue.push(item)
    dead = queue.link(False)
    assert [done.item.send for done in dead] == ([item] if dies else [])
    assert all(isinstance(done.answer, CallError) for done in dead)
    # and while it is down, it is refused at once or kept
    assert len(queue.push(item)) == int(dies)
    queue.link(True)
    assert len(drain(queue)) == (0 if dies else 2)


@pytest.mark.parametrize("how", [How.MUTE, How.LINK_LOST])
def test_a_queued_message_in_flight_survives_the_link(how: How) -> None:
    queue = make()
    queue.push(send("A"))
    queue.push(send("B"))
    queue.next(0.0)
    assert queue.ended(how, NO, 0.0, RETRY) is None
    queue.link(False)
    queue.link(True)
    assert drain(queue) == ["A", "B"]


@pytest.mark.parametrize("how", [How.REFUSED, How.TIMEOUT])
def test_a_refused_message_in_memory_is_over(how: How) -> None:
    queue = make()
    queue.push(send("A"))
    queue.next(0.0)
    assert queue.ended(how, NO, 0.0, RETRY) == Done(Item(send("A")), NO)


@pytest.mark.parametrize("how", [How.REFUSED, How.TIMEOUT])
@pytest.mark.req("E13.FR.01", "E13.FR.02", "E13.FR.03", "E13.FR.04")
def test_durable_retry_waits_longer_each_time_then_gives_up(how: How) -> None:
    """E13: interval x preceding transmissions, then the next message."""
    queue = make()
    queue.stored(1, durable("First", handle=5))
    queue.stored(2, durable("Second"))
    now = 100.0
    for wait_s in (60.0, 120.0):
        item = queue.next(now)
        assert item is not None
        assert item.send.action == "First"
        assert queue.ended(how, NO, now, RETRY) is None
        assert queue.next_timer() == now + wait_s
        assert queue.next(now + wait_s - 0.1) is None
        now += wait_s
    queue.next(now)
    assert queue.ended(how, NO, now, RETRY) == Done(
        Item(durable("First", handle=5), 1), NO
    )
    assert queue.dropped == 1
    assert drain(queue, now) == ["Second"]


def test_others_go_on_while_a_durable_message_waits_for_its_retry() -> None:
    queue = make()
    queue.stored(1, durable())
    queue.next(0.0)
    queue.ended(How.REFUSED, NO, 0.0, RETRY)
    queue.push(send("Heartbeat"))
    assert drain(queue, 1.0) == ["Heartbeat"]


@pytest.mark.parametrize("how", [How.MUTE, How.LINK_LOST])
def test_a_bad_link_burns_no_attempt(how: How) -> None:
    """MicroOcpp#398: a bad radio must not empty the offline queue."""
    queue = make()
    queue.stored(1, durable())
    for _ in range(20):
        assert queue.next(0.0) is not None
        assert queue.ended(how, NO, 0.0, RETRY) is None
        queue.link(False)
        queue.link(True)
    assert queue.dropped == 0
    assert drain(queue) == ["TransactionEvent"]


def test_disk_is_read_in_windows_and_in_order() -> None:
    disk = {number: durable(f"D{number}") for number in range(1, 101)}
    queue = Queue()
    queue.link(True)
    queue.set_gate(Gate.OPEN)
    sent: list[str] = []
    while (after := queue.need_load()) is not None:
        batch = [(Row(n), s) for n, s in sorted(disk.items()) if n > after][:WINDOW]
        queue.load(batch, WINDOW)
        if after == 0:  # a message of this run joins behind the unread ones
            disk[101] = durable("D101")
            queue.stored(101, disk[101])
        sent += drain(queue)
    assert sent == [f"D{number}" for number in range(1, 102)]


def test_a_disk_thinned_behind_our_back_is_not_read_for_ever() -> None:
    queue = Queue()
    queue.stored(1, durable())
    assert queue.need_load() == 0
    queue.load([], WINDOW)
    assert queue.need_load() is None


def test_handles_belong_to_this_run_only() -> None:
    queue = make()
    queue.stored(7, durable(handle=3))
    assert queue.handle(7) == 3
    assert queue.handle(6) == 0
    queue.next(0.0)
    done = queue.ended(How.ANSWERED, {}, 0.0, RETRY)
    assert done is not None
    assert done.item.send.handle == 3
    assert queue.handle(7) == 0


def test_a_message_that_can_never_go_is_discarded() -> None:
    queue = make()
    queue.stored(1, durable("Bad", handle=2))
    queue.stored(2, durable("Good"))
    queue.next(0.0)
    assert queue.discard(NO) == Done(Item(durable("Bad", handle=2), 1), NO)
    assert drain(queue) == ["Good"]
    assert queue.discard(NO) is None
    assert queue.ended(How.ANSWERED, {}, 0.0, RETRY) is None


def test_memory_is_bounded() -> None:
    queue = make(Gate.SILENT)
    queue.push(send("Volatile", Durability.NOW_OR_NEVER, 9))
    queue.push(BOOT)
    dropped = [d for n in range(MAX_WAITING + 1) for d in queue.push(send(f"M{n}"))]
    assert [done.item.send.action for done in dropped] == ["Volatile", "M0"]
    assert len(queue) == MAX_WAITING + 1
    queue.set_gate(Gate.OPEN)
    assert drain(queue)[:2] == ["BootNotification", "M1"]


OFFLINE_ROWS = [
    # stored before the link, stored while it stands, and what leaves as offline
    ([1, 2], [3], [1, 2]),
    ([], [1], []),
    ([5], [], [5]),
]


@pytest.mark.req("E04.FR.02", "E08.FR.06", "E11.FR.02", "E11.FR.07", "E12.FR.02")
@pytest.mark.parametrize(("before", "after", "offline"), OFFLINE_ROWS)
def test_what_waited_for_the_link_is_offline(
    before: list[int], after: list[int], offline: list[int]
) -> None:
    """Also what was made in time, but did not leave before the link fell."""
    queue = make()
    for number in before:
        queue.stored(number, durable())
    queue.link(False)
    queue.link(True)
    for number in after:
        queue.stored(number, durable())
    left, late = [], []
    while (item := queue.next(0.0)) is not None:
        left.append(item.entry_id)
        if item.send.payload.get("offline"):
            late.append(item.entry_id)
        queue.ended(How.ANSWERED, {}, 0.0, RETRY)
    assert left == before + after  # all of them, in order
    assert late == offline


def test_what_an_earlier_run_left_is_offline() -> None:
    queue = Queue()
    queue.link(True)
    queue.set_gate(Gate.OPEN)
    queue.load([(Row(7), durable())], WINDOW)
    queue.stored(8, durable())
    marks = []
    while (item := queue.next(0.0)) is not None:
        marks.append((item.entry_id, item.send.payload))
        queue.ended(How.ANSWERED, {}, 0.0, RETRY)
    assert marks == [(7, {"offline": True}), (8, {})]


@pytest.mark.req("E11.FR.07")
def test_a_resend_after_the_link_fell_is_offline() -> None:
    queue = make()
    queue.stored(1, durable())
    first = queue.next(0.0)
    assert first is not None
    assert first.send.payload == {}
    queue.ended(How.LINK_LOST, NO, 0.0, RETRY)
    queue.link(False)
    queue.link(True)
    again = queue.next(0.0)
    assert again is not None
    assert again.send.payload == {"offline": True}


def test_only_transaction_events_know_the_mark() -> None:
    queue = make()
    queue.stored(1, durable("SecurityEventNotification"))
    queue.link(False)
    queue.link(True)
    item = queue.next(0.0)
    assert item is not None
    assert item.send.payload == {}
