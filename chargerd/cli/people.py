"""`chargerctl display`, `terminal`, `refuse-tariff`, `web-payment`: what drivers see.

Arguments and output only.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Json = dict[str, Any]

app = typer.Typer()
Evse = Annotated[int | None, typer.Option("--evse", help="Number of the EVSE.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


@app.command()
def display(context: typer.Context, as_json: AsJson = False) -> None:
    """What each display shows drivers now. EVSE 0 is the main one."""
    answer = context.obj.ask("display")
    lines = [
        f"EVSE {shown['evse_id']}  {shown['kind']}: {shown['content']}"
        for shown in answer["texts"]
    ]
    typer.echo(
        json.dumps(answer)
        if as_json
        else "\n".join(lines or ["no display shows anything"])
    )


@app.command()
def terminal(context: typer.Context, as_json: AsJson = False) -> None:
    """What a payment terminal is to reserve and to do."""
    answer = context.obj.ask("terminal")
    if as_json:
        typer.echo(json.dumps(answer))
        return
    reserve = f"reserve {answer['reserve']:.2f} {answer['currency']} on each card"
    typer.echo(reserve if answer["accept_cards"] else "no cards are taken")
    for row in answer["orders"]:
        what = f"{row['order']} {row['amount']:.2f}"
        typer.echo(f"EVSE {row['evse']}  {row['psp_ref']}: {what}")


@app.command("refuse-tariff")
def refuse_tariff(
    context: typer.Context, evse: Evse = None, as_json: AsJson = False
) -> None:
    """The driver does not accept the tariff. It ends his session."""
    answer = context.obj.ask("refuse-tariff", evse=evse)
    typer.echo(json.dumps(answer) if as_json else "the session ends")


@app.command("web-payment")
def web_payment(
    context: typer.Context,
    evse: Evse = None,
    energy: Annotated[float | None, typer.Option(min=0, help="kWh.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="At most.")] = None,
    cost: Annotated[float | None, typer.Option(min=0, help="At most.")] = None,
    as_json: AsJson = False,
) -> None:
    """What a driver wants to pay for on the web.

    Given before he scans the code on the display.
    """
    if energy is minutes is cost is None:
        raise typer.BadParameter("give --energy, --minutes or --cost")
    answer = context.obj.ask(
        "web-payment",
        evse=evse,
        energy_wh=None if energy is None else energy * 1000,
        time_s=None if minutes is None else minutes * 60,
        cost=cost,
    )
    typer.echo(json.dumps(answer) if as_json else "the code has it now")
