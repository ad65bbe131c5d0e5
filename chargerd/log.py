"""Logging: structlog to stderr, one JSON object a line with the journal's priority.

Redacts secrets and identities by key and by type before anything is rendered, bounds
the size of every event, and gives the standard library's logs the same way out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO, cast

import structlog
from pydantic import SecretStr

from chargerd.config import Log
from chargerd.model import Token

REDACTED = "[redacted]"
# Compared in lower case, without "_" and "-"; a key that ends in one is secret.
_SECRET_ENDINGS = (
    "password",
    "passwd",
    "secret",
    "token",
    "key",
    "pem",
    "certificate",
    "certificatechain",
    "authorization",
    "credential",
    "credentials",
    "evccid",
    "vehicleid",
    "emaid",
    "cookie",
)
_SECRET_NAMES = frozenset({"mac", "vin", "pin", "csr"})
_MAX_TEXT = 2_000
_MAX_ITEMS = 50
_MAX_DEPTH = 4
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def setup(config: Log, stream: TextIO | None = None) -> None:
    """Configure structlog and the standard library's root logger for the process."""
    out = cast(TextIO, _Sink(stream or sys.stderr))
    level = getattr(logging, config.level.upper())
    render: Any = _journal_line
    if config.format == "console":
        render = structlog.dev.ConsoleRenderer(colors=out.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _stamp,
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_library_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak at debug of whole frames, bodies included: never below warning.
    root.setLevel(max(level, logging.WARNING))


class _Sink:
    """A stream whose failure (journal gone, disk full) never reaches the caller."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed, or a lone surrogate
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


def redact(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """structlog processor: secrets out, sizes bounded."""
    for key in list(event):
        event[key] = REDACTED if is_secret(key) else _clean(event[key], 0)
    return event


def is_secret(key: str) -> bool:
    """Whether a field of this name must never be shown."""
    plain = key.lower().replace("_", "").replace("-", "")
    return plain in _SECRET_NAMES or plain.endswith(_SECRET_ENDINGS)


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, Token | SecretStr):
        return REDACTED
    if isinstance(value, str):
        return value if len(value) <= _MAX_TEXT else value[:_MAX_TEXT] + "..."
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"  # payloads and frames: sizes only
    if depth >= _MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {
            str(key): REDACTED if is_secret(str(key)) else _clean(item, depth + 1)
            for key, item in list(value.items())[:_MAX_ITEMS]
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, depth + 1) for item in list(value)[:_MAX_ITEMS]]
    return repr(value)[:_MAX_TEXT]


def _stamp(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event["utc"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    return event


def _library_name(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    record = event.get("_record")
    if record is not None:
        event["library"] = record.name
    return event


def _journal_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """`<priority>` (sd-daemon(3)) and one JSON object."""
    priority = _PRIORITY.get(str(event.get("level")), 6)
    return f"<{priority}>{json.dumps(event, default=str, ensure_ascii=False)}"
