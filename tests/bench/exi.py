"""EXI figures: each message type decoded and encoded, beside EXIficient in one run.

Our own vectors (tests/vectors/exi_own.jsonl) and none of another party's. The jar is
asked as the wheel asks it, through its JSON face; without Java its rows are left out.
"""

from __future__ import annotations

import contextlib
import csv
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages import din
from tests import exi_dense
from tests.bench.row import Row, percentile
from tests.interop.exi_jar import Jar, JarRefusedError

VECTORS = Path(__file__).parents[1] / "vectors" / "exi_own.jsonl"
COLUMNS = (
    *("schema", "message", "bytes", "decode_us", "encode_us", "jar_way"),
    *("jar_decode_us", "jar_encode_us", "decode_ratio", "encode_ratio"),
)
CSV = Path("out/bench/exi_messages.csv")
RUN_S, SLOW_S = 0.001, 0.01
FEW, MANY = 5, 31  # runs of one action
LOOPS = {  # what a charge loop sends, and the design's goal in us
    ("iso2", "CurrentDemandReq"): "<= 40",
    ("iso2", "CurrentDemandRes"): "<= 40",
    ("dc", "DC_ChargeLoopReq"): "<= 100",
    ("dc", "DC_ChargeLoopRes"): "",
}
IMPORT = (
    "import time;"
    "rss = lambda: int(open('/proc/self/statm').read().split()[1]) * 4096 / 2**20;"
    "bare = rss(); t = time.perf_counter();"
    "from chargerd.vehicle.iso15118 import exi;"
    "a = time.perf_counter() - t;"
    "exi.decode('iso2', bytes.fromhex('{hex}'));"
    "print(bare, a * 1e3, (time.perf_counter() - t - a) * 1e3, rss())"
)


class Timing(NamedTuple):
    """One message type in us; `jar`: way, decode, encode."""

    schema: str
    name: str
    size: int
    decode_us: float
    encode_us: float
    jar: tuple[str, float, float] | None

    def ways(self) -> list[tuple[str, float, float | None]]:
        """(way, ours, the jar's)."""
        theirs = self.jar[1:] if self.jar else (None, None)
        return [
            ("decode", self.decode_us, theirs[0]),
            ("encode", self.encode_us, theirs[1]),
        ]


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
    """The median of short runs, per call, in us; not the first call, which builds.

    Short, so that on a busy machine most runs are not interrupted.
    """
    action()
    start = time.perf_counter()
    action()
    once_s = max(1e-7, time.perf_counter() - start)
    count = max(1, int(RUN_S / once_s))
    runs = []
    for _ in range(FEW if once_s > SLOW_S else MANY):
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


def jars(jar: Jar, schema: str, data: bytes) -> tuple[str, float, float]:
    """(way, decode, encode) of the wheel's jar in us.

    "face" is what the wheel's users call; where that refuses a message (ACDP, WPT,
    DIN certificates), "xsd": the EXIficient inside, without JSON and JAXB.
    """
    way = "face"
    try:
        text = jar.decode(schema, data, way=way)
        jar.encode(schema, text, way=way)
    except JarRefusedError:
        way = "xsd"
        text = jar.decode(schema, data, way=way)
    decode = spent_us(lambda: jar.decode(schema, data, way=way))
    return way, decode, spent_us(lambda: jar.encode(schema, text, way=way))


def every_type() -> list[Timing]:
    """All message types, ours and, where there is Java, the jar in the same minute."""
    timings: list[Timing] = []
    with contextlib.ExitStack() as stack:
        try:
            jar = stack.enter_context(Jar())
        except pytest.skip.Exception as why:
            print(f"  EXICodec.jar left out: {why}")
            jar = None
        for (schema, name), data in vectors().items():
            decode, encode = ours(schema, data)
            theirs = jars(jar, schema, data) if jar else None
            timings.append(Timing(schema, name, len(data), decode, encode, theirs))
    return timings


def write_csv(timings: list[Timing]) -> None:
    """The whole table for people and spreadsheets."""
    CSV.parent.mkdir(parents=True, exist_ok=True)
    with CSV.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for each in sorted(timings, key=lambda each: -each.decode_us):
            row: list[object] = [each.schema, each.name, each.size]
            row += [f"{each.decode_us:.1f}", f"{each.encode_us:.1f}"]
            if each.jar is not None:
                way, decode, encode = each.jar
                row += [way, f"{decode:.0f}", f"{encode:.0f}"]
                row += [f"{decode / each.decode_us:.0f}"]
                row += [f"{encode / each.encode_us:.0f}"]
            writer.writerow(row)


def loops(timings: list[Timing]) -> Iterator[Row]:
    """What a charge loop sends."""
    found = {(each.schema, each.name): each for each in timings}
    for key, goal in LOOPS.items():
        each = found[key]
        name = " ".join(key)
        for way, mine, theirs in each.ways():
            note = f"{each.size} bytes"
            if theirs is not None:
                note += (
                    f"; EXICodec.jar {theirs:.0f} us, {theirs / mine:.0f} times ours"
                )
            yield Row(f"{name} {way}", mine, "us", goal, note)


def summary(timings: list[Timing]) -> Iterator[Row]:
    """All types in a few lines, then the slowest."""
    for number, way in enumerate(("decode", "encode")):
        mine = [each.ways()[number][1] for each in timings]
        note = f"{len(mine)} message types, each at its longest own vector"
        yield Row(f"every type, {way}, median", statistics.median(mine), "us", "", note)
        yield Row(f"every type, {way}, p90", percentile(mine, 0.9), "us")
        ratios = [
            theirs / ours_us
            for each in timings
            if each.jar is not None and each.jar[0] == "face"
            for _, ours_us, theirs in each.ways()[number : number + 1]
            if theirs is not None
        ]
        if ratios:
            note = f"least {min(ratios):.0f}; {len(ratios)} types, by the jar's face"
            ratio = statistics.median(ratios)
            yield Row(f"EXICodec.jar's {way} over ours, median", ratio, "x", "", note)
    for each in sorted(timings, key=lambda each: -each.decode_us)[:10]:
        theirs = f", jar ({each.jar[0]}) {each.jar[1]:.0f} us" if each.jar else ""
        note = f"{each.size} bytes, encode {each.encode_us:.0f} us{theirs}"
        name = f"slowest: {each.schema} {each.name} decode"
        yield Row(name, each.decode_us, "us", "", note)


def growth() -> Iterator[Row]:
    """Time per kB of DIN's CertificateInstallationRes, whose lists have no bound."""
    part = bytes(range(240)) * 5  # a certificate has at most 1,200 bytes
    for subs in (0, 4, 19, 80):
        more = din.SubCertificates(Certificate=[part] * subs) if subs else None
        body = din.CertificateInstallationRes(
            Id="id1",
            ResponseCode="OK",
            ContractSignatureCertChain=din.CertificateChain(
                Certificate=part, SubCertificates=more
            ),
            ContractSignatureEncryptedPrivateKey=bytes(48),
            DHParams=bytes(64),
            ContractID="JPABC123456789",
        )
        header = din.MessageHeader(SessionID=bytes(8))
        data = exi.encode(
            din.V2G_Message(Header=header, Body=din.Body(BodyElement=body))
        )
        spent = tuple(each / len(data) * 1000 for each in ours("din", data))
        for way, mine in zip(("decode", "encode"), spent, strict=True):
            name = f"DIN CertificateInstallationRes, {len(data) / 1000:.0f} kB, {way}"
            yield Row(name, mine, "us/kB", "", "linear: no more per kB when longer")


def cpu_ms(action: Callable[[], object]) -> float:
    """The least CPU time of a few calls: what is long is interrupted when busy."""
    spent = []
    for _ in range(10):
        start = time.process_time()
        action()
        spent.append((time.process_time() - start) * 1e3)
    return min(spent)


def count() -> int:
    """A fixed piece of work, so that figures of two machines can be compared."""
    x = 0
    for number in range(100_000):
        x += number & 7
    return x


def densest() -> Iterator[Row]:
    """10 kB that take longest, as found by searching (docs/exi.md)."""
    work_ms = cpu_ms(count)
    for name, (schema, data) in exi_dense.bombs().items():

        def read(schema: str = schema, data: bytes = data) -> None:
            with contextlib.suppress(V2gError):
                exi.decode(schema, data)

        spent_ms = cpu_ms(read)
        note = f"{len(data)} bytes, {spent_ms / work_ms:.2f} of counting to 100,000"
        yield Row(f"densest: {name}", spent_ms, "ms CPU", "<= 5", note)


def package() -> list[Row]:
    """Import, first message and memory, in a process of its own."""
    data = vectors()["iso2", "CurrentDemandReq"]
    out = subprocess.run(
        [sys.executable, "-c", IMPORT.format(hex=data.hex())],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    bare, imported, first, memory = map(float, out)
    return [
        Row("import of exi", imported, "ms"),
        Row("first CurrentDemandReq: grammar and functions built", first, "ms"),
        Row("memory of exi with that message", memory - bare, "MiB", "",
            f"RSS {memory:.1f} MiB, Python alone {bare:.1f}"),
    ]  # fmt: skip


def run() -> list[Row]:
    """For `make bench`."""
    timings = every_type()
    write_csv(timings)
    print(f"  every message type: {CSV}")
    rows = [*loops(timings), *summary(timings), *growth(), *densest()]
    return [*rows, *package()]
