"""Block D: the list of tokens that the central system keeps here.

Owns the list, its version, and how it reaches the disk: in slices, so that thousands of
tokens never hold the loop. Changed by SendLocalList only (D01.FR.09). Decides nothing:
authorization.py does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, refusal
from chargerd.ocpp.blocks.tokens import digest_of, kept
from chargerd.ocpp.effects import Answer, OcppError, Payload
from chargerd.ocpp.profiles import parse_time
from chargerd.ocpp.table.local_list import LIST_ENTRIES, LIST_ITEMS

SPACE = "local_list"
VERSION = "version"
SHARD_LETTERS = 2  # of a digest: at most 256 values on disk, about 20 tokens in each
SHARDS_AT_ONCE = 8
REFUSED = "Failed"


@dataclass(frozen=True, slots=True)
class Known:
    """What the list says of a token. `expired`: its cacheExpiryDateTime has passed."""

    info: Payload
    expired: bool


class LocalList(Block):
    """Digest of a token -> IdTokenInfoType, in shards by the digest's first letters."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        saved = desk.saved.get(SPACE, {})
        self._version, self._shards = _restored(saved)
        # Shards that the disk has yet to get; what a crash left there has to go.
        self._unsaved = [] if self._version else [n for n in saved if n != VERSION]
        self._prepared: tuple[Payload, list[tuple[str, Payload | None]]] | None = None
        self._count()

    def routes(self) -> Mapping[str, Handler]:
        return {"GetLocalListVersion": self.version, "SendLocalList": self.update}

    def find(self, key: str, now: Now) -> Known | None:
        info = self._shard(key).get(key) if self._enabled else None
        if info is None:
            return None
        checked = self._desk.model.flag("LocalAuthListCtrlr", "SupportsExpiryDateTime")
        return Known(info, checked and _expired(info, now))

    def _shard(self, key: str) -> dict[str, Payload]:
        return self._shards.setdefault(key[:SHARD_LETTERS], {})

    @property
    def _size(self) -> int:
        return sum(map(len, self._shards.values()))

    @property
    def _enabled(self) -> bool:
        return self._desk.model.flag("LocalAuthListCtrlr", "Enabled")

    # Questions and changes of the CSMS.

    def version(self, request: Payload, now: Now) -> Answer:
        """GetLocalListVersion (D02); 0 = there is no list."""
        return {"versionNumber": self._version if self._enabled else 0}

    def prepare(self, request: Payload) -> None:
        """The slow part of a large `update`; may run in a thread."""
        self._prepared = (request, _rows(request))

    def update(self, request: Payload, now: Now) -> Answer:
        """SendLocalList (D01): all of it takes effect, or nothing."""
        given = request.get("localAuthorizationList", [])
        full = request["updateType"] == "Full"
        version = request["versionNumber"]
        prepared, self._prepared = self._prepared, None
        if not self._enabled:
            return refusal("NotEnabled", "LocalAuthListCtrlr.Enabled", REFUSED)
        if version <= 0:
            return refusal("ValuePositiveOnly", "versionNumber", REFUSED)  # D01.FR.18
        if not full and version <= self._version:  # D01.FR.19
            return {"status": "VersionMismatch"}
        if len(given) > LIST_ITEMS:  # D01.FR.11
            return refusal("TooManyElements", f"at most {LIST_ITEMS}", REFUSED)
        if prepared is not None and prepared[0] is request:
            rows = prepared[1]
        else:
            rows = _rows(request)
        if len(dict(rows)) < len(rows):  # D01.FR.06
            return refusal("InvalidValue", "a token comes twice", REFUSED)
        if full and any(info is None for _, info in rows):
            return refusal("MissingParam", "idTokenInfo", REFUSED)
        more = sum(
            (info is not None) - (not full and key in self._shard(key))
            for key, info in rows
        )
        if more + (0 if full else self._size) > LIST_ENTRIES:
            return refusal("OutOfStorage", f"at most {LIST_ENTRIES} tokens", REFUSED)
        self._take(rows, version, full=full)
        return {"status": "Accepted"}

    def _take(
        self, rows: list[tuple[str, Payload | None]], version: int, *, full: bool
    ) -> None:
        touched = {key[:SHARD_LETTERS] for key, _ in rows}
        if full:
            touched |= self._shards.keys()
            self._shards = {}
        for key, info in rows:
            if info is None:
                self._shard(key).pop(key, None)
            else:
                self._shard(key)[key] = info
        self._version = version
        self._count()
        # While the disk holds a part of the change there is no list on it: after a
        # crash in between, version 0 makes the central system send all of it again.
        self._desk.save(SPACE, VERSION, 0)
        self._unsaved = sorted(touched | set(self._unsaved))
        self._save_some()

    def _count(self) -> None:
        count = str(self._size)
        self._desk.model.update("LocalAuthListCtrlr", "Entries", count)

    # The disk.

    def next_timer(self) -> float:
        return 0.0 if self._unsaved else math.inf

    def on_timer(self, now: Now) -> None:
        if self._unsaved:
            self._save_some()

    def _save_some(self) -> None:
        for shard in self._unsaved[:SHARDS_AT_ONCE]:
            part = self._shards.get(shard)
            self._desk.save(SPACE, shard, dict(part) if part else None)
        del self._unsaved[:SHARDS_AT_ONCE]
        if not self._unsaved:
            self._desk.save(SPACE, VERSION, self._version)


def _rows(request: Payload) -> list[tuple[str, Payload | None]]:
    return [
        (
            digest_of(row["idToken"]),
            kept(row["idTokenInfo"]) if "idTokenInfo" in row else None,
        )
        for row in request.get("localAuthorizationList", [])
    ]


def _restored(saved: Mapping[str, Any]) -> tuple[int, dict[str, dict[str, Payload]]]:
    version = saved.get(VERSION, 0)
    if not isinstance(version, int) or version <= 0:
        return 0, {}
    shards = {
        name: {key: info for key, info in shard.items() if _is_info(info)}
        for name, shard in saved.items()
        if isinstance(shard, dict)
    }
    return version, shards


def _is_info(info: Any) -> bool:
    return isinstance(info, dict) and isinstance(info.get("status"), str)


def _expired(info: Payload, now: Now) -> bool:
    told = info.get("cacheExpiryDateTime")
    try:
        return told is not None and now.utc > parse_time(told)
    except OcppError:
        return True
