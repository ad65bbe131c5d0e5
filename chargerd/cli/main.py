"""`chargerctl`: the technician's command. Asks the daemon over its unix socket.

Arguments and output only. Exit status: 0 done, 1 the daemon refused or is not there,
2 wrong arguments.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chargerd.cli import client, people, proof, records, report, times, v2g
from chargerd.cli.client import CliError

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import RenderableType

Json = dict[str, Any]

app = typer.Typer(
    name="chargerctl",
    help="See and steer the charger daemon on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
dispatch = typer.Typer(help="Grid dispatch, tried or sent.", no_args_is_help=True)
config = typer.Typer(help="The configuration in use.", no_args_is_help=True)
app.add_typer(dispatch, name="dispatch")
app.add_typer(config, name="config")
app.add_typer(v2g.app, name="v2g")
app.add_typer(records.app, name="records")
app.command()(report.report)
app.command()(proof.proof)
app.add_typer(people.app)

Evse = Annotated[int | None, typer.Option("--evse", help="Number of the EVSE.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Last = Annotated[int, typer.Option("--last", min=1, max=200, help="How many.")]


class Mode(StrEnum):
    """OCPP 2.1 operation modes."""

    IDLE = "Idle"
    CHARGING_ONLY = "ChargingOnly"
    CENTRAL_SETPOINT = "CentralSetpoint"
    EXTERNAL_SETPOINT = "ExternalSetpoint"
    EXTERNAL_LIMITS = "ExternalLimits"
    CENTRAL_FREQUENCY = "CentralFrequency"
    LOCAL_FREQUENCY = "LocalFrequency"
    LOCAL_LOAD_BALANCING = "LocalLoadBalancing"


@dataclass
class Where:
    """How this call finds the daemon."""

    socket: Path | None = None
    config: Path | None = None

    def ask(self, verb: str, **question: Any) -> Json:
        given = {key: value for key, value in question.items() if value is not None}
        path = client.socket_path(self.socket, self.config)
        return client.ask(path, {"verb": verb, **given})


@app.callback()
def _where(
    context: typer.Context,
    socket: Annotated[
        Path | None, typer.Option(help="The daemon's socket (or CHARGERD_SOCKET).")
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", help="The daemon's file (or CHARGERD_CONFIG)."),
    ] = None,
) -> None:
    context.obj = Where(socket, config_file)


def _show(answer: Json, as_json: bool, render: str) -> None:
    """Print an answer: JSON for programs, `show.<render>` for people."""
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    from chargerd.cli import show

    table: Callable[[Json], RenderableType] = getattr(show, render)
    try:
        shown = table(answer)
    except (KeyError, TypeError) as error:
        raise CliError(
            "the daemon's answer is not understood: versions differ? Restart it after "
            f"an upgrade; --json shows the answer ({error!r})"
        ) from error
    show.console().print(shown)


@app.command()
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """All EVSEs and the links, in one look."""
    _show(context.obj.ask("status"), as_json, "status")


@app.command()
def why(
    context: typer.Context,
    evse: Evse = None,
    last: Last = 20,
    at: Annotated[str | None, typer.Option(help=f"Then. {times.HELP}")] = None,
    as_json: AsJson = False,
) -> None:
    """Why this power now, or then (--at); the decisions before."""
    if at is None:
        _show(context.obj.ask("why", evse=evse, last=last), as_json, "why")
        return
    answer = context.obj.ask("why", evse=evse, at=times.instant(at).isoformat())
    _show(answer, as_json, "why_then")


@app.command()
def flex(context: typer.Context, evse: Evse = None, as_json: AsJson = False) -> None:
    """What could be done instead: power, energy, until when.

    Up = more into the grid, down = more out of it; beside what is done now.
    """
    _show(context.obj.ask("flex", evse=evse), as_json, "flex")


@app.command()
def plan(context: typer.Context, evse: Evse = None, as_json: AsJson = False) -> None:
    """What is planned for the next hours: power, energy, prices."""
    _show(context.obj.ask("plan", evse=evse), as_json, "plan")


@app.command()
def grid(context: typer.Context, evse: Evse = None, as_json: AsJson = False) -> None:
    """The grid's doors with counters; the signals that live."""
    _show(context.obj.ask("grid", evse=evse), as_json, "grid")


@app.command()
def session(
    context: typer.Context, evse: Evse = None, last: Last = 5, as_json: AsJson = False
) -> None:
    """The running session and the last finished ones."""
    _show(context.obj.ask("session", evse=evse, last=last), as_json, "session")


@app.command()
def faults(context: typer.Context, last: Last = 20, as_json: AsJson = False) -> None:
    """Active faults with what to do, and the history."""
    _show(context.obj.ask("faults", last=last), as_json, "faults")


@app.command()
def meter(context: typer.Context, evse: Evse = None, as_json: AsJson = False) -> None:
    """Every device's reading, its age and its health."""
    _show(context.obj.ask("meter", evse=evse), as_json, "meter")


@app.command()
def watch(
    context: typer.Context,
    interval: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds.")] = 0.5,
    as_json: AsJson = False,
) -> None:
    """The status, live, until Ctrl-C. With --json one line per look."""
    where: Where = context.obj
    path = client.socket_path(where.socket, where.config)
    answers = client.stream(path, {"verb": "watch", "interval_s": interval})
    if as_json:
        for answer in answers:
            typer.echo(json.dumps(answer))
        return
    from rich.live import Live

    from chargerd.cli import show

    with Live(console=show.console(), auto_refresh=False) as live:
        for answer in answers:
            live.update(show.status(answer), refresh=True)


@app.command()
def promise(
    context: typer.Context,
    evse: Evse = None,
    soc: Annotated[
        float | None, typer.Option(min=0, max=100, help="Percent at departure.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option("--in", min=0.1, help="Departure in so many minutes."),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Departure at HH:MM, this machine's time zone.")
    ] = None,
    floor: Annotated[
        float | None, typer.Option(min=0, max=100, help="Never discharge below.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="No promise.")] = False,
    as_json: AsJson = False,
) -> None:
    """How the promise to the driver stands, or what it shall be.

    --soc 80 with --in 45 (minutes) or --by 07:30; or --clear.
    """
    if not clear and (soc, minutes, by, floor) == (None,) * 4:
        _show(context.obj.ask("promised", evse=evse), as_json, "promise")
        return
    if clear:
        answer = context.obj.ask("promise", evse=evse, clear=True)
    else:
        if soc is None or (minutes is None) == (by is None):
            raise typer.BadParameter("give --soc and one of --in or --by, or --clear")
        seconds = minutes * 60 if minutes is not None else _seconds_until(by or "")
        answer = context.obj.ask(
            "promise", evse=evse, soc=soc, seconds=seconds, floor=floor
        )
    _done(answer, as_json, "noted; `chargerctl promise` shows how it stands")


@app.command()
def start(
    context: typer.Context,
    token: Annotated[str, typer.Argument(help="The identity to authorise.")],
    evse: Evse = None,
    kind: Annotated[str, typer.Option(help="OCPP IdTokenEnumType.")] = "Local",
    as_json: AsJson = False,
) -> None:
    """Ask to start a session, as if the token had been read."""
    answer = context.obj.ask("start", evse=evse, token=token, kind=kind)
    _done(answer, as_json, "asked; `chargerctl session` shows what became of it")


@app.command()
def stop(context: typer.Context, evse: Evse = None, as_json: AsJson = False) -> None:
    """End the session: power to 0, contactors open, plug free."""
    _done(context.obj.ask("stop", evse=evse), as_json, "asked to stop")


@app.command()
def reset(
    context: typer.Context,
    evse: Evse = None,
    now: Annotated[
        bool, typer.Option("--now", help="Do not wait for sessions.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Restart the daemon, or one EVSE, when no session runs.

    Clears the faults that wait for a technician. --now ramps down and restarts at once.
    """
    asked = context.obj.ask("reset", immediate=now, evse=evse)
    _done(asked, as_json, "asked to restart")


@app.command()
def island(context: typer.Context, as_json: AsJson = False) -> None:
    """In a blackout: feed the house from the vehicle.

    Where [site.blackout] allows it.
    """
    _done(context.obj.ask("island"), as_json, "asked to feed the house")


@app.command()
def priority(
    context: typer.Context,
    evse: Evse = None,
    off: Annotated[bool, typer.Option("--off", help="End it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Charge this session ahead of others.

    Where the central system has set how (OCPP K22).
    """
    done = "priority is over" if off else "priority holds"
    _done(context.obj.ask("priority", evse=evse, off=off), as_json, done)


@app.command()
def limit(
    context: typer.Context,
    evse: Evse = None,
    energy: Annotated[float | None, typer.Option(min=0, help="kWh charged.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Since the transaction began.")
    ] = None,
    soc: Annotated[
        float | None, typer.Option(min=0, max=100, help="Percent in the vehicle.")
    ] = None,
    cost: Annotated[
        float | None, typer.Option(min=0, help="In the tariff's currency.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Stop this session's energy at a limit.

    The central system is told. A limit that it has set can be lowered, not raised.
    """
    if energy is minutes is soc is cost is None:
        raise typer.BadParameter("give --energy, --minutes, --soc or --cost")
    answer = context.obj.ask(
        "limit",
        evse=evse,
        energy_wh=None if energy is None else energy * 1000,
        time_s=None if minutes is None else minutes * 60,
        soc_pct=soc,
        cost=cost,
    )
    _done(answer, as_json, "limit set")


@dispatch.command()
def simulate(
    context: typer.Context,
    power: Annotated[float, typer.Option(help="W; negative = out of the vehicle.")],
    evse: Evse = None,
    mode: Annotated[Mode, typer.Option(help="Operation mode.")] = Mode.CENTRAL_SETPOINT,
    seconds: Annotated[float, typer.Option(min=0.1, help="Lifetime.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """What would be decided if this came now, and why. Nothing moves."""
    answer = context.obj.ask(
        "simulate", evse=evse, power_w=power, mode=mode.value, seconds=seconds
    )
    _decision(answer, as_json, "would be")


@dispatch.command()
def send(
    context: typer.Context,
    power: Annotated[float, typer.Option(help="W; negative = out of the vehicle.")],
    evse: Evse = None,
    mode: Annotated[Mode, typer.Option(help="Operation mode.")] = Mode.CENTRAL_SETPOINT,
    seconds: Annotated[float, typer.Option(min=0.1, help="Lifetime.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Send a setpoint of the lowest priority.

    It ends by itself after --seconds. Where [local] dispatch allows it.
    """
    answer = context.obj.ask(
        "dispatch", evse=evse, power_w=power, mode=mode.value, seconds=seconds
    )
    _decision(answer, as_json, "sent")


@config.command("show")
def config_show(context: typer.Context, as_json: AsJson = False) -> None:
    """The whole configuration, secrets hidden.

    The daemon's; with `chargerctl --config FILE config show` the file's.
    """
    where: Where = context.obj
    if where.config is None:
        _show(where.ask("config")["config"], as_json, "tree")
        return
    import os

    from chargerd.config_load import ConfigError, dump, load

    try:
        values = dump(load(where.config, os.environ))
    except ConfigError as error:
        raise CliError(str(error)) from error
    _show(values, as_json, "tree")


def _decision(answer: Json, as_json: bool, title: str) -> None:
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    from chargerd.cli import show

    evse = answer["decision"]["evse_id"]
    show.console().print(show.reasons(f"EVSE {evse} {title}", answer["decision"]))


def _done(answer: Json, as_json: bool, text: str) -> None:
    typer.echo(json.dumps(answer) if as_json else text)


def _seconds_until(clock: str, now: datetime | None = None) -> float:
    """Seconds to the next HH:MM on this machine's clock, whatever is done to it in
    between (summer time)."""
    from datetime import datetime, timedelta

    now = now or datetime.now()  # noqa: DTZ005 - a wall clock time
    try:
        wanted = datetime.strptime(clock, "%H:%M")  # noqa: DTZ007 - a wall clock time
    except ValueError:
        raise typer.BadParameter(f"--by {clock!r}: write HH:MM") from None
    then = now.replace(hour=wanted.hour, minute=wanted.minute, second=0, microsecond=0)
    if then <= now:
        then += timedelta(days=1)
    return then.timestamp() - now.timestamp()


def main() -> None:
    """Entry point: errors become one line on stderr."""
    try:
        app()
    except CliError as error:
        typer.echo(f"chargerctl: {error}", err=True)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
