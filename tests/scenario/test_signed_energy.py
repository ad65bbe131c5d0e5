"""A signing meter, through real processes: the record of a session, and the CSMS, have
what the meter itself signed, and `chargerctl records verify` says that it holds."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from chargerd.records import ocmf
from hil.csms.dispatch import set_setpoint
from hil.csms.link import Peer
from tests.process import TOKEN, patient_bench, station, until

pytestmark = [pytest.mark.process, pytest.mark.asyncio, pytest.mark.timeout(120)]


def signing_bench(folder: Path) -> Path:
    """A bench whose EVSE 1 has a meter that signs."""
    path = patient_bench(folder)
    plain = "meter: { model: sdm630, unit: 1 }"
    text = path.read_text()
    assert plain in text
    path.write_text(text.replace(plain, plain.replace("sdm630", "sdm630ev")))
    return path


async def sign_readings(peer: Peer) -> None:
    """The CSMS wants the meter's signature in Ended (OCPP J02.FR.21)."""
    wanted = {
        "component": {"name": "SampledDataCtrlr"},
        "variable": {"name": "SignReadings"},
        "attributeValue": "true",
    }
    answer = await peer.call("SetVariables", {"setVariableData": [wanted]})
    assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted"


def signed_text(ended: dict[str, Any]) -> str:
    (signed,) = [
        sample["signedMeterValue"]
        for value in ended["meterValue"]
        for sample in value["sampledValue"]
        if "signedMeterValue" in sample
    ]
    return base64.b64decode(signed["signedMeterData"]).decode()


async def chargerctl(folder: Path, *words: str) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chargerd.cli.main",
        "--socket", str(folder / "chargerd.sock"), *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await child.communicate()
    return child.returncode or 0, out.decode()


@pytest.mark.req("J02.FR.21")
async def test_the_meter_s_own_signature_is_in_the_record(tmp_path: Path) -> None:
    driver = {"CHARGERD__EVSE__0__DEVICES__METER__DRIVER": "eastron_sdm630ev"}
    async with station(tmp_path, bench=signing_bench(tmp_path), **driver) as plant:
        await sign_readings(plant.peer)
        await plant.start_session()
        for power_w in (6000.0, -5000.0):
            await set_setpoint(plant.peer, 1, power_w, 600)

            async def flows(wanted_w: float = power_w) -> bool:
                return abs(await plant.power_w() - wanted_w) < 300.0

            await until(f"{power_w} W", flows, 15.0)
            await asyncio.sleep(2.0)  # some energy
        session_id = (await plant.status())["session_id"]
        await plant.stand.rig.ask(verb="swipe", token=TOKEN, connectors=[1])

        async def over() -> bool:
            return bool((await plant.status())["phase"] == "finished")

        await until("the session is over", over, 15.0)
        await plant.stand.rig.ask(verb="plug_out", connector=1)

        async def record() -> dict[str, Any] | None:
            words = ["records", "settlement", "--kind", "session", "--from", "-1h"]
            code, text = await chargerctl(tmp_path, *words, "--json")
            assert code == 0, text
            return next(iter(json.loads(text)), None)

        found = await until("the session's record", record, 30.0, 0.5)
        assert found["session_id"] == session_id
        (signature,) = found["meter_signatures"]
        document = ocmf.parse(signature["text"])
        assert ocmf.verify(document, signature["public_key"]) == ""
        assert document.fields["ID"] == session_id
        moved = ocmf.energy(document)
        assert moved.import_wh is not None
        assert moved.export_wh is not None
        assert min(moved.import_wh, moved.export_wh) > 1.0
        assert moved.import_wh == pytest.approx(found["import_wh"], abs=1.0)
        assert moved.export_wh == pytest.approx(found["export_wh"], abs=1.0)

        ended = await plant.peer.expect(
            "TransactionEvent", lambda p: p["eventType"] == "Ended"
        )
        assert signed_text(ended.payload) == signature["text"]

        code, text = await chargerctl(tmp_path, "records", "verify")
        assert (code, "1 signatures of meters hold" in text) == (0, True), text
        other = "04" + "11" * 64
        code, text = await chargerctl(tmp_path, "records", "verify", "--key", other)
        assert code == 1, text
        assert session_id in text
