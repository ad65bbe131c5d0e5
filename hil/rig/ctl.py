"""`python -m hil.rig.ctl VERB key=value ...`: one question to a running rig.

Prints the answer as JSON. Exit status: 0 done, 1 refused or no rig, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
from pathlib import Path
from typing import Any

DIR = Path("/tmp/chargerd-bench")  # `dir` of hil/benches/virtual.yaml
TIMEOUT_S = 10.0
TEXT_KEYS = ("token",)  # 12345678 is a card as much as 04A2B3C4


class CtlError(Exception):
    """What went wrong and what to do next."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m hil.rig.ctl",
        description="Ask a running rig, e.g. plug_in connector=1 ev=chademo soc=60. "
        "The verb help lists the verbs; docs/bench.md explains them.",
    )
    top.add_argument("--dir", type=Path, default=DIR, help=f"bench folder ({DIR})")
    top.add_argument("verb", help="what to do, e.g. plug_in, swipe, state, help")
    top.add_argument("arguments", nargs="*", metavar="key=value")
    return top


def question(verb: str, arguments: list[str]) -> dict[str, Any]:
    """The control socket's question; values are JSON where they can be, else text."""
    found: dict[str, Any] = {"verb": verb}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not key or not equals:
            raise CtlError(f"{argument!r}: write key=value")
        found[key] = text if key in TEXT_KEYS else _value(text)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def ask(path: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """The rig's answer; CtlError when there is no rig."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(TIMEOUT_S)
        try:
            link.connect(str(path))
            link.sendall(json.dumps(asked).encode() + b"\n")
            with link.makefile("rb") as lines:
                line = lines.readline()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise CtlError(
                f"{path}: no rig runs in this folder; start it with "
                "python -m hil.rig --bench hil/benches/virtual.yaml, or give --dir"
            ) from error
        except OSError as error:
            raise CtlError(f"{path}: {error}") from error
    if not line:
        raise CtlError(f"{path}: the rig closed the connection")
    answer: dict[str, Any] = json.loads(line)
    return answer


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status."""
    args = parser().parse_args(argv)
    try:
        asked = question(args.verb, args.arguments)
    except CtlError as error:
        sys.stderr.write(f"ctl: {error}\n")
        return 2
    try:
        answer = ask(args.dir / "control.sock", asked)
    except CtlError as error:
        sys.stderr.write(f"ctl: {error}\n")
        return 1
    if not answer.pop("ok", False):
        sys.stderr.write(f"ctl: {answer.get('error', 'refused')}\n")
        return 1
    print(json.dumps(answer, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
