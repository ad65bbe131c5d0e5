"""Answers of the local API as tables for people. Text out, nothing decided.

Power: positive = into the vehicle. Imports rich, so only when a table is wanted.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from chargerd.cli import plan as chart
from chargerd.cli import promise as promises

Json = dict[str, Any]
plan = chart.render
promise = promises.render


def watts(value: Any) -> str:
    """`-5.00 kW`; `-` where there is none; never minus nothing."""
    if not isinstance(value, int | float):
        return "-"
    return f"{value / 1000:+.2f} kW" if abs(value) >= 5 else "0.00 kW"


def _text(value: Any, unit: str = "", digits: int = 0) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        value = f"{value:.{digits}f}"
    return f"{value} {unit}".rstrip()


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    for name in columns:
        numeric = name in {"power", "setpoint", "SoC", "in", "out", "low", "high"}
        side: JustifyMethod = "right" if numeric else "left"
        table.add_column(name, justify=side, overflow="fold")  # never cut off
    return table


def status(answer: Json) -> RenderableType:
    columns = ("EVSE", "pilot", "session", "vehicle", "SoC", "power", "in", "out")
    table = _table("EVSEs", *columns, "faults")
    for row in answer["evses"]:
        vehicle = row.get("vehicle", {})
        faults = ", ".join(row.get("faults", ())) or "none"
        table.add_row(
            str(row["evse_id"]),
            row.get("pilot_state", "?"),
            row["phase"] + ("" if row.get("operative", True) else " (inoperative)"),
            _text(vehicle.get("protocol")),
            _text(vehicle.get("soc_pct"), "%", 1),
            watts(row.get("meter_w")),
            _text(row.get("energy_in_wh"), "Wh"),
            _text(row.get("energy_out_wh"), "Wh"),
            Text(faults, style="" if faults == "none" else "bold red"),
        )
    lines: list[RenderableType] = [table]
    for row in answer["evses"]:
        if decided := row.get("decision"):
            lines.append(Text(_commanded(row["evse_id"], decided), style="dim"))
        if row.get("promise"):
            lines.append(Text(_promise(row["evse_id"], row["promise"])))
    if answer.get("station"):
        lines += _station(answer["station"])
    return Group(*lines)


def _commanded(evse_id: int, decided: Json) -> str:
    """The setpoint, who decided it, and the reason in its own words."""
    source, why_now = decided["source"], decided["why"]
    who = "" if why_now.startswith(source) else f"{source}; "
    return f"EVSE {evse_id}: {watts(decided['power_w'])} commanded by {who}{why_now}"


def _station(station: Json) -> list[Text]:
    """The daemon's own condition; what is wrong in red."""
    minutes, seconds = divmod(round(station.get("up_s", 0.0)), 60)
    link = "connected" if station.get("ocpp_connected") else "NOT connected"
    if link != "connected" and station.get("ocpp_why"):
        link += f" ({station['ocpp_why']})"
    clock = "right" if station.get("clock_trusted") else "not set by anyone yet"
    p99 = {
        name: station.get(f"{name}_ms", {}).get("p99", 0.0)
        for name in ("tick_late", "tick_took", "signal")
    }
    lines = [
        Text(
            f"{station.get('id', '?')}, chargerd {station.get('version', '?')}, "
            f"up {minutes} min {seconds} s; central system {link}; clock {clock}"
        ),
        Text(
            f"p99: ticks {p99['tick_late']:.1f} ms late, take {p99['tick_took']:.1f} "
            f"ms; signals decided in {p99['signal']:.1f} ms; "
            f"{station.get('overruns', 0)} overruns",
            style="dim",
        ),
    ]
    lines += [
        Text(_margins(evse_id, found), style="dim")
        for evse_id, found in station.get("v2g", {}).items()
        if found["margins_ms"]
    ]
    restarts = station.get("restarts", {}).items()
    wrong = [f"{name} was restarted {count} times" for name, count in restarts if count]
    wrong += [
        f"{name} keeps failing and is tried less often; the log says why"
        for name in station.get("degraded", ())
    ]
    wrong += [
        f"{name}: {station[key]}"
        for name, key in (("store", "store_fault"), ("records", "records_fault"))
        if station.get(key)
    ]
    return lines + [Text(line, style="bold red") for line in wrong]


def _margins(evse_id: object, found: Json) -> str:
    """How close answers to vehicles came to their limit."""
    request, least_ms = min(found["margins_ms"].items(), key=lambda item: item[1])
    return (
        f"EVSE {evse_id}: least time that an answer had left {least_ms:.1f} ms "
        f"({request}), {found['late_answers']} late"
    )


def why(answer: Json) -> RenderableType:
    parts: list[RenderableType] = []
    for evse in answer["evses"]:
        now = evse["now"]
        if now is None:
            parts.append(Text(f"EVSE {evse['evse_id']}: nothing decided yet"))
            continue
        parts.append(reasons(f"EVSE {evse['evse_id']} now", now))
        parts.append(Text(_beside(now, evse.get("meter_w"))))
        table = _table("before", "from (UTC)", "to", "power", "decided by", "won")
        for row in evse["history"][1:]:
            won = dict.fromkeys(r["source"] for r in row["reasons"] if r["won"])
            table.add_row(
                row["from_utc"][11:23],
                row["to_utc"][11:23],
                watts(row["power_w"]),
                row["source"],
                ", ".join(won),
            )
        if table.row_count:
            parts.append(table)
    return Group(*parts)


def why_then(answer: Json) -> RenderableType:
    parts: list[RenderableType] = []
    for evse in answer["evses"]:
        name, then = f"EVSE {evse['evse_id']}", evse["then"]
        if then is None:
            parts.append(Text(f"{name}: nothing is recorded of {answer['at_utc']}"))
        elif "reasons" in then:
            begin, end = then["from_utc"][11:23], then["to_utc"][11:23]
            parts.append(reasons(f"{name} from {begin} to {end} UTC", then))
        else:
            parts += [
                Text(f"{name}: the reasons of that moment were not kept"),
                _pairs(f"{name}: the sample", then),
            ]
    return Group(*parts)


def flex(answer: Json) -> RenderableType:
    table = _table("flexibility", "EVSE", "power", "", "up", "down")
    lines: list[RenderableType] = []
    for row in answer["evses"]:
        name, found = str(row["evse_id"]), row["flexibility"]
        if found is None:
            table.add_row(name, "-", "", "-", "-")
            continue
        kwh = [f"{found[key] / 1000:.2f} kWh" for key in ("up_wh", "down_wh")]
        kept = [f"{found[f'reserve_{way}_w']:.0f} W" for way in ("up", "down")]
        table.add_row(name, watts(row["power_w"]), "power", *_ways(found))
        table.add_row("", "", "energy", *kwh)
        if kept != ["0 W", "0 W"]:
            table.add_row("", "", "of it reserve", *kept)
        until = found["until_utc"]
        end = f"until {_local(until)}" if until else "no departure known"
        by = ", ".join(dict.fromkeys(found["bounded_by"])) or "nothing"
        lines.append(Text(f"EVSE {name}: {end}; bounded by {by}"))
    note = (
        "up = more into the grid (charge less, discharge more), down = more out of it"
    )
    return Group(table, *lines, Text(note, style="dim"))


def _ways(found: Json) -> tuple[str, str]:
    return f"{found['up_w'] / 1000:.2f} kW", f"{found['down_w'] / 1000:.2f} kW"


def _moment(utc: str | None) -> str:
    """`11-26 10:24:14`: short, so that a table stays on one line."""
    return utc[5:19].replace("T", " ") if utc else "-"


def _local(utc: str) -> str:
    """In the machine's own zone."""
    return datetime.fromisoformat(utc).astimezone().strftime("%Y-%m-%d %H:%M")


def grid(answer: Json) -> RenderableType:
    parts: list[RenderableType] = [
        _pairs(f"door {name}", state) for name, state in answer["doors"].items()
    ]
    if not parts:
        parts.append(Text("no door of the grid is configured ([grid.*])"))
    columns = ("EVSE", "source", "rank", "mode", "asks", "age", "ends in")
    table = _table("dispatch signals", *columns)
    for evse in answer["evses"]:
        for row in evse["signals"]:
            table.add_row(
                str(evse["evse_id"]),
                row["source"],
                row["priority"],
                row["mode"],
                _asks(row),
                _text(row["age_s"], "s", 1),
                _text(row["ends_in_s"], "s", 1),
            )
    parts.append(table if table.row_count else Text("no dispatch signal lives"))
    return Group(*parts)


def _asks(row: Json) -> str:
    """What a signal's segment says, in a few words."""
    words = [f"{row['curve']} curve"] if row["curve"] else []
    words += [
        f"{name} {watts(row[key])}"
        for name, key in (
            ("setpoint", "setpoint_w"),
            ("connection at", "follow_w"),
            ("connection from", "from_w"),
            ("to", "to_w"),
            ("at most", "limit_w"),
            ("at least", "discharge_limit_w"),
        )
        if row[key] is not None
    ]
    return ", ".join(words) or "-"


def records(answer: Json) -> RenderableType:
    def when(key: str) -> str:
        stamp = answer[key]
        if stamp is None:
            return "-"
        return datetime.fromtimestamp(stamp / 1000, UTC).isoformat(" ", "seconds")

    shown = {
        "from (UTC)": when("first_ms"),
        "to (UTC)": when("last_ms"),
        "files": answer["files"],
        "size": f"{answer['bytes'] / 1000:.0f} kB in {answer['folder']}",
        "since the start": f"{answer['written_bytes']} bytes in {answer['writes']} "
        f"writes, {answer['dropped']} samples lost, {answer['torn_bytes']} torn bytes",
        "fault": answer["fault"] or "none",
    }
    return _pairs("records", shown)


def settlement(found: list[Json]) -> RenderableType:
    columns = ("EVSE", "from (UTC)", "to", "in", "out", "baseline", "session", "note")
    table = _table("settlement", *columns)
    for row in found:
        session = row.get("session_id") or ", ".join(row.get("sessions", ()))
        notes = [] if row.get("complete", True) else ["not complete"]
        notes += [] if row["clock_trusted"] else ["clock not set"]
        notes += ["signed by the meter"] if row.get("meter_signatures") else []
        notes += [row["signature_fault"]] if row.get("signature_fault") else []
        table.add_row(
            str(row["evse_id"]),
            row["from_utc"][5:16].replace("T", " "),
            row["to_utc"][11:16],
            _text(row["import_wh"], "Wh"),
            _text(row["export_wh"], "Wh"),
            _text(row.get("baseline_wh"), "Wh"),
            session,
            ", ".join(notes),
        )
    count = f"{len(found)} records"
    both = [sum(row[key] for row in found) for key in ("import_wh", "export_wh")]
    total = f"{count}: {both[0]:.0f} Wh in, {both[1]:.0f} Wh out"
    return Group(table, Text(total)) if found else Text("no settlement record")


def battery(found: list[Json]) -> RenderableType:
    if not found:
        return Text("no session in which energy flowed")
    return Group(*(_pairs(f"session {row['session_id']}", row) for row in found))


def _beside(now: Json, meter_w: float | None) -> str:
    """What the table cannot say: the ramp, and what really flows."""
    wanted, power = now["wanted_w"], now["power_w"]
    ramp = f" on its way to {watts(wanted)}," if abs(wanted - power) >= 50 else ""
    return f"* shaped it. Commanded {watts(power)},{ramp} measured {watts(meter_w)}."


def reasons(title: str, decision: Json) -> RenderableType:
    """Every stage's word, in order; those that won are marked."""
    table = _table(
        f"{title}: {watts(decision['power_w'])} ({decision['mode']}, "
        f"decided by {decision['source']})",
        "", "stage", "source", "low", "high", "wish", "note",
    )  # fmt: skip
    for row in decision["reasons"]:
        table.add_row(
            "*" if row["won"] else "",
            row["stage"],
            row["source"],
            watts(row["low_w"]),
            watts(row["high_w"]),
            watts(row["wish_w"]),
            row["note"],
            style="bold" if row["won"] else "",
        )
    return table


def session(answer: Json) -> RenderableType:
    parts: list[RenderableType] = [
        Text(f"EVSE {row['evse_id']}: no vehicle")
        if row["phase"] == "idle"
        else _pairs(f"EVSE {row['evse_id']}: session", row)
        for row in answer["current"]
    ]
    table = _table(
        "finished", "EVSE", "session", "ended (UTC)", "reason", "in", "out", "faults"
    )
    for row in answer["finished"]:
        table.add_row(
            _text(row.get("evse_id")),
            _text(row.get("session_id")),
            _moment(row.get("ended_utc")),
            _text(row.get("reason")),
            _text(row.get("energy_in_wh"), "Wh"),
            _text(row.get("energy_out_wh"), "Wh"),
            ", ".join(row.get("faults", ())) or "none",
        )
    return Group(*parts, table if table.row_count else Text("no session has ended yet"))


def faults(answer: Json) -> RenderableType:
    parts: list[RenderableType] = []
    for row in answer["active"]:
        where = f"EVSE {row['evse_id']}" if row["evse_id"] else "station"
        parts += [
            Text(
                f"{row['name']} ({row['mrec'] or 'no MREC code'}) {where}", "bold red"
            ),
            Text(f"  since {row['since_utc']}  {row['info']}"),
            Text(f"  driver: {row['driver_text']}"),
            Text(f"  technician: {row['technician_text']}"),
        ]
    if not parts:
        parts.append(Text("no active fault", style="green"))
    table = _table("history", "fault", "EVSE", "since (UTC)", "gone", "info")
    for row in answer["history"]:
        table.add_row(
            row["name"],
            str(row["evse_id"] or "-"),
            _moment(row["since_utc"]),
            _moment(row["gone_utc"]) if row["gone_utc"] else "present",
            row["info"],
        )
    return Group(*parts, table) if answer["history"] else Group(*parts)


def meter(answer: Json) -> RenderableType:
    parts: list[RenderableType] = []
    for evse in answer["evses"]:
        name = f"EVSE {evse['evse_id']}"
        parts += [
            _pairs(f"{name} {device}", evse[device])
            for device in ("meter", "stage", "insulation", "pilot")
            if evse.get(device)
        ]
        if signed := evse.get("signed"):
            told = {**signed, "text": f"{len(signed['text'])} characters of OCMF"}
            parts.append(_pairs(f"{name} signed by the meter", told))
        columns = ("device", "ok", "good", "bad", "restarts", "last error")
        table = _table(f"{name} devices", *columns)
        for row in evse.get("health", ()):
            table.add_row(
                row["name"],
                Text("yes") if row["ok"] else Text("NO", style="bold red"),
                str(row["good"]),
                str(row["bad"]),
                str(row["restarts"]),
                row["last_error"],
            )
        parts.append(table)
    if answer.get("site"):
        parts.append(_pairs("grid connection", answer["site"]))
    return Group(*parts)


def tree(values: Json) -> RenderableType:
    """Any nested values, as `a.b = c` lines."""
    lines: list[str] = []
    _flatten("", values, lines)
    return Text("\n".join(lines))


def console() -> Console:
    """Texts of devices and partners are shown as they are: no markup in them."""
    return Console(markup=False, emoji=False)


def _pairs(title: str, values: Json) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=box.SIMPLE)
    lines: list[str] = []
    _flatten("", values, lines)
    for line in lines:
        key, _, value = line.partition(" = ")
        table.add_row(key, value)
    return table


def _flatten(prefix: str, value: Any, lines: list[str]) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _flatten(f"{prefix}.{key}" if prefix else str(key), item, lines)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, item in enumerate(value):
            _flatten(f"{prefix}[{index}]", item, lines)
    else:
        items = value if isinstance(value, list) else [value]
        lines.append(f"{prefix} = {', '.join(map(_word, items)) or '-'}")


def _word(value: Any) -> str:
    """A single value as TOML and JSON write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        value = round(value, 3)
    return "-" if value in (None, "") else str(value)


def _promise(evse_id: int, promise: Json) -> str:
    reach = promise["reachable_soc_pct"]
    text = (
        f"EVSE {evse_id}: promise {promise['target_soc_pct']:g} % in "
        f"{promise['departure_in_s'] / 60:.0f} min"
    )
    if promise["forced"]:
        text += ", charging now to keep it"
    if reach is not None and reach < promise["target_soc_pct"]:
        text += f", only {reach:.0f} % can be reached"
    return text
