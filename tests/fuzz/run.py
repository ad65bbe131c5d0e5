"""Fuzz one target by hand: python -m tests.fuzz.run decode --seconds 60

Guided by coverage where `atheris` is installed (not a dependency: pip install atheris),
else by our own mutator. A failing input is printed as hex; the end tells how many ran,
the slowest with its size, and the most memory one took.
"""

from __future__ import annotations

import argparse
import sys
import time
import tracemalloc
from random import Random

from tests.fuzz.targets import TARGETS, seeds

LONGEST = 10_240


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


def by_mutation(name: str, seconds: float, seed: int) -> int:
    """Our own loop; exit status."""
    target, random = TARGETS[name], Random(seed)
    pool = list(seeds(name))
    for data in pool:
        target(data)
    slowest, slow_input, count = 0.0, b"", 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutate(random, random.choice(pool))
        begin = time.process_time()
        try:
            target(data)
        except BaseException:
            sys.stderr.write(f"{name} fails on {data.hex()}\n")
            raise
        took = time.process_time() - begin
        count += 1
        if took > slowest:
            slowest, slow_input = took, data
            pool.append(data)
    tracemalloc.start()
    target(slow_input)
    _, peak = tracemalloc.get_traced_memory()
    sys.stdout.write(
        f"{name}: {count} inputs, the slowest took {slowest * 1e3:.2f} ms "
        f"({len(slow_input)} bytes, {peak / 1024:.0f} KiB): {slow_input[:80].hex()}\n"
    )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    try:
        import atheris  # type: ignore[import-not-found]
    except ModuleNotFoundError:
        return by_mutation(chosen.target, chosen.seconds, chosen.seed)
    atheris.instrument_all()
    options = [sys.argv[0], f"-max_total_time={chosen.seconds:.0f}"]
    atheris.Setup([*options, f"-max_len={LONGEST}"], TARGETS[chosen.target])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
