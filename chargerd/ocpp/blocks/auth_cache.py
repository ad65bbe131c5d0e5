"""Blocks C10 and C11: what the central system said of tokens before.

Owns the authorization cache, on disk and in its size, and ClearCache. Decides nothing:
authorization.py does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, refusal, stamp
from chargerd.ocpp.blocks.tokens import UNCHECKED_KINDS, digest_of, kept
from chargerd.ocpp.effects import Answer, OcppError, Payload
from chargerd.ocpp.profiles import parse_time
from chargerd.ocpp.table.auth import CACHE_BYTES, CACHE_ENTRIES

SPACE = "auth_cache"


class AuthCache(Block):
    """Digest of a token -> {"info": IdTokenInfoType, "at": told, "used": presented};
    and "tariff", if one came with it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._entries: dict[str, dict[str, Any]] = {}
        self._bytes = 0
        for key, entry in desk.saved.get(SPACE, {}).items():
            if _is_entry(entry):
                self._entries[key] = entry
                self._bytes += _size(entry)

    def routes(self) -> Mapping[str, Handler]:
        return {"ClearCache": self.clear}

    def refresh(self, now: Now) -> None:
        self._desk.model.update("AuthCacheCtrlr", "Storage", str(self._bytes))

    @property
    def _enabled(self) -> bool:
        return self._desk.model.flag("AuthCacheCtrlr", "Enabled")

    def find(self, key: str, now: Now) -> Payload | None:
        """What is known of a token; presenting it makes it the last one to go."""
        entry = self._entries.get(key)
        if entry is None or not self._enabled:
            return None
        if self._is_old(entry, now):  # C10.FR.10, .13
            self._remove(key)
            return None
        self._put(key, {**entry, "used": stamp(now.utc)})
        info: Payload = entry["info"]
        return info

    def held(self, key: str) -> Payload | None:
        """What is kept of a token, valid or not (N09)."""
        return self._entries.get(key)

    def forget(self, key: str) -> None:
        """As its owner wishes (N10)."""
        self._remove(key)

    def _is_old(self, entry: Mapping[str, Any], now: Now) -> bool:
        """By the central system's word, else by LifeTime; 0 = never."""
        try:
            told = entry["info"].get("cacheExpiryDateTime")
            if told is not None:
                return now.utc > parse_time(told)
            life_s = self._desk.model.number("AuthCacheCtrlr", "LifeTime")
            age = now.utc - parse_time(entry["at"])
        except OcppError:
            return True  # better not known than known for ever
        return 0 < life_s < age / timedelta(seconds=1)

    def learn(self, token: Payload, info: Payload, now: Now) -> None:
        """The CSMS has spoken of a token: whatever it said is kept (C10.FR.01)."""
        if not self._enabled or token["type"] in UNCHECKED_KINDS:
            return
        key, at = digest_of(token), stamp(now.utc)
        entry = {"info": kept(info), "at": at, "used": at}
        if self._is_old(entry, now):
            self._remove(key)
            return
        known = self._entries.get(key)
        if known is not None and "tariff" in known and info["status"] == "Accepted":
            entry["tariff"] = known["tariff"]  # only Authorize brings another
        self._put(key, entry)
        self._make_room(key)

    # The driver's tariff, as long as the token is known (I08.FR.05).

    def tariff(self, key: str) -> Payload | None:
        entry = self._entries.get(key)
        found: Payload | None = entry.get("tariff") if entry else None
        return found if isinstance(found, dict) else None

    def put_tariff(self, key: str, told: Payload | None) -> None:
        """What Authorize said of it; None = nothing."""
        entry = self._entries.get(key)
        if entry is not None:
            plain = {k: v for k, v in entry.items() if k != "tariff"}
            self._put(key, {**plain, **({"tariff": told} if told else {})})
            self._make_room(key)

    def forget_tariffs(self, ids: Iterable[str] | None) -> None:
        """ClearTariffs (I10); None = all."""
        for key in list(self._entries):
            told = self.tariff(key)
            if told is not None and (ids is None or told["tariffId"] in ids):
                self.put_tariff(key, None)

    def _make_room(self, newest: str) -> None:
        """Refused tokens go first, then the oldest by Policy (C10.FR.07)."""
        if _size(self._entries[newest]) > CACHE_BYTES:  # nothing could stay beside it
            self._remove(newest)
        since = "at" if self._policy == "FIFO" else "used"
        while len(self._entries) > CACHE_ENTRIES or self._bytes > CACHE_BYTES:
            others = [key for key in self._entries if key != newest]
            self._remove(min(others, key=lambda key: self._worth(key, since)))

    @property
    def _policy(self) -> str:
        return self._desk.model.text("AuthCacheCtrlr", "Policy")

    def _worth(self, key: str, since: str) -> tuple[bool, str]:
        entry = self._entries[key]
        return entry["info"]["status"] == "Accepted", entry[since]

    def _put(self, key: str, entry: dict[str, Any]) -> None:
        known = self._entries.get(key)
        if known == entry:
            return
        self._bytes += _size(entry) - (_size(known) if known else 0)
        self._entries[key] = entry
        self._desk.save(SPACE, key, entry)

    def _remove(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= _size(entry)
            self._desk.save(SPACE, key, None)

    def clear(self, request: Payload, now: Now) -> Answer:
        """ClearCache (C11)."""
        if not self._enabled:
            return refusal("NotEnabled", "AuthCacheCtrlr.Enabled is false")
        if self._desk.disk_broken:  # C11.FR.05: they would be back after a restart
            return refusal("OutOfStorage", "the disk does not take the change")
        for key in list(self._entries):
            self._remove(key)
        return {"status": "Accepted"}


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("info"), dict):
        return False
    texts = (entry["info"].get("status"), entry.get("at"), entry.get("used"))
    return all(isinstance(text, str) for text in texts)


def _size(entry: Mapping[str, Any]) -> int:
    """What it takes on disk, its key included."""
    return 32 + len(json.dumps(entry, ensure_ascii=False).encode())
