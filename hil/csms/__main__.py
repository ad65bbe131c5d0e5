"""`python -m hil.csms`: play CSMS on the command line (docs/csms.md).

Prints one line per message; reads JSON commands from stdin, one a line. Ends on SIGINT
or SIGTERM; the end of stdin ends nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from hil.csms import dispatch
from hil.csms.gist import json_line, line
from hil.csms.judge import FOLDERS
from hil.csms.link import Peer
from hil.csms.server import Csms
from hil.csms.wire import CsmsError, Message, Violation

Answer = dict[str, Any]


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; defaults suit the virtual bench."""
    parser = argparse.ArgumentParser(prog="python -m hil.csms", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000, help="0 takes a free one")
    parser.add_argument("--password", help="basic auth; the user is the identity")
    parser.add_argument("--version", action="append", choices=list(FOLDERS))
    parser.add_argument(
        "--boot", default="Accepted", help="Accepted, Pending, Rejected"
    )
    parser.add_argument("--interval", type=int, default=300, help="heartbeat, seconds")
    parser.add_argument("--block", action="append", default=[], help="an id token")
    parser.add_argument("--json", action="store_true", help="whole messages as JSON")
    return parser.parse_args(argv)


def say(text: str) -> None:
    print(text, flush=True)


async def _call(peer: Peer, command: Answer) -> Answer:
    return await peer.call(
        command["call"], command.get("payload", {}), command.get("timeout", 30.0)
    )


async def _setpoint(peer: Peer, command: Answer) -> Answer:
    where, seconds = command.get("evse", 1), command.get("seconds")
    return await dispatch.set_setpoint(peer, where, command["setpoint"], seconds)


async def _dynamic(peer: Peer, command: Answer) -> Answer:
    where, seconds = command.get("evse", 1), command.get("seconds")
    power_w = command["dynamic"]
    return await dispatch.dynamic_setpoint(peer, where, power_w, seconds=seconds)


async def _limit(peer: Peer, command: Answer) -> Answer:
    where, seconds = command.get("evse", 1), command.get("seconds")
    return await dispatch.charging_only(peer, where, command["limit"], seconds)


async def _start(peer: Peer, command: Answer) -> Answer:
    return await dispatch.remote_start(peer, command["start"])


async def _stop(peer: Peer, command: Answer) -> Answer:
    transaction_id = dispatch.transaction_of(peer, command["stop"])
    return await dispatch.remote_stop(peer, transaction_id)


async def _drop(peer: Peer, command: Answer) -> Answer:
    await peer.drop()
    return {"dropped": peer.identity}


COMMANDS: dict[str, Callable[[Peer, Answer], Awaitable[Answer]]] = {
    "call": _call,
    "setpoint": _setpoint,
    "dynamic": _dynamic,
    "limit": _limit,
    "start": _start,
    "stop": _stop,
    "drop": _drop,
}


async def obey(csms: Csms, text: str) -> Answer:
    """Carry out one command line; every failure becomes {"error": ...}."""
    try:
        command = json.loads(text)
        verb = next((name for name in COMMANDS if name in command), None)
        if not isinstance(command, dict) or verb is None:
            return {"error": f"known commands are {', '.join(COMMANDS)}"}
        peer = await csms.wait_station(1.0, identity=command.get("station"))
        return await COMMANDS[verb](peer, command)
    except (CsmsError, ValueError, TypeError, LookupError) as wrong:
        return {"error": str(wrong) or repr(wrong)}


def _read_stdin(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str]) -> None:
    """In its own thread: stdin may be a file, a pipe or a terminal."""
    for text in sys.stdin:
        if text.strip():
            loop.call_soon_threadsafe(lines.put_nowait, text)


async def _obey_all(csms: Csms, lines: asyncio.Queue[str]) -> None:
    while True:
        answer = await obey(csms, await lines.get())
        say(f"= {json.dumps(answer)}")


async def main(args: argparse.Namespace) -> None:
    """Serve until a signal comes."""
    try:
        csms = await Csms.start(
            args.host,
            args.port,
            versions=args.version or tuple(FOLDERS)[::-1],
            password=args.password,
        )
    except OSError as error:
        sys.exit(f"csms: {error}; end the other one, or use --port")
    csms.boot_status, csms.boot_interval_s = args.boot, args.interval
    csms.blocked = set(args.block)
    form = json_line if args.json else line

    def show(peer: Peer, message: Message) -> None:
        say(form(peer.identity, message, datetime.now().astimezone()))

    def complain(peer: Peer, broken: Violation) -> None:
        say(f"! {peer.identity} {broken.direction} {broken.action}: {broken.text}")

    csms.on_message, csms.on_violation = show, complain
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    lines: asyncio.Queue[str] = asyncio.Queue()
    threading.Thread(target=_read_stdin, args=(loop, lines), daemon=True).start()
    say(f"csms ready ws://{args.host}:{csms.port}/")
    async with csms, asyncio.TaskGroup() as group:
        obeying = group.create_task(_obey_all(csms, lines))
        await ended.wait()
        obeying.cancel()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
