"""`chargerctl v2g`: ISO 15118 and DIN 70121 messages read and written by hand.

Arguments and output only; needs no daemon. The codec is imported when asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chargerd.cli.client import CliError

if TYPE_CHECKING:
    from chargerd.cli.v2g_trace import Event, Reading

Json = dict[str, Any]

app = typer.Typer(
    help="Messages between vehicle and charger, from hex or captures.",
    no_args_is_help=True,
)

_PHYSICAL = {"Exponent", "Multiplier", "Unit", "Value"}

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per message.")]
SCHEMA_HELP = "sap, din, iso2, common, ac, dc, acdp or wpt; else by header or trial."


@app.command()
def decode(
    what: Annotated[
        str, typer.Argument(help="Hex (EXI or whole V2GTP frames) or a pcap(ng) file.")
    ],
    schema: Annotated[str | None, typer.Option(help=SCHEMA_HELP)] = None,
    as_json: AsJson = False,
) -> None:
    """Print what was said, as a tree or as JSON."""
    path = Path(what)
    if _is_file(path):
        _decode_capture(path, as_json)
        return
    for reading in _decode_hex(what, schema):
        if as_json:
            typer.echo(json.dumps(_line(reading), ensure_ascii=False))
        else:
            _tree(f"{reading.name} ({reading.schema})", reading)


@app.command()
def encode(
    what: Annotated[str, typer.Argument(help="JSON, a file of it, or - for stdin.")],
    schema: Annotated[
        str, typer.Option(help="sap, din, iso2, common, ac, dc, acdp or wpt.")
    ],
    frame: Annotated[
        bool, typer.Option("--frame", help="With the V2GTP header.")
    ] = False,
) -> None:
    """Print a message's bytes as hex, from the JSON that decode prints."""
    from chargerd.cli.v2g_trace import SCHEMAS_OF_TYPE
    from chargerd.vehicle.iso15118 import exi, v2gtp
    from chargerd.vehicle.iso15118.errors import V2gError

    value = _json(what)
    try:
        data = exi.encode(exi.from_json(schema, value.get("message", value)))
    except V2gError as error:
        raise CliError(str(error)) from error
    if frame:
        data = v2gtp.pack(
            next(kind for kind, names in SCHEMAS_OF_TYPE.items() if schema in names),
            data,
        )
    typer.echo(data.hex())


def _is_file(path: Path) -> bool:
    """False for hex of any length: a name may be too long to be one."""
    try:
        return path.is_file()
    except OSError:
        return False


def _decode_hex(text: str, schema: str | None) -> Iterator[Reading]:
    from chargerd.cli.v2g_trace import ANY_SCHEMA, SYNC, read, read_frame
    from chargerd.vehicle.iso15118 import v2gtp
    from chargerd.vehicle.iso15118.errors import V2gError

    try:
        data = bytes.fromhex(text.replace(":", " ").removeprefix("0x"))
    except ValueError:
        raise CliError("neither a file nor hex: give EXI as hex or a capture") from None
    try:
        if not data.startswith(SYNC):
            yield read(data, ANY_SCHEMA if schema is None else (schema,))
            return
        if data[2:3] == b"\x90":
            yield read_frame(v2gtp.unpack(data))
            return
        framer = v2gtp.Framer()
        framer.receive(data)
        while (each := framer.next_frame()) is not None:
            known = schema is None
            yield read_frame(each) if known else read(each.payload, (schema or "",))
        if framer.waiting:
            raise CliError(f"it ends inside a frame: {framer.waiting} bytes are left")
    except V2gError as error:
        raise CliError(str(error)) from error


def _decode_capture(path: Path, as_json: bool) -> None:
    from chargerd.cli import pcap
    from chargerd.cli.v2g_trace import trace

    count = 0
    with path.open("rb") as file:
        for event in trace(pcap.segments(file)):
            count += 1
            if as_json:
                typer.echo(json.dumps(_event_line(event), ensure_ascii=False))
            elif event.reading is None:
                typer.echo(f"{_heading(event)}: {event.text}")
            else:
                _tree(f"{_heading(event)}: {event.reading.name}", event.reading)
    if count == 0:
        raise CliError("no V2G traffic in this capture: take it on the charger's side")


def _line(reading: Reading) -> Json:
    line: Json = {
        "schema": reading.schema,
        "name": reading.name,
        "message": reading.value,
    }
    if reading.tolerated:
        line["tolerated"] = list(reading.tolerated)
    return line


def _event_line(event: Event) -> Json:
    line: Json = {
        "time_s": round(event.time_s, 6),
        "source": list(event.source),
        "target": list(event.target),
        "hex": event.data.hex(),
    }
    if event.reading is None:
        return {**line, "error": event.text}
    return {**line, **_line(event.reading)}


def _heading(event: Event) -> str:
    stamp = datetime.fromtimestamp(event.time_s, UTC).strftime("%H:%M:%S.%f")[:-3]
    ends = (f"[{host}]:{port}" for host, port in (event.source, event.target))
    return f"{stamp} {' > '.join(ends)}"


def _tree(title: str, reading: Reading) -> None:
    typer.echo(title)
    for note in reading.tolerated:
        typer.echo(f"  ! {note}")
    name = next(iter(reading.value))
    for line in _lines(reading.value[name], 1):
        typer.echo(line)


def _lines(value: Any, depth: int) -> Iterator[str]:
    """Nested values, two blanks a level; a list repeats its element's name."""
    pairs = value.items() if isinstance(value, dict) else [("", value)]
    indent = "  " * depth
    for key, item in pairs:
        for each in item if isinstance(item, list) else [item]:
            if isinstance(each, dict) and (number := _physical(each)):
                yield f"{indent}{key} {number}"
            elif isinstance(each, dict):
                yield f"{indent}{key}"
                yield from _lines(each, depth + 1)
            else:
                text = str(each).lower() if isinstance(each, bool) else str(each)
                yield f"{indent}{key} {text}"


def _physical(value: Json) -> str | None:
    """`400 V (40 x 10^1)` for a PhysicalValue or RationalNumber; None for others."""
    power = value.get("Exponent", value.get("Multiplier"))
    if power is None or not {"Value"} < set(value) <= _PHYSICAL:
        return None
    shown = f"{value['Value'] * 10**power:.{max(0, -power)}f}"
    unit = f" {value['Unit']}" if "Unit" in value else ""
    return f"{shown}{unit} ({value['Value']} x 10^{power})" if power else shown + unit


def _json(what: str) -> Json:
    """The object given as text, file or stdin."""
    path = Path(what)
    if what == "-":
        text = typer.get_text_stream("stdin").read()
    elif _is_file(path):
        text = path.read_text()
    else:
        text = what
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CliError(f"no JSON: {error}; give what `v2g decode --json` prints") from (
            error
        )
    if not isinstance(value, dict):
        raise CliError("give a JSON object, as `v2g decode --json` prints it")
    return value
