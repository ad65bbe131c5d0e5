"""`chargerd-slac`: arguments of the SLAC unit only.

Exit status: 1 failed (systemd restarts it), 2 bad arguments.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import pwd
import signal
import sys
from pathlib import Path

from chargerd.vehicle.slac import mme, raw
from chargerd.vehicle.slac.errors import SlacError
from chargerd.vehicle.slac.matching import Settings
from chargerd.vehicle.slac.unit import Unit


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="chargerd-slac", description=__doc__)
    top.add_argument("--interface", help="the modem's network interface, e.g. plc0")
    top.add_argument("--socket", type=Path, help="where the daemon speaks to this unit")
    top.add_argument(
        "--find", action="store_true", help="name the modem interfaces of this board"
    )
    top.add_argument(
        "--peer", action="append", default=[], help="a user that may speak to it"
    )
    top.add_argument(
        "--receive-loss-db", type=float, default=0.0, help="AttnRx_EVSE of this board"
    )
    top.add_argument(
        "--attenuation-max-db", type=float, help="do not answer weaker vehicles"
    )
    top.add_argument("--modem-mac", help='default: learned; "00:01:87:..." pins it')
    return top


def settings(args: argparse.Namespace) -> Settings:
    """Raises SlacError for a value that cannot be."""
    loss_db, top_db = args.receive_loss_db, args.attenuation_max_db
    if not 0.0 <= loss_db <= 100.0:
        raise SlacError(f"--receive-loss-db {loss_db}: must be 0 to 100")
    if top_db is not None and not 0.0 <= top_db <= 255.0:
        raise SlacError(f"--attenuation-max-db {top_db}: must be 0 to 255")
    return Settings(
        receive_loss_db=loss_db,
        attenuation_max_db=top_db,
        modem_mac=mme.mac_bytes(args.modem_mac) if args.modem_mac else None,
    )


def uids(names: list[str]) -> list[int]:
    """Raises SlacError for a user that does not exist."""
    try:
        return [pwd.getpwnam(name).pw_uid for name in names]
    except KeyError as error:
        raise SlacError(f"--peer: no such user: {error}") from error


async def _serve(unit: Unit) -> None:
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        if task is not None:
            loop.add_signal_handler(number, task.cancel)
    await unit.run()


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    args = parser().parse_args(argv)
    if args.find:
        sys.stdout.write("".join(f"{name}\n" for name in raw.modems()))
        return
    if not args.interface or not args.socket:
        parser().error("--interface and --socket are needed (or --find)")
    try:
        unit = Unit(args.interface, args.socket, settings(args), peers=uids(args.peer))
    except SlacError as error:
        parser().error(str(error))
    try:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(_serve(unit))
    except OSError as error:
        sys.exit(f"chargerd-slac: {args.interface}, {args.socket}: {error}")


if __name__ == "__main__":
    main()
