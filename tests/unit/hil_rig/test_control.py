"""The verbs on a rig without wires: every error name works, every refusal explains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hil
from hil.ev import catalog
from hil.rig.bench import load
from hil.rig.control import ERRORS, VERBS, Control
from hil.rig.rig import Rig
from hil.rig.trace import Trace, WireLog

VIRTUAL = Path(hil.__file__).parent / "benches" / "virtual.yaml"


def control() -> Control:
    rig = Rig(load(VIRTUAL), catalog.make, seed=1, trace=Trace(None), log=WireLog(None))
    return Control(rig)


async def ask(one: Control, **question: Any) -> dict[str, Any]:
    return await one.handle(json.dumps(question).encode())


@pytest.mark.asyncio
@pytest.mark.parametrize("name", sorted(ERRORS))
async def test_every_error_comes_and_goes(name: str) -> None:
    one = control()
    await ask(one, verb="plug_in", connector=2, ev="chademo")
    assert (await ask(one, verb="error", error=name, connector=2))["ok"]
    device, kind, _ = ERRORS[name]
    evse = one.rig.evse(2)
    if device != "ev":
        assert kind in evse.faults[device]
    else:
        assert evse.ev is not None
        assert kind in evse.ev.state()["faults"]
    assert (await ask(one, verb="error", error=name, connector=2, on=False))["ok"]
    assert not any(faults.active for faults in one.rig.devices().values())


@pytest.mark.asyncio
async def test_diode_fail_is_the_diode_fault() -> None:
    one = control()
    assert (await ask(one, verb="diode_fail", connector=1))["ok"]
    assert "diode" in one.rig.device("evse1-mcu")
    assert (await ask(one, verb="diode_fail", connector=1, on=False))["ok"]
    assert "diode" not in one.rig.device("evse1-mcu")


@pytest.mark.asyncio
async def test_reboot_resets_the_mcu_and_is_over() -> None:
    one = control()
    answer = await ask(one, verb="fault", device="evse1-mcu", kind="reboot")
    assert answer["ok"]
    assert one.rig.evse(1).mcu.boots == 2
    assert one.rig.device("evse1-mcu").active == {}


@pytest.mark.asyncio
async def test_help_lists_every_verb_and_device() -> None:
    one = control()
    answer = await ask(one, verb="help")
    assert set(answer["verbs"]) == set(VERBS)
    assert set(answer["errors"]) == set(ERRORS)
    assert {"evse1-mcu", "evse2-stage", "site-meter", "csms-link", "evse1-ev"} <= set(
        answer["devices"]
    )


@pytest.mark.asyncio
async def test_pause_and_resume_reach_the_vehicle() -> None:
    one = control()
    await ask(one, verb="plug_in", ev="external")  # the first connector
    await ask(one, verb="pilot", state="C")
    await ask(one, verb="pause", connector=1)
    ev = one.rig.evse(1).ev
    assert ev is not None
    assert ev.state()["phase"] == "B"
    await ask(one, verb="resume", connector=1)
    assert ev.state()["phase"] == "C"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("question", "text"),
    [
        ({"verb": "fly"}, "use one of"),
        ({"verb": "plug_in", "connector": True}, "EVSE number"),
        ({"verb": "plug_in", "connector": 3}, "this bench has [1, 2]"),
        ({"verb": "plug_in", "ev": "iso15118", "protocols": "X"}, "iso15118-20"),
        ({"verb": "plug_in", "ev": ["x"]}, "plug_in"),
        ({"verb": "plug_in", "soc": "full"}, "plug_in"),
        ({"verb": "swipe", "token": "0"}, "36 characters"),
        ({"verb": "error", "error": "BadLuck"}, "EmergencyStop"),
        ({"verb": "fault", "device": "evse1-mcu", "kind": "x"}, "lock_jammed"),
        (
            {"verb": "fault", "device": "evse1-mcu", "kind": "slow", "s": 1},
            "use ['ms']",
        ),
        (
            {"verb": "fault", "device": "evse1-mcu", "kind": "slow", "seconds": "1"},
            "must be a number",
        ),
        ({"verb": "grid", "voltage_v": -5}, "from 0 to 400"),
    ],
)
async def test_refusals_say_what_would_be_right(
    question: dict[str, Any], text: str
) -> None:
    answer = await ask(control(), **question)
    assert answer["ok"] is False
    assert text in answer["error"]


@pytest.mark.asyncio
@pytest.mark.parametrize("verb", sorted(VERBS.keys() - {"plug_in", "fault"}))
async def test_a_key_that_means_nothing_is_refused(verb: str) -> None:
    """A mistyped `hwo` must not pass for what was meant."""
    answer = await ask(control(), verb=verb, hwo=1)
    assert answer["error"].startswith(f"{verb} takes no 'hwo'; it takes ")
