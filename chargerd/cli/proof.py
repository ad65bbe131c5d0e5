"""`chargerctl proof`: what the station did over months, for who asks for a proof."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from chargerd.cli import records
from chargerd.cli.client import CliError


def proof(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option(help="A page; with a name on .csv, a table of days.")
    ] = Path("proof.html"),
    begin: Annotated[
        str | None, typer.Option("--from", help="First day, 2026-04-01.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last day.")] = None,
    zone: Annotated[
        str | None, typer.Option(help="Asia/Tokyo, ...; else this machine's.")
    ] = None,
    key: records.Key = None,
    folder: records.Folder = None,
    as_json: records.AsJson = False,
) -> None:
    """Proof of operation by day and month.

    From the chain of records: energy both ways, days in use, dispatch, island, CO2
    avoided, and whether the records are whole.

    Without --from and --to, the last 365 days.
    """
    from chargerd.records.errors import RecordsError
    from chargerd.records.ledger import Ledger
    from chargerd.records.proof import Check, Proof, page, rows_csv, told

    ledger = Ledger(records.where(context, folder))
    where, now = _zone(zone), datetime.now(UTC)
    last = _day(end, "--to") if end else now.astimezone(where).date()
    first = _day(begin, "--from") if begin else last - timedelta(days=364)
    if first > last:
        raise typer.BadParameter(f"--from {first} is after --to {last}")
    try:
        verdict = ledger.verify()
        good, wrong = records.signatures(ledger, key or [], verdict.links)
        found = Proof(first, last, where, until=now)
        for link in islice(ledger.links(), verdict.links):
            found.add(link.record)
        check = Check(verdict.links, verdict.head, verdict.broken, tuple(wrong), good)
        text = rows_csv(found) if out.suffix == ".csv" else page(found, check)
        out.write_text(text, encoding="utf-8")
    except (OSError, RecordsError) as error:
        raise CliError(f"proof: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise CliError(
            f"proof: a record lacks what it should hold: {error!r}; see "
            "`chargerctl records verify`"
        ) from error
    said = {"file": str(out), **told(found, check)}
    days = f"{len(found.days)} days with records"
    typer.echo(json.dumps(said) if as_json else f"{out}: {days}, {first} to {last}")
    if check.broken or check.wrong_signatures:
        raise CliError("the records are not whole; the proof says where")


def _day(written: str, option: str) -> date:
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise typer.BadParameter(f"{option} {written!r}: write 2026-04-01") from None


def _zone(name: str | None) -> tzinfo:
    """This machine's is asked for by name: an offset of today is wrong for half of a
    year with summer time."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    own = os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]
    try:
        return ZoneInfo(name or os.environ.get("TZ") or own)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if name is None:
            return datetime.now().astimezone().tzinfo or UTC
        raise typer.BadParameter(f"--zone {name!r}: write e.g. Asia/Tokyo") from None
