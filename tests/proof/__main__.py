"""`make proof`: runs all, shows a bar, writes docs/proof.md, fails if a goal is missed.

python -m tests.proof [--sessions 10000] [--worlds 40] [--workers 2] [--out FILE]
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import structlog

from tests.proof import promise, report, tracking, value

ROOT = Path(__file__).resolve().parents[2]
BAR = 40


def quiet() -> None:
    """Faults come and go by the thousand here; HiGHS greets on descriptor 1."""
    level = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=level)


def start_worker() -> None:
    quiet()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def cpu_of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def through(
    pool: Any, name: str, work: Callable[[Any], Any], jobs: Iterable[Any]
) -> list[Any]:
    """All results in the order of the jobs, with a bar."""
    todo = list(jobs)
    done: list[Any] = []
    for result in pool.imap(work, todo, chunksize=4):
        done.append(result)
        share = len(done) / len(todo)
        bar = "#" * round(BAR * share)
        sys.stderr.write(f"\r{name:<28}[{bar:<{BAR}}] {len(done)}/{len(todo)} ")
        sys.stderr.flush()
    sys.stderr.write("\n")
    return done


def main() -> int:
    parser = argparse.ArgumentParser(prog="make proof")
    parser.add_argument("--sessions", type=int, default=report.SESSIONS)
    parser.add_argument("--worlds", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "proof.md")
    args = parser.parse_args()
    began = time.monotonic()
    with multiprocessing.Pool(args.workers, start_worker) as pool:
        tracked = through(pool, "tracking", tracking.run, tracking.NAMES)
        seeds = range(args.seed, args.seed + args.worlds)
        money: report.Money = {}
        for early in (False, True):
            for policy, sigma in report.columns(early):
                jobs = [(seed, policy, sigma, early) for seed in seeds]
                name = f"{policy}, sigma {sigma:g}{', early' if early else ''}"
                money[policy, sigma, early] = through(pool, name, value.run, jobs)
        first = args.seed
        sessions = through(
            pool, "promises", promise.run, range(first, first + args.sessions)
        )
        pool.close()
        pool.join()
    took_s, cpu_s = time.monotonic() - began, cpu_of_children_s()
    found = report.Report(sessions, money, tracked, took_s, cpu_s, args.seed)
    args.out.write_text(report.text(found), encoding="utf-8")
    failed = report.failures(found)
    print("\n".join(f"FAILED: {line}" for line in failed) or "all goals are met")
    print(f"written: {args.out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
