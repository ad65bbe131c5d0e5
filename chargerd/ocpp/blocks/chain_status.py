"""Block M07: whether a certificate of a vehicle is revoked, as the CSMS has it.

Owns the cache of answers, at most a week old (ISO 15118-20). Decides nothing: whoever
asked is told of a revoked certificate, and goes on where nobody knows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from chargerd.clock import Now
from chargerd.model import Revocable
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.certificates import hash_data
from chargerd.ocpp.blocks.desk import Desk, stamp
from chargerd.ocpp.effects import Answer, Durability, OcppError, Payload
from chargerd.ocpp.profiles import parse_time
from chargerd.ocpp.v2 import dialect

LONGEST = timedelta(days=7)  # M07.FR.09
KNOWN_MAX = 500  # certificates; then the one that ends first goes
ASKED_MAX, URLS_MAX, URL_MAX = 4, 5, 2000  # what the schema takes
SPACE = "chain_status"

Told = Callable[[bool], None]  # is one of them revoked?


class ChainStatus(Block):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: dict[str, tuple[bool, datetime]] = {}  # revoked, and until when
        for key, row in desk.saved.get(SPACE, {}).items():
            with contextlib.suppress(OcppError):  # asked for again
                self._known[key] = (row["revoked"], parse_time(row["until"]))

    def ask(self, chain: Sequence[Revocable], told: Told, now: Now) -> None:
        """`told` is called once: now, or when the CSMS has answered."""
        fresh = {
            key: revoked
            for key, (revoked, until_utc) in self._known.items()
            if until_utc > now.utc
        }
        missing = [each for each in chain if _key(each) not in fresh]
        revoked = any(fresh.get(_key(each), False) for each in chain)
        able = self._desk.online and self._desk.accepted
        able = able and self._desk.version == dialect.V21
        if revoked or not missing or not able:
            told(revoked)
            return

        def answered(request: Payload, answer: Answer, now: Now) -> None:
            told(self._take(answer, missing, now))

        rows = [_row(each) for each in missing[:ASKED_MAX]]
        self._desk.send(
            "GetCertificateChainStatus",
            {"certificateStatusRequests": rows},
            now,
            Durability.NOW_OR_NEVER,
            answered=answered,
        )

    def _take(self, answer: Answer, asked: Sequence[Revocable], now: Now) -> bool:
        """Keep what is known now; a status that failed is asked for again."""
        if not isinstance(answer, dict):
            return False
        names = {_key(each) for each in asked}
        found = False
        for row in answer["certificateStatus"]:
            data = row["certificateHashData"]
            key = _name(
                data["issuerNameHash"], data["issuerKeyHash"], data["serialNumber"]
            )
            if key not in names or row["status"] == "Failed":
                continue
            revoked = row["status"] == "Revoked"
            found = found or revoked
            with contextlib.suppress(OcppError):
                until = min(parse_time(row["nextUpdate"]), now.utc + LONGEST)
                self._keep(key, revoked, until)
        return found

    def _keep(self, key: str, revoked: bool, until_utc: datetime) -> None:
        if key not in self._known and len(self._known) >= KNOWN_MAX:
            first = min(self._known, key=lambda each: self._known[each][1])
            del self._known[first]
            self._desk.save(SPACE, first, None)
        self._known[key] = (revoked, until_utc)
        row = {"revoked": revoked, "until": stamp(until_utc)}
        self._desk.save(SPACE, key, row)


def _name(issuer_name_hash: str, issuer_key_hash: str, serial: str) -> str:
    number = serial.lower().lstrip("0")
    return f"{issuer_name_hash.lower()} {issuer_key_hash.lower()} {number}"


def _key(each: Revocable) -> str:
    name = each.name
    return _name(name.issuer_name_hash, name.issuer_key_hash, name.serial)


def _row(each: Revocable) -> Payload:
    """A CertificateStatusRequestInfoType."""
    urls = [url for url in each.urls if len(url) <= URL_MAX][:URLS_MAX]
    return {
        "certificateHashData": hash_data(each.name),
        "source": each.source,
        "urls": urls,
    }
