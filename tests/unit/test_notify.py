"""sd_notify: the datagrams, both kinds of address, silence without a manager."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chargerd.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[str, socket.socket]]:
    address = str(tmp_path / "notify")
    if request.param == "abstract":
        address = f"@chargerd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.settimeout(5)
        link.bind("\0" + address[1:] if address.startswith("@") else address)
        yield address, link


def test_every_state_is_one_datagram(manager: tuple[str, socket.socket]) -> None:
    address, link = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready("2 EVSE\nFAKE=1")
    assert link.recv(999) == b"READY=1\nSTATUS=2 EVSE FAKE=1"  # one line stays one
    notifier.watchdog()
    assert link.recv(999) == b"WATCHDOG=1"
    notifier.status("x" * 500)
    assert link.recv(999) == b"STATUS=" + b"x" * 200
    notifier.stopping(20)
    assert link.recv(999).endswith(b"\nEXTEND_TIMEOUT_USEC=20000000")
    notifier.stopping()
    assert link.recv(999).startswith(b"STOPPING=1")


def test_without_a_manager_nothing_happens(tmp_path: Path) -> None:
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).watchdog()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "10000000"}, 10.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdog_time_comes_from_the_manager(
    environ: dict[str, str], expected: float | None
) -> None:
    assert Notifier(environ).watchdog_s == expected
