"""OCMF beside pyocmf, a library that we did not write: it takes what the bench's meter
and the unit tests sign, refuses what was changed, and reads the same energies."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from chargerd.records import ocmf
from firmware_bridge.api import SignedReading
from tests.interop.partner import install
from tests.unit.firmware_bridge.test_driver_signing_meter import Bench
from tests.unit.records.test_ocmf import BOTH, CURVES, public, written

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

SCRIPT = """
import json, sys
from pyocmf import OCMF
for line in sys.stdin:
    text, key = json.loads(line)
    found = OCMF.from_string(text)
    try:
        good = bool(found.verify_signature(key))
    except Exception as error:
        good = type(error).__name__
    values = [(r.TX and r.TX.value, str(r.RV), str(r.RI)) for r in found.payload.RD]
    print(json.dumps({"good": good, "values": values}))
"""
DER_HEAD = "3059301306072A8648CE3D020106082A8648CE3D030107034200"  # of a P-256 point


def judged(python: Path, *pairs: tuple[str, str]) -> list[dict[str, Any]]:
    lines = "".join(json.dumps(pair) + "\n" for pair in pairs)
    done = subprocess.run(
        [python, "-c", SCRIPT], input=lines, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def python() -> Path:
    """With what it verifies by: an extra of its own, found by name only."""
    found = install("pyocmf", "0.6.0")
    if not list(found.parents[1].glob("lib/python3*/site-packages/cryptography")):
        pip: list[str | Path] = [found, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "cryptography"], check=True, timeout=180)
    return found


@pytest.fixture(scope="module")
def signed() -> SignedReading:
    """A session of the bench's meter: in, then out."""
    bench = Bench()
    bench.session, bench.watts = "S-1", 7200.0
    bench.run(60)
    bench.watts = -3600.0
    bench.run(60)
    bench.session, bench.watts = "", 0.0
    return bench.run(3.0)


def test_it_takes_what_the_meter_signed_and_nothing_else(
    python: Path, signed: SignedReading
) -> None:
    key = DER_HEAD + signed.public_key
    first = next(v for v in ocmf.parse(signed.text).values if v.energy_wh)
    counted = str((first.energy_wh or 0) / 1000)
    changed = signed.text.replace(counted, str(float(counted) + 1.0), 1)
    assert changed != signed.text
    whole, spoilt = judged(python, (signed.text, key), (changed, key))
    assert whole["good"] is True
    assert spoilt["good"] is not True
    ours = [
        (value.reason, value.energy_wh, value.obis)
        for value in ocmf.parse(signed.text).values
    ]
    theirs = [(tx, float(rv) * 1000.0, ri) for tx, rv, ri in whole["values"]]
    assert [(tx, float(wh or 0), ri) for tx, wh, ri in ours] == theirs


@pytest.mark.parametrize(("name", "curve"), CURVES[1:5])
def test_it_takes_what_the_unit_tests_are_made_of(
    python: Path, name: str, curve: ec.EllipticCurve
) -> None:
    key = ec.generate_private_key(curve)
    head = {"GI": "test", "GS": "1", "IT": "LOCAL", "ID": "S-1"}
    text = written({**head, **BOTH}, key, name)
    (found,) = judged(python, (text, public(key).hex()))
    assert found["good"] is True
