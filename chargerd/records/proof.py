"""Proof of operation: what a station did over months, from its chain of records. Pure.

For offices that gave a subsidy, e.g. Japan's for V2H (labels in both languages). Counts
only what the chain holds, and says what it does not hold. No token, no vehicle.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from chargerd.records.carbon import METHOD, Carbon, of
from chargerd.records.chain import Record
from chargerd.records.page import document, facts, table

_METER = ("serial", "accuracy_class", "notification")
COLUMNS = (
    ("sessions", "接続回数"),
    ("days in use", "使用日数"),
    ("charged kWh", "充電電力量"),
    ("discharged kWh", "放電電力量"),
    ("dispatched h", "遠隔制御時間"),
    ("island h", "自立運転時間"),
    ("CO2 avoided kg", "CO2削減量"),
    ("recorded %", "記録率"),
)


@dataclass(slots=True)
class Sums:
    """Of a day, a month, or all of it."""

    sessions: int = 0
    used: set[date] = field(default_factory=set)
    import_wh: float = 0.0
    export_wh: float = 0.0
    dispatched_s: float = 0.0
    island_s: float = 0.0
    covered_s: float = 0.0
    wanted_s: float = 0.0  # that could have been covered
    carbon: Carbon = field(default_factory=Carbon)  # of one day
    avoided_g: float | None = None  # the sum of the days

    def cells(self) -> tuple[str, ...]:
        avoided_g = self.avoided_g
        share = self.covered_s / self.wanted_s if self.wanted_s else 0.0
        return (
            str(self.sessions),
            str(len(self.used)),
            f"{self.import_wh / 1000.0:.2f}",
            f"{self.export_wh / 1000.0:.2f}",
            f"{self.dispatched_s / 3600.0:.1f}",
            f"{self.island_s / 3600.0:.1f}",
            "" if avoided_g is None else f"{avoided_g / 1000.0:.2f}",
            f"{min(1.0, share):.1%}",
        )


@dataclass(slots=True)
class Proof:
    """Everything between two days of `zone`; `add` every record of the chain."""

    first: date
    last: date  # the last day that counts
    zone: tzinfo
    until: datetime  # nothing can be recorded after that
    stations: set[str] = field(default_factory=set)
    meters: set[tuple[str, ...]] = field(default_factory=set)
    evses: set[int] = field(default_factory=set)
    days: dict[date, Sums] = field(default_factory=dict)
    untrusted: int = 0  # slots whose clock was not set

    def add(self, record: Record) -> None:
        if record.get("kind") not in ("slot", "session"):
            return
        day = datetime.fromisoformat(record["from_utc"]).astimezone(self.zone).date()
        if not self.first <= day <= self.last:
            return
        sums = self.days.setdefault(day, Sums())
        self.stations.add(record["station"])
        self.evses.add(record["evse_id"])
        if record["kind"] == "slot":
            self._slot(sums, record)
        else:
            sums.sessions += 1
        if sums.sessions or sums.import_wh + sums.export_wh > 0.0:
            sums.used.add(day)

    def _slot(self, sums: Sums, record: Record) -> None:
        """Records of versions that did not count a thing yet have none of it."""
        self.meters.add(tuple(record["meter"].get(name, "") for name in _METER))
        if record["sessions"]:  # without a vehicle it is the station's own use
            sums.import_wh += record["import_wh"]
            sums.export_wh += record["export_wh"]
        sums.dispatched_s += record.get("dispatched_s", 0.0)
        sums.island_s += record.get("island_s", 0.0)
        sums.covered_s += record["covered_s"]
        sums.carbon.join(of(record.get("co2")))
        self.untrusted += not record["clock_trusted"]

    def months(self) -> dict[str, Sums]:
        """By month of the zone, those that hold something."""
        found: dict[str, Sums] = {}
        for day, sums in sorted(self.by_day().items()):
            _join(found.setdefault(f"{day:%Y-%m}", Sums()), sums)
        return found

    def total(self) -> Sums:
        whole = Sums()
        for sums in self.by_day().values():
            _join(whole, sums)
        return whole

    def by_day(self) -> dict[date, Sums]:
        """Every day since the first record, with the seconds it could have had."""
        if not self.days:
            return {}
        found = {}
        for number in range(min(self.days).toordinal(), self.last.toordinal() + 1):
            day = date.fromordinal(number)
            sums = self.days.get(day, Sums())
            begin, end = (  # in UTC: a day may have 23 or 25 hours
                datetime(d.year, d.month, d.day, tzinfo=self.zone).astimezone(UTC)
                for d in (day, date.fromordinal(number + 1))
            )
            if begin >= self.until:
                break
            length_s = (min(end, self.until) - begin).total_seconds()
            sums.wanted_s = length_s * len(self.evses)
            sums.avoided_g = sums.carbon.avoided_g
            found[day] = sums
        return found


def _join(to: Sums, more: Sums) -> None:
    to.sessions += more.sessions
    to.used |= more.used
    to.import_wh += more.import_wh
    to.export_wh += more.export_wh
    to.dispatched_s += more.dispatched_s
    to.island_s += more.island_s
    to.covered_s += more.covered_s
    to.wanted_s += more.wanted_s
    if more.avoided_g is not None:
        to.avoided_g = (to.avoided_g or 0.0) + more.avoided_g


@dataclass(frozen=True, slots=True)
class Check:
    """What `chargerctl records verify` found over the whole chain."""

    links: int
    head: str
    broken: str
    wrong_signatures: tuple[str, ...]
    good_signatures: int


def page(proof: Proof, check: Check) -> str:
    """As HTML. It says itself what it does not prove."""
    total = proof.total()
    names = [f"{english} {other}" for english, other in COLUMNS]
    body = [
        "<h1>Proof of operation 運転実績報告</h1>",
        f"<p>{proof.first} to {proof.last} ({html.escape(str(proof.zone))})</p>",
        facts(
            [
                ("station", ", ".join(sorted(proof.stations)) or "-"),
                ("EVSEs", ", ".join(map(str, sorted(proof.evses))) or "-"),
                ("meter 計量器", _meters(proof)),
            ]
        ),
        facts(list(zip(names, total.cells(), strict=True))),
    ]
    if proof.days:
        rows = [(month, *sums.cells()) for month, sums in proof.months().items()]
        body.append("<h2>By month 月別</h2>")
        body.append(table(("month 月", *names), rows))
    else:
        body.append("<p>The chain holds no record of this time.</p>")
    body += ["<h2>Integrity of the records 記録の完全性</h2>", _integrity(proof, check)]
    if total.avoided_g is not None:
        body.append(f"<p>{METHOD} Each day counts by itself.</p>")
    return document("Proof of operation", "".join(body))


def rows_csv(proof: Proof) -> str:
    """By day, for a form or a spreadsheet."""
    lines = [("day", *(english for english, _ in COLUMNS))]
    lines += [(f"{day}", *sums.cells()) for day, sums in proof.by_day().items()]
    lines.append(("total", *proof.total().cells()))
    return "".join(",".join(line) + "\n" for line in lines)


def told(proof: Proof, check: Check) -> dict[str, Any]:
    """For programs."""
    return {
        "from": proof.first.isoformat(),
        "to": proof.last.isoformat(),
        "stations": sorted(proof.stations),
        "total": dict(zip((n for n, _ in COLUMNS), proof.total().cells(), strict=True)),
        "links": check.links,
        "head": check.head,
        "broken": check.broken,
        "good_signatures": check.good_signatures,
        "wrong_signatures": list(check.wrong_signatures),
    }


def _meters(proof: Proof) -> str:
    named = [" / ".join(filter(None, meter)) for meter in sorted(proof.meters)]
    return ", ".join(filter(None, named)) or "not named: [records.meter]"


def _integrity(proof: Proof, check: Check) -> str:
    """In words: what was checked, and what nobody can tell from this page alone."""
    lines = []
    if check.broken:
        lines.append(f"BROKEN: {check.broken}. Records behind it are not counted.")
    else:
        head = check.head or "-"
        lines.append(
            f"All {check.links} records of the chain hold, newest hash {head}. "
            "It was checked when this page was made: `chargerctl records verify`."
        )
    if check.wrong_signatures:
        lines.append(f"WRONG SIGNATURES: {'; '.join(check.wrong_signatures[:5])}.")
    elif check.good_signatures:
        lines.append(f"{check.good_signatures} signatures of the meter itself hold.")
    else:
        lines.append("The meter signs nothing itself: energies are its registers'.")
    if proof.untrusted:
        lines.append(f"In {proof.untrusted} half hours the clock was not set.")
    lines.append(
        "Recorded: the share of time in which the meter answered, since the first "
        "record of this time. Energy counts while a vehicle is there, at the meter."
    )
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)
