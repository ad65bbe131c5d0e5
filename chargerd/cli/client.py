"""Finds the daemon's socket and asks it one question at a time, blocking.

Owns the texts that tell a technician the next step. Imports only what is always needed:
`chargerctl` starts many times a day on slow machines.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DEFAULT_SOCKET = Path("/run/chargerd/chargerd.sock")
DEFAULT_CONFIG = Path("/etc/chargerd/chargerd.toml")
TIMEOUT_S = 12.0

Json = dict[str, Any]


class CliError(Exception):
    """What went wrong and what to do next; exit status 1."""


def socket_path(given: Path | None, config: Path | None) -> Path:
    """--socket, else CHARGERD_SOCKET, else the configuration's, else the default."""
    if given:
        return given
    if found := os.environ.get("CHARGERD_SOCKET"):
        return Path(found)
    if found := os.environ.get("CHARGERD__LOCAL__SOCKET"):
        return Path(found)
    file = config_path(config)
    if file is None:
        return DEFAULT_SOCKET
    import tomllib

    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
        return Path(tree.get("local", {}).get("socket", DEFAULT_SOCKET))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError) as e:
        if config is None and isinstance(e, PermissionError):
            return DEFAULT_SOCKET  # the daemon's file is not ours to read: no matter
        raise CliError(f"{file}: cannot be read: {e}; give --socket") from e


def config_path(given: Path | None) -> Path | None:
    """--config, else CHARGERD_CONFIG, else the default if it is there."""
    if given:
        return given
    if found := os.environ.get("CHARGERD_CONFIG"):
        return Path(found)
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def ask(path: Path, question: Json) -> Json:
    """The daemon's answer; CliError with the next step if there is none."""
    for answer in stream(path, question):
        return answer
    raise CliError(f"{path}: the daemon closed the connection; see its log")


def stream(path: Path, question: Json) -> Iterator[Json]:
    """Every line the daemon sends for `question`."""
    try:
        line = json.dumps(question, allow_nan=False).encode() + b"\n"
    except ValueError as error:
        raise CliError("numbers must be finite") from error
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(TIMEOUT_S + question.get("interval_s", 0.0))
        try:
            link.connect(str(path))
            link.sendall(line)
            with link.makefile("rb") as lines:
                for answer in lines:
                    yield _checked(answer)
        except OSError as error:
            raise CliError(_next_step(path, error)) from error


def _checked(line: bytes) -> Json:
    try:
        answer: Json = json.loads(line)
    except ValueError as error:
        raise CliError("the daemon's answer is no JSON: versions differ?") from error
    if not answer.pop("ok", False):
        raise CliError(str(answer.get("error", "refused")))
    return answer


def _next_step(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return (
            f"{path}: no such socket. Is the daemon running (systemctl status "
            "chargerd)? Elsewhere: --socket, CHARGERD_SOCKET or --config"
        )
    if isinstance(error, PermissionError):
        return (
            f"{path}: permission denied. Use sudo, or have yourself added to the "
            "group of [local] group and log in again"
        )
    if isinstance(error, ConnectionRefusedError):
        return (
            f"{path}: nobody answers; the daemon has ended. See journalctl -u "
            "chargerd, then systemctl start chargerd"
        )
    if isinstance(error, TimeoutError):
        return (
            f"{path}: no answer in {TIMEOUT_S:.0f} s; the daemon may hang: see its log"
        )
    return f"{path}: {error}"
