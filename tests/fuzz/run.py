"""Fuzz the V2G edge: python -m tests.fuzz.run decode framer --seconds 60 (or: all)

Guided by coverage where `atheris` is installed (`make fuzz` sees to it), else by our
own mutator. Every target runs in a process of its own. A failing input is printed as
hex; the last line of a target says how many ran and what the slowest took, in ms and
as a ratio to a fixed piece of work, with the most memory it held.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from random import Random

from tests.fuzz.targets import TARGETS, seeds

LONGEST = 10_240
OUT = Path("out/fuzz")


def mutate(random: Random, data: bytes) -> bytes:
    """A few changes of the kinds that find things in bit streams."""
    out = bytearray(data or b"\0")
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        at = random.randrange(len(out)) if out else 0
        kind = random.randrange(7)
        if kind == 0 and out:
            out[at] ^= 1 << random.randrange(8)
        elif kind == 1 and out:
            out[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
        elif kind == 2:
            out[at:at] = random.randbytes(random.choice((1, 2, 8)))
        elif kind == 3:
            del out[at : at + random.choice((1, 2, 8))]
        elif kind == 4:
            piece = out[at : at + random.choice((1, 2, 4, 16))]
            out[at:at] = piece * random.choice((1, 4, 64, 600))
        elif kind == 5:
            out += bytes((random.choice((0, 0x55, 0xAA, 0xFF)),)) * random.choice(
                (1, 64, LONGEST)
            )
        else:
            del out[at:]
    return bytes(out[:LONGEST])


def work_s() -> float:
    """A fixed piece of work, to compare times of different machines and moments."""
    begin = time.process_time()
    x = 0
    for number in range(100_000):
        x += number & 7
    return time.process_time() - begin


class Watched:
    """A target with a record of its slowest input."""

    def __init__(self, name: str) -> None:
        self.name, self.target = name, TARGETS[name]
        self.count = 0
        self.slowest_s, self.slowest = 0.0, b""
        self.end_mono = float("inf")
        self.work_s = min(work_s() for _ in range(5))

    def __call__(self, data: bytes) -> bool:
        """Run it; whether none was slower yet."""
        begin = time.process_time()
        try:
            self.target(data)
        except BaseException:
            sys.stderr.write(f"{self.name} fails on {data.hex()}\n")
            raise
        took_s = time.process_time() - begin
        self.count += 1
        if took_s <= self.slowest_s:
            return False
        # Once more: the first time may have built functions or met a collection.
        begin = time.process_time()
        self.target(data)
        took_s = min(took_s, time.process_time() - begin)
        if took_s <= self.slowest_s:
            return False
        self.slowest_s, self.slowest = took_s, data
        return True

    def told(self) -> str:
        """One line for people."""
        tracemalloc.start()
        self.target(self.slowest)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return (
            f"{self.name}: {self.count} inputs, the slowest took "
            f"{self.slowest_s * 1e3:.2f} ms = {self.slowest_s / self.work_s:.2f} works "
            f"({len(self.slowest)} bytes, {peak / 1024:.0f} KiB): "
            f"{self.slowest[:60].hex()}\n"
        )

    def until_end(self, data: bytes) -> None:
        """For atheris, which ends the process itself: tell before it does."""
        self(data)
        if time.monotonic() >= self.end_mono:
            sys.stdout.write(self.told())
            sys.stdout.flush()
            os._exit(0)


def by_mutation(watched: Watched, seconds: float, seed: int) -> None:
    """Our own loop; what was slow is mutated further."""
    random, pool = Random(seed), list(seeds(watched.name))
    for data in pool:
        watched(data)
    end_mono = time.monotonic() + seconds
    while time.monotonic() < end_mono:
        data = mutate(random, random.choice(pool))
        if watched(data):
            pool.append(data)
    sys.stdout.write(watched.told())


def by_coverage(watched: Watched, seconds: float, seed: int) -> bool:
    """With atheris, from our seeds on; False where it is not installed."""
    try:
        import atheris  # type: ignore[import-not-found]
    except ModuleNotFoundError:
        return False
    corpus = OUT / watched.name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(watched.name)):
        (corpus / f"seed-{number:04}").write_bytes(data)
        watched(data)  # what it builds must be there to be instrumented
    atheris.instrument_all()
    options = [
        f"-seed={seed}",
        f"-max_len={LONGEST}",
        "-timeout=10",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], watched.until_end)
    watched.end_mono = time.monotonic() + seconds
    atheris.Fuzz()
    return True


def each_alone(names: list[str], seconds: float, seed: int) -> int:
    """Every target in a process of its own; how many failed."""
    failed = 0
    for name in names:
        options = ["--seconds", str(seconds), "--seed", str(seed)]
        command = [sys.executable, "-m", "tests.fuzz.run", name, *options]
        failed += subprocess.run(command, check=False).returncode != 0
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("targets", nargs="+", choices=[*sorted(TARGETS), "all"])
    parser.add_argument("--seconds", type=float, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    names = sorted(TARGETS) if "all" in chosen.targets else chosen.targets
    if len(names) > 1:
        return each_alone(names, chosen.seconds, chosen.seed)
    watched = Watched(names[0])
    if not by_coverage(watched, chosen.seconds, chosen.seed):
        by_mutation(watched, chosen.seconds, chosen.seed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
