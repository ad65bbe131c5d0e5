"""`chargerd run|check-config|demo`: arguments only.

Exit status: 0 stopped as asked, 1 failed (systemd restarts it), 2 bad arguments or
configuration.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from chargerd import __version__

DEFAULT_CONFIG = "/etc/chargerd/chargerd.toml"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="chargerd", description=__doc__)
    top.add_argument("--version", action="version", version=f"chargerd {__version__}")
    commands = top.add_subparsers(dest="command", required=True)
    for name, text in (
        ("run", "run the daemon in the foreground"),
        ("check-config", "check a configuration and say everything that is wrong"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument(
            "--config",
            type=Path,
            default=Path(os.environ.get("CHARGERD_CONFIG", DEFAULT_CONFIG)),
        )
    demo = commands.add_parser(
        "demo", help="one evening in a minute on the virtual bench (see hil/demo)"
    )
    demo.add_argument("rest", nargs=argparse.REMAINDER, help="--headless --seconds N")
    return top


def check_config(path: Path) -> int:
    """Print every error and warning; 0 when the daemon would start."""
    from chargerd.app import problems
    from chargerd.config_check import warnings
    from chargerd.config_load import ConfigError, load

    try:
        config = load(path, os.environ)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    wrong = problems(config)
    if wrong:
        sys.stderr.write("".join(f"{path}: {line}\n" for line in wrong))
        return 2
    for line in warnings(config):
        sys.stderr.write(f"warning: {line}\n")
    sys.stdout.write(
        f"{path}: good. Station {config.station.id}, {len(config.evse)} EVSE, "
        f"central system {config.ocpp.url or 'none'}\n"
    )
    return 0


def run(path: Path) -> int:
    """Run until SIGTERM; a reset asked by the central system starts over in place."""
    from chargerd.app import BuildError, Outcome, run_daemon
    from chargerd.config_load import ConfigError, load
    from chargerd.store import StoreError

    try:
        config = load(path, os.environ)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        outcome = run_daemon(config)
    except BuildError as error:
        lines = str(error).splitlines()
        sys.stderr.write("".join(f"{path}: {line}\n" for line in lines))
        return 2
    except StoreError as error:
        sys.stderr.write(f"{path}: store.path: {error}\n")
        return 1
    if outcome is Outcome.RESET:
        # A fresh process image in the same process: nothing survives but the store.
        os.execv(  # noqa: S606 - our own interpreter and arguments, no shell
            sys.executable, [sys.executable, "-m", "chargerd", *sys.argv[1:]]
        )
    return 0 if outcome is Outcome.STOPPED else 1


def lean() -> None:
    """The daemon prints no colours: structlog would load rich for them if it could,
    4 MiB and a tenth of a second that a charger does not need."""
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type] # = "not installed"


def demo(rest: list[str]) -> int:
    """The demo lives with the bench; the daemon's package does not import it."""
    try:
        return subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "hil.demo", *rest], check=False
        ).returncode
    except KeyboardInterrupt:
        return 130


def main() -> None:
    """Entry point."""
    if sys.argv[1:2] == ["demo"]:  # REMAINDER would swallow a leading option
        sys.exit(demo(sys.argv[2:]))
    args = parser().parse_args()
    if args.command == "run":
        lean()
        sys.exit(run(args.config))
    sys.exit(check_config(args.config))


if __name__ == "__main__":
    main()
