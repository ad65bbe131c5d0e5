"""`python -m hil.rig`: arguments and signals only."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from hil.ev import catalog
from hil.rig.bench import load
from hil.rig.control import Control
from hil.rig.faults import RigError
from hil.rig.rig import Rig
from hil.rig.trace import Trace, WireLog


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hil.rig", description=__doc__)
    parser.add_argument("--bench", type=Path, required=True, help="bench file (YAML)")
    parser.add_argument("--dir", type=Path, help="folder for links and sockets")
    parser.add_argument("--seed", type=int, default=1, help="seeds every noise")
    parser.add_argument("--ports-offset", type=int, default=0, help="moves TCP ports")
    parser.add_argument("--log", type=Path, help="file: every byte on every wire")
    parser.add_argument("--trace", type=Path, help="file: JSON lines at 20 Hz")
    return parser.parse_args()


async def serve(args: argparse.Namespace) -> None:
    """Run the rig until SIGTERM or SIGINT."""
    bench = load(args.bench).moved(args.dir, args.ports_offset)
    if not bench.limits.unattended and not sys.stdin.isatty():
        raise RigError(f"bench {bench.name} must be attended: start it in a terminal")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    trace, log = Trace(args.trace), WireLog(args.log)
    rig = Rig(bench, catalog.make, seed=args.seed, trace=trace, log=log)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_run(rig, stop))
            group.create_task(_talk(rig, stop))
    finally:
        trace.close()
        log.close()


async def _run(rig: Rig, stop: asyncio.Event) -> None:
    try:
        await rig.run(stop)
    finally:
        stop.set()


async def _talk(rig: Rig, stop: asyncio.Event) -> None:
    """The control socket, from the moment the wires are up."""
    async with asyncio.TaskGroup() as group:
        ended = group.create_task(stop.wait())
        ready = group.create_task(rig.ready.wait())
        await asyncio.wait({ended, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if ended.done():
            return
        control = Control(rig)
        await control.open()
        print("rig ready", flush=True)
        await ended
        await control.close()


def main() -> int:
    status = 0
    try:
        asyncio.run(serve(arguments()))
    except* RigError as group:
        status = 2
        for error in group.exceptions:
            print(f"rig: {error}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
