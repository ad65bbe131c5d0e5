"""`make bench`: every figure the design promises, measured on this machine in one run.

Prints a table with the goals, writes out/bench/bench.json. Timing lives here and never
in the test suite. `make bench ARGS=dispatch` runs one part.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tests.bench.row import Row

PARTS = (
    "rpc",
    "profiles",
    "ocpp",
    "store",
    "exi",
    "scheduler",
    "planner",
    "knee",
    "secc",
    "site",
    "station",
    "memory",
    "hostile",
    "doors",
)
OUT = Path("out/bench")


def table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    lines = []
    for row in rows:
        goal = f"goal {row.goal}" if row.goal else ""
        lines.append(
            f"  {row.name:<58} {row.value:>10.4g} {row.unit:<8} {goal:<16} "
            f"{row.note}".rstrip()
        )
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Run the parts named in `argv` (all when none is)."""
    parts = [name for name in PARTS if not argv or name in argv]
    unknown = set(argv) - set(PARTS)
    if unknown:
        print(
            f"unknown part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}"
        )
        return 2
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}"
    )
    rows: list[Row] = []
    for name in parts:
        start = time.monotonic()
        print(f"\n{name} ...", flush=True)
        part = importlib.import_module(f"tests.bench.{name}")
        new: list[Row] = part.run()
        rows += new
        print(table(new))
        print(f"  ({time.monotonic() - start:.0f} s)", flush=True)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "bench.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
    print(f"\nwritten to {OUT / 'bench.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
