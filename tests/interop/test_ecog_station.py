"""The bench's ISO 15118 vehicle against EcoG's SECC: a station that is not ours.

Our SECC and our vehicle share codec and ordering graphs (ADR 009); this is where a
misreading of both would show.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hil.ev.battery import Battery
from tests.interop import ecog
from tests.interop.namespaces import VEHICLE_END, Far, namespaces

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

HERE = Path(__file__).parent
STATION = HERE.parent / "bench" / "secc_ecog.py"
DC_2 = ["CableCheckReq", "PreChargeReq", "PowerDeliveryReq", "CurrentDemandReq"]
DC_20 = ["DC_CableCheckReq", "DC_PreChargeReq", "PowerDeliveryReq", "DC_ChargeLoopReq"]
AC_20 = ["ScheduleExchangeReq", "PowerDeliveryReq", "AC_ChargeLoopReq"]

# name -> (the wheel's name of the protocol, the vehicle's keys, what it must say)
CASES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "din": ("DIN_SPEC_70121", {"protocols": "din70121"}, DC_2),
    "2-dc": ("ISO_15118_2", {"protocols": "iso15118-2", "services": "DC"}, DC_2),
    "2-ac": (
        "ISO_15118_2",
        {"protocols": "iso15118-2", "services": "AC"},
        ["PowerDeliveryReq", "ChargingStatusReq"],
    ),
    "2-dc-contract": (
        "ISO_15118_2",
        {
            "protocols": "iso15118-2",
            "services": "DC",
            "authorise": "contract",
            "tls": True,
        },
        ["PaymentDetailsReq", "AuthorizationReq", *DC_2],
    ),
}
for _control in ("dynamic", "scheduled"):
    for _service in ("DC", "DC_BPT", "AC", "AC_BPT"):
        _dc = _service.startswith("DC")
        CASES[f"20-{_service}-{_control}"] = (
            "ISO_15118_20_DC" if _dc else "ISO_15118_20_AC",
            {
                "protocols": "iso15118-20",
                "services": _service,
                "control": _control,
                "tls": True,
            },
            DC_20 if _dc else AC_20,
        )


def vehicle_pki(folder: Path) -> Path:
    """The wheel's PKI as a vehicle of the bench wants it (hil/pki/store.py)."""
    made = ecog.pki() / "iso15118_2"
    (folder / "v2g").mkdir(parents=True)
    shutil.copy(made / "certs" / "v2gRootCACert.pem", folder / "v2g" / "root.pem")
    for use, chain, key in (
        ("oem", ["oemCertChain.pem"], "oemLeaf.key"),
        (
            "mo",
            ["contractLeafCert.pem", "intermediateMOCACerts.pem"],
            "contractLeaf.key",
        ),
    ):
        (folder / use).mkdir()
        pem = b"".join((made / "certs" / name).read_bytes() for name in chain)
        (folder / use / "chain.pem").write_bytes(pem)
        locked = (made / "private_keys" / key).read_bytes()
        opened = load_pem_private_key(locked, ecog.PASSWORD.encode())
        text = opened.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / use / "leaf.key").write_bytes(text)
    return folder


async def session(far: Far, case: str, folder: Path) -> dict[str, Any]:
    """What the vehicle saw of one session."""
    protocol, keys, _ = CASES[case]
    wanted = {
        "interface": VEHICLE_END,
        "pki": str(vehicle_pki(folder / "pki")),
        "needs_pwm": False,
        "patience": 20,  # the station's JVM takes its time
        "retries": 0,
        **keys,
    }
    log = folder / "secc.log"
    script: list[str | Path] = [STATION, str(Battery(60.0).emf_v)]
    tls_1_3 = protocol.startswith("ISO_15118_20")
    command = [sys.executable, str(HERE / "our_car.py"), json.dumps(wanted)]
    async with ecog.secc(script, log, protocol, tls_1_3=tls_1_3):
        car = await asyncio.create_subprocess_exec(
            *far.inside(command), stdout=asyncio.subprocess.PIPE, cwd=HERE.parents[1]
        )
        out, _ = await car.communicate()
    seen: dict[str, Any] = json.loads(out)
    seen["log"] = ecog.tail(log)
    return seen


@pytest.mark.parametrize("case", CASES)
def test_a_session_with_a_station_that_is_not_ours(case: str, tmp_path: Path) -> None:
    ecog.install()  # before the namespace, which has no way out to the package index
    with namespaces() as far:
        seen = asyncio.run(session(far, case, tmp_path))
    _, keys, wanted = CASES[case]
    said = seen["said"]
    shown = f"{seen['why']}\n{said}\n{seen['log']}"
    assert seen["phase"] == "done", shown
    assert seen["why"] == "", shown
    assert seen["protocol"] == keys["protocols"]
    found = iter(said)
    assert all(name in found for name in wanted), said
    assert said[-1] == "SessionStopReq"
