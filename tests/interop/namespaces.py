"""Two network namespaces and a veth pair: this thread in one, a peer in the other.

They have no names and vanish with their processes. Needs root, skips without. Duplicate
address detection is off: a tentative address cannot be bound.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

STATION_END, VEHICLE_END = "v2g-station", "v2g-vehicle"  # interfaces, 15 characters
_NEW_NET = 0x40000000  # CLONE_NEWNET
_MINE = Path("/proc/thread-self/ns/net")
_HOLD = "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad && echo ready && exec cat"


@dataclass(frozen=True, slots=True)
class Far:
    """The other namespace; `pid` holds it."""

    pid: int

    def inside(self, command: Sequence[str | Path]) -> list[str | Path]:
        """`command`, to be run there."""
        return ["nsenter", f"--target={self.pid}", "--net", *command]


def refusal() -> str:
    """Why there can be no namespaces here; "" when there can."""
    missing = [tool for tool in ("ip", "nsenter", "unshare") if not shutil.which(tool)]
    if missing:
        return f"missing {', '.join(missing)} (Debian: iproute2, util-linux)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = subprocess.run(["unshare", "--net", "true"], check=False)
    return "" if probe.returncode == 0 else "this machine refuses network namespaces"


@contextmanager
def namespaces() -> Iterator[Far]:
    """This thread, and what it starts meanwhile, are in a namespace of their own."""
    why = refusal()
    if why:
        pytest.skip(why)
    home = os.open(_MINE, os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if libc.unshare(_NEW_NET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            with _far() as far:
                yield far
        finally:
            libc.setns(home, _NEW_NET)
    finally:
        os.close(home)


@contextmanager
def _far() -> Iterator[Far]:
    """The far namespace lives as long as the pipe to its process."""
    dad = Path("/proc/sys/net/ipv6/conf/default/accept_dad")
    dad.write_text("0")
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", _HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        if holder.stdout is None or holder.stdout.readline() != b"ready\n":
            raise RuntimeError("the far network namespace did not come up")
        far = Far(holder.pid)
        peer = ["peer", "name", VEHICLE_END, "netns", str(holder.pid)]
        _run("ip", "link", "add", "name", STATION_END, "type", "veth", *peer)
        for interface in ("lo", STATION_END):
            _run("ip", "link", "set", "dev", interface, "up")
        for interface in ("lo", VEHICLE_END):
            _run(*far.inside(["ip", "link", "set", "dev", interface, "up"]))
        _await_address([])
        _await_address(far.inside([]))
        yield far
    finally:
        holder.communicate()


def _await_address(inside: list[str | Path], limit_s: float = 5.0) -> None:
    """The kernel gives the link-local address a moment after the link is up."""
    show = [*inside, "ip", "-6", "-o", "address", "show", "scope", "link"]
    end = time.monotonic() + limit_s
    while not subprocess.run(show, check=True, capture_output=True).stdout:
        if time.monotonic() > end:
            raise RuntimeError("no link-local address on the veth pair")
        time.sleep(0.02)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, timeout=10)
