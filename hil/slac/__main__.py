"""`python -m hil.slac line|ev|noise`: a power line, a vehicle or a pest on real wires.

    line --station near=veth1 --station ev=veth2 --near near:ev:12
    ev --interface veth2            # tells its state, line by line, until it is killed
    noise --interface veth3         # a hostile station: requests, forgeries, rubbish

Needs CAP_NET_RAW. The codec and the machines are pure; here are sockets and the clock.
"""

from __future__ import annotations

import argparse
import os
import random
import selectors
import socket
import time

from hil.slac import frames
from hil.slac.ev import EvSlac
from hil.slac.powerline import Modem, Powerline

MAX_BYTES = 2000


def wire(interface: str) -> tuple[socket.socket, bytes]:
    """A raw socket on HomePlug frames, and the interface's MAC."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88E1))
    raw.bind((interface, 0x88E1))
    raw.setblocking(False)
    return raw, raw.getsockname()[4]


def read(raw: socket.socket) -> list[bytes]:
    """All that has come."""
    got = []
    while True:
        try:
            got.append(raw.recv(MAX_BYTES))
        except BlockingIOError:
            return got


def line(args: argparse.Namespace) -> None:
    """The hub: every station's host is at the other end of an interface."""
    power, wires = Powerline(), selectors.DefaultSelector()
    raws: dict[str, socket.socket] = {}
    for number, item in enumerate(args.station):
        name, _, interface = item.partition("=")
        raws[name], _ = wire(interface)
        power.add(name, Modem(bytes((0, 0x01, 0x87, 0, 0, number + 1))))
        wires.register(raws[name], selectors.EVENT_READ, name)
    for item in args.near:
        one, other, loss_db = item.split(":")
        power.near(one, other, int(loss_db))
    print("ready", flush=True)
    while True:
        for key, _ in wires.select(0.1):
            for frame in read(raws[key.data]):
                for to, data in power.send(key.data, frame, time.monotonic()):
                    raws[to].send(data)


def ev(args: argparse.Namespace) -> None:
    """Plugged in from the start."""
    raw, mac = wire(args.interface)
    car = EvSlac(mac, os.urandom)
    car.plug(time.monotonic())
    told, wires = "", selectors.DefaultSelector()
    wires.register(raw, selectors.EVENT_READ)
    while True:
        now = time.monotonic()
        car.on_timer(now)
        for frame in car.to_send():
            raw.send(frame)
        if car.state != told:
            told = car.state
            print(told, car.station.hex(), car.nmk.hex(), flush=True)
        wires.select(max(0.001, min(0.2, car.next_timer() - time.monotonic())))
        for frame in read(raw):
            car.receive(frame, time.monotonic())


def noise(args: argparse.Namespace) -> None:
    """Answers what it hears with forgeries, and speaks unasked 200 times a second."""
    raw, mac = wire(args.interface)
    dice = random.Random(1)
    print("ready", flush=True)
    while True:
        for heard in read(raw):
            frame = frames.unpack(heard)
            if frame is None:
                continue
            run = heard[21:29]
            body = frames.profile_ind(frame.by, bytes(frames.GROUPS))
            raw.send(frames.pack(frames.ALL, mac, frames.PROFILE_IND, body))
            body = frames.match_req(run, mac, frame.by)
            raw.send(frames.pack(frames.ALL, mac, frames.MATCH_REQ, body))
        by = dice.randbytes(5) + b"\0"
        body = frames.parm_req(dice.randbytes(8))
        raw.send(frames.pack(frames.ALL, b"\2" + by[:5], frames.PARM_REQ, body))
        rubbish = dice.randbytes(dice.randrange(0, 1000))
        raw.send(frames.ALL + mac + b"\x88\xe1" + rubbish)
        time.sleep(0.005)


def main() -> None:
    """Entry point."""
    top = argparse.ArgumentParser(prog="hil.slac", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    hub = verbs.add_parser("line")
    hub.add_argument("--station", action="append", default=[], help="NAME=INTERFACE")
    hub.add_argument("--near", action="append", default=[], help="NAME:NAME:DECIBEL")
    for name in ("ev", "noise"):
        verbs.add_parser(name).add_argument("--interface", required=True)
    args = top.parse_args()
    {"line": line, "ev": ev, "noise": noise}[args.verb](args)


if __name__ == "__main__":
    main()
