"""EXI figures: each message type decoded and encoded, beside EXIficient in one run.

Our own vectors (tests/vectors/exi_own.jsonl) and none of another party's. The jar is
asked as the wheel asks it, through its JSON face; without Java its rows are left out.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.messages import iso2
from tests.bench.row import Row, percentile
from tests.interop.exi_jar import Jar, JarRefusedError

VECTORS = Path(__file__).parents[1] / "vectors" / "exi_own.jsonl"
REPEAT_S = 0.03
LOOPS = {  # what a charge loop sends, and the design's goal in us
    ("iso2", "CurrentDemandReq"): "<= 40",
    ("iso2", "CurrentDemandRes"): "<= 40",
    ("dc", "DC_ChargeLoopReq"): "<= 100",
    ("dc", "DC_ChargeLoopRes"): "",
}
IMPORT = (
    "import resource, time; t = time.perf_counter();"
    "from chargerd.vehicle.iso15118 import exi;"
    "a = time.perf_counter() - t;"
    "exi.decode('iso2', bytes.fromhex('{hex}'));"
    "print(a * 1e3, (time.perf_counter() - t - a) * 1e3,"
    " resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
)


def name_of(decoded: dict[str, Any]) -> str:
    """The message's name: the root, or what V2G_Message carries."""
    root, content = next(iter(decoded.items()))
    body = content.get("Body") if isinstance(content, dict) else None
    return next(iter(body)) if body else root


def vectors() -> dict[tuple[str, str], bytes]:
    """The longest own vector of each message type by (schema set, name)."""
    found: dict[tuple[str, str], bytes] = {}
    for line in VECTORS.read_text().splitlines():
        row = json.loads(line)
        key, data = (row["schema"], name_of(row["decoded"])), bytes.fromhex(row["hex"])
        found[key] = max(found.get(key, b""), data, key=len)
    return found


def spent_us(action: Callable[[], object]) -> float:
    """The median of a few runs, per call, in us; not the first, which builds."""
    action()
    start = time.perf_counter()
    action()
    count = max(1, int(REPEAT_S / 5 / max(1e-7, time.perf_counter() - start)))
    runs = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(count):
            action()
        runs.append((time.perf_counter() - start) / count * 1e6)
    return statistics.median(runs)


def ours(schema: str, data: bytes) -> tuple[float, float]:
    """(decode, encode) in us."""
    message = exi.decode(schema, data)
    decode = spent_us(lambda: exi.decode(schema, data))
    return decode, spent_us(lambda: exi.encode(message))


def jars(jar: Jar, schema: str, data: bytes) -> tuple[float, float] | None:
    """The same of the wheel's codec; None where it refuses the message."""
    try:
        text = jar.decode(schema, data, way="face")
        decode = spent_us(lambda: jar.decode(schema, data, way="face"))
        return decode, spent_us(lambda: jar.encode(schema, text, way="face"))
    except JarRefusedError:
        return None


def growth() -> Row:
    """Decode time for 6 kB of certificates over the time for 3 kB: 2 = linear."""

    def message(subs: int) -> Any:
        part = bytes(range(200)) * 4  # a certificate has at most 800 bytes
        more = iso2.SubCertificates(Certificate=[part] * subs)
        chain = iso2.CertificateChain(Certificate=part, SubCertificates=more)
        key = iso2.ContractSignatureEncryptedPrivateKey(Id="id", value=bytes(48))
        body = iso2.CertificateInstallationRes(
            ResponseCode="OK",
            SAProvisioningCertificateChain=chain,
            ContractSignatureCertChain=chain,
            ContractSignatureEncryptedPrivateKey=key,
            DHpublickey=iso2.DiffieHellmanPublickey(Id="id", value=bytes(64)),
            eMAID=iso2.EMAID(Id="id", value="JPABC123456789"),
        )
        header = iso2.MessageHeader(SessionID=bytes(8))
        return iso2.V2G_Message(Header=header, Body=iso2.Body(BodyElement=body))

    half, whole = (exi.encode(message(subs)) for subs in (1, 3))
    ratio = ours("iso2", whole)[0] / ours("iso2", half)[0]
    note = f"{len(whole)} against {len(half)} bytes of CertificateInstallationRes"
    return Row("decode time, twice the certificates", ratio, "x", "<= 2.2", note)


def package() -> list[Row]:
    """Import, first message and memory, in a process of its own."""
    data = vectors()["iso2", "CurrentDemandReq"]
    out = subprocess.run(
        [sys.executable, "-c", IMPORT.format(hex=data.hex())],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    imported, first, memory = map(float, out)
    return [
        Row("import of exi", imported, "ms"),
        Row("first CurrentDemandReq: grammar and functions built", first, "ms"),
        Row("peak memory of that process", memory, "MiB"),
    ]


def run() -> list[Row]:
    """For `make bench`."""
    found = vectors()
    figures = {key: ours(key[0], data) for key, data in found.items()}
    rows: list[Row] = []
    for key, goal in LOOPS.items():
        note = f"{len(found[key])} bytes"
        decode, encode = figures[key]
        rows.append(Row(f"{key[0]} {key[1]} decode", decode, "us", goal, note))
        rows.append(Row(f"{key[0]} {key[1]} encode", encode, "us", goal, note))
    for way, values in zip(
        ("decode", "encode"), zip(*figures.values(), strict=True), strict=True
    ):
        note = f"{len(values)} message types, each at its longest own vector"
        rows.append(Row(f"every message type, {way}, median", statistics.median(values),
                        "us", "", note))  # fmt: skip
        rows.append(
            Row(f"every message type, {way}, p90", percentile(values, 0.9), "us")
        )
    try:
        with Jar() as jar:
            for key in LOOPS:
                theirs = jars(jar, key[0], found[key])
                if theirs is None:
                    continue
                for way, mine, other in zip(
                    ("decode", "encode"), figures[key], theirs, strict=True
                ):
                    name = f"{key[0]} {key[1]} {way}, EXICodec.jar"
                    note = f"{other / mine:.0f} times ours"
                    rows.append(Row(name, other, "us", "", note))
    except pytest.skip.Exception as why:
        print(f"  EXICodec.jar left out: {why}")
    return [*rows, growth(), *package()]
