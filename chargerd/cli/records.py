"""`chargerctl records`: what is kept, and its export. Reads the files themselves, so it
works without a daemon, too."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chargerd.cli import times
from chargerd.cli.client import CliError

if TYPE_CHECKING:
    from chargerd.records.ledger import Ledger

app = typer.Typer(
    help="Samples of each second, on the disk.", invoke_without_command=True
)
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Folder = Annotated[
    Path | None, typer.Option(help="The records' folder; else the daemon is asked.")
]


class Kind(StrEnum):
    """Settlement records."""

    SLOT = "slot"
    SESSION = "session"


class Format(StrEnum):
    """Of an export."""

    CSV = "csv"
    PARQUET = "parquet"


Evse = Annotated[int | None, typer.Option("--evse", help="Number of the EVSE.")]


Key = Annotated[
    list[str] | None,
    typer.Option("--key", help="A meter's public key, known from elsewhere; for each."),
]


@app.callback()
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """What is kept, from when to when, and whether the disk takes it."""
    if context.invoked_subcommand:
        return
    answer = context.obj.ask("records")
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    from chargerd.cli import show

    show.console().print(show.records(answer))


@app.command()
def export(
    context: typer.Context,
    begin: Annotated[str, typer.Option("--from", help=times.HELP)] = "-1d",
    end: Annotated[str, typer.Option("--to", help=times.HELP)] = "-0s",
    evse: Evse = None,
    out: Annotated[
        Path | None, typer.Option(help="A file; else standard output.")
    ] = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="Else as the file's name ends.")
    ] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Samples as CSV or Parquet. With --json and --out, says what was written."""
    from chargerd.records.errors import RecordsError
    from chargerd.records.export import write_csv
    from chargerd.records.parquet import write_parquet
    from chargerd.records.ring import Ring

    if form is None:
        ends = "" if out is None else out.suffix
        form = Format.PARQUET if ends == ".parquet" else Format.CSV
    if form is Format.PARQUET and out is None:
        raise typer.BadParameter("Parquet needs a file: --out FILE.parquet")
    ring = Ring.to_read(where(context, folder))
    first, last = period(times.instant(begin), times.instant(end))
    rows = ring.rows(first, last, evse)
    try:
        if out is None:
            write_csv(rows, sys.stdout)
            return
        if form is Format.PARQUET:
            count = write_parquet(rows, out)
        else:
            with out.open("w", encoding="utf-8", newline="") as file:
                count = write_csv(rows, file)
    except BrokenPipeError:
        raise SystemExit(0) from None
    except (OSError, RecordsError) as error:
        raise CliError(f"export: {error}") from error
    done = {"rows": count, "file": str(out)}
    typer.echo(json.dumps(done) if as_json else f"{count} rows in {out}")


@app.command()
def verify(
    context: typer.Context,
    head: Annotated[
        str, typer.Option(help="A hash noted before, e.g. from the journal.")
    ] = "",
    key: Key = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Follow the chain of records; check meters' signatures.

    Names the first broken link and each signature that does not hold: exit status 1.
    """
    from dataclasses import asdict

    from chargerd.records.ledger import Ledger

    ledger = Ledger(where(context, folder))
    try:
        verdict = ledger.verify(head)
        count, wrong = signatures(ledger, key or [], verdict.links)
    except OSError as error:
        raise CliError(f"verify: {error}") from error
    if as_json:
        signed = {"signatures": count, "wrong_signatures": wrong}
        typer.echo(json.dumps({**asdict(verdict), **signed}))
    elif not verdict.broken:
        since = f" from number {verdict.first} on" if verdict.first > 1 else ""
        typer.echo(f"{verdict.links} records{since}, each link holds")
        typer.echo(f"newest hash {verdict.head or '-'}")
        typer.echo(_told(count, bool(key)))
    if verdict.broken:
        raise CliError(f"BROKEN after {verdict.links} records: {verdict.broken}")
    if wrong:
        raise CliError(f"{len(wrong)} WRONG: " + "; ".join(wrong[:5]))


def signatures(ledger: Ledger, keys: list[str], links: int) -> tuple[int, list[str]]:
    """Of the first `links` records: how many hold, and the records whose do not."""
    from itertools import islice

    from chargerd.records.signature_check import check

    count, wrong = 0, []
    for link in islice(ledger.links(), links):
        good, why = check(link.record, tuple(keys))
        count += good
        if why:
            name = link.record.get("session_id") or link.record.get("kind")
            wrong.append(f"record {link.number} ({name}): {why}")
    return count, wrong


def _told(count: int, with_keys: bool) -> str:
    if not count:
        return "no signature of a meter is there, or none holds"
    against = "the keys given" if with_keys else "the keys that the meters told (--key)"
    return f"{count} signatures of meters hold against {against}"


@app.command()
def settlement(
    context: typer.Context,
    kind: Annotated[Kind, typer.Option(help="Of which kind.")] = Kind.SLOT,
    begin: Annotated[str, typer.Option("--from", help=times.HELP)] = "-1d",
    end: Annotated[str, typer.Option("--to", help=times.HELP)] = "-0s",
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Energy of half hours or sessions, both directions.

    From the meter's registers.
    """
    found = chained(context, folder, kind.value, begin, end)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    from chargerd.cli import show

    show.console().print(show.settlement(found))


@app.command()
def battery(
    context: typer.Context,
    begin: Annotated[str, typer.Option("--from", help=times.HELP)] = "-30d",
    end: Annotated[str, typer.Option("--to", help=times.HELP)] = "-0s",
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema instead.")
    ] = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """What sessions did to the vehicles' batteries. --json: as the schema says."""
    if schema:
        from importlib.resources import files

        text = files("chargerd.records") / "battery_usage.schema.json"
        typer.echo(text.read_text(encoding="utf-8"), nl=False)
        return
    found = chained(context, folder, "battery", begin, end)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    from chargerd.cli import show

    show.console().print(show.battery(found))


def chained(
    context: typer.Context, folder: Path | None, kind: str, begin: str, end: str
) -> list[dict[str, Any]]:
    """Records of one kind that ended in this time."""
    from chargerd.records.errors import RecordsError
    from chargerd.records.ledger import Ledger

    first, last = times.instant(begin), times.instant(end)
    period(first, last)
    ledger = Ledger(where(context, folder))
    try:
        return [
            link.record
            for link in ledger.links()
            if link.record.get("kind") == kind
            and first <= datetime.fromisoformat(link.record["to_utc"]) < last
        ]
    except (OSError, RecordsError) as error:
        raise CliError(f"{error}; see `chargerctl records verify`") from error


def period(begin: datetime, end: datetime) -> tuple[int, int]:
    """UTC in ms; CliError when there is nothing between."""
    if begin >= end:
        shown = f"{begin:%Y-%m-%d %H:%M:%S}, {end:%Y-%m-%d %H:%M:%S}"
        raise CliError(f"--from must be before --to; they are {shown}")
    return round(begin.timestamp() * 1000), round(end.timestamp() * 1000)


def where(context: typer.Context, given: Path | None) -> Path:
    """The folder of the records, after the daemon has written what waits."""
    if given is None:
        answer: dict[str, Any] = context.obj.ask("records")
        given = Path(answer["folder"])
    try:
        next(given.iterdir(), None)
    except OSError as error:
        raise CliError(f"{given}: {error.strerror}; as root, or --folder") from error
    return given
