"""`chargerctl report`: a session or any time as a page, from the records' files."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from chargerd.cli import records, times
from chargerd.cli.client import CliError


def report(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    session: Annotated[
        str | None, typer.Option(help="A session that has ended, instead of a time.")
    ] = None,
    begin: Annotated[str, typer.Option("--from", help=times.HELP)] = "-1d",
    end: Annotated[str, typer.Option("--to", help=times.HELP)] = "-0s",
    evse: records.Evse = None,
    folder: records.Folder = None,
    as_json: records.AsJson = False,
) -> None:
    """A session or a day as one HTML page with plots.

    Power, limits, SoC, promise, price, frequency. With --json, the sums too.
    """
    from chargerd.records.errors import RecordsError
    from chargerd.records.ledger import Ledger
    from chargerd.records.report import page, pictures
    from chargerd.records.ring import Ring

    where = records.where(context, folder)
    title = "Charger report"
    try:
        ended = [
            link.record
            for link in Ledger(where).links()
            if link.record.get("kind") == "session"
        ]
        first, last = times.instant(begin), times.instant(end)
        if session is not None:
            one = _session(ended, session)
            ended, evse = [one], one["evse_id"]
            first, last = _span(one)
            title = f"Session {session}"
        begin_ms, end_ms = records.period(first, last)
        listed = [r for r in ended if _in(r, first, last, evse)]
        rows = Ring.to_read(where).rows(begin_ms, end_ms, evse)
        found = pictures(rows, begin_ms, end_ms)
        zone = first.astimezone().tzinfo or first.tzinfo
        if zone is None:
            raise CliError("this machine has no time zone")
        out.write_text(page(title, found, listed, zone), encoding="utf-8")
    except (OSError, RecordsError) as error:
        raise CliError(f"report: {error}") from error
    told: dict[str, Any] = {
        "file": str(out),
        "evses": {n: picture.sums.told() for n, picture in found.items()},
    }
    count = sum(picture.sums.samples for picture in found.values())
    typer.echo(json.dumps(told) if as_json else f"{out}: {count} samples")


def _session(ended: list[dict[str, Any]], session: str) -> dict[str, Any]:
    found = [record for record in ended if record["session_id"] == session]
    if found:
        return found[-1]
    known = ", ".join(record["session_id"] for record in ended[-5:]) or "none"
    raise CliError(
        f"no ended session {session!r}; the last ones: {known}; of one that runs, "
        "give --from and --to"
    )


def _span(record: dict[str, Any]) -> tuple[datetime, datetime]:
    begin, end = (datetime.fromisoformat(record[k]) for k in ("from_utc", "to_utc"))
    return begin, end


def _in(
    record: dict[str, Any], first: datetime, last: datetime, evse: int | None
) -> bool:
    begin, end = _span(record)
    return begin <= last and end >= first and evse in (None, record["evse_id"])
