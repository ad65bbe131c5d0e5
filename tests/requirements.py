"""The OCPP requirement table: docs/ocpp/requirements.csv, and what the tests say of it.

    python -m tests.requirements                     done and open by block
    python -m tests.requirements open K              the open rows of a block
    python -m tests.requirements set n/a ID... --reason "..."
    python -m tests.requirements sync                take over the marks of the tests

A row is "done" when a test carries its id by `@pytest.mark.req("B05.FR.01")` (on the
function, or on a `pytest.param` of its table), and by nothing else. `req =
pytest.mark.req` is a short way to write it.
"""

from __future__ import annotations

import argparse
import ast
import csv
import fcntl
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs/ocpp/requirements.csv"
LIBOCPP = ROOT / "docs/ocpp/libocpp.csv"
COLUMNS = ("id", "block", "use_case", "side", "status", "reason", "tests")
STATUSES = ("done", "n/a", "open")
ID = re.compile(r"(General\.FR|[A-S]\d\d\.FR|V2X)\.\d{2,3}")


@dataclass(frozen=True)
class Row:
    """One requirement. `side`: whose duty it is. `tests`: node ids, "; " between."""

    id: str
    block: str
    use_case: str
    side: str
    status: str
    reason: str
    tests: str

    @property
    def named(self) -> list[str]:
        """The tests' node ids, without a table's parameters."""
        return self.tests.split("; ") if self.tests else []


def read(path: Path = TABLE) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return [Row(**row) for row in csv.DictReader(file)]


def write(rows: list[Row]) -> None:
    fresh = TABLE.with_suffix(".new")
    with fresh.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(COLUMNS)
        out.writerows([getattr(row, name) for name in COLUMNS] for row in rows)
    fresh.replace(TABLE)


@contextmanager
def locked() -> Iterator[None]:
    """Several people may edit the table at once."""
    folder = os.open(TABLE.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


# What the tests carry.


def _ids(node: ast.AST) -> Iterator[str]:
    """Arguments of each `...mark.req(...)`, or `req(...)`, under `node`."""
    for call in ast.walk(node):
        if not isinstance(call, ast.Call):
            continue
        called = call.func
        name = called.attr if isinstance(called, ast.Attribute) else ""
        if isinstance(called, ast.Name):
            name = called.id
        if name == "req":
            for value in call.args:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value


def _marks(path: Path) -> Iterator[tuple[str, str]]:
    """(requirement id, test's node id) of one file; a table may be a module's name."""
    text = path.read_text(encoding="utf-8")
    if "req(" not in text:
        return
    tree = ast.parse(text)
    tables: dict[str, ast.AST] = {}
    for part in tree.body:
        if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
            tables[part.targets[0].id] = part.value
        elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            tables[part.target.id] = part
    name = path.relative_to(ROOT).as_posix()
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if not node.name.startswith("test"):
            continue
        for decorator in node.decorator_list:
            parts = [decorator]
            parts += [
                tables[word.id]  # type: ignore[misc]
                for word in ast.walk(decorator)
                if isinstance(word, ast.Name) and word.id in tables
            ]
            for part in parts:
                for number in _ids(part):
                    yield number, f"{name}::{node.name}"


def marks() -> dict[str, list[str]]:
    """Requirement id -> the tests that carry it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for number, test in _marks(path):
            found[number].add(test)
    return {number: sorted(tests) for number, tests in found.items()}


def synced(rows: list[Row], carried: dict[str, list[str]]) -> list[Row]:
    """Rows as the tests have them. Raises SystemExit for an id that is no row."""
    unknown = sorted(set(carried) - {row.id for row in rows})
    if unknown:
        where = "; ".join(carried[unknown[0]])
        raise SystemExit(f"no such requirement: {', '.join(unknown)} (in {where})")
    out = []
    for row in rows:
        tests = carried.get(row.id, [])
        if tests:
            out.append(replace(row, status="done", reason="", tests="; ".join(tests)))
        elif row.status == "done":
            out.append(replace(row, status="open", tests=""))
        else:
            out.append(row)
    return out


# What people see.


def table(rows: list[Row]) -> str:
    """Done and open by block, beside libocpp's own count (its status document)."""
    with LIBOCPP.open(newline="", encoding="utf-8") as file:
        theirs = {row["block"]: row for row in csv.DictReader(file)}
    lines = [
        "                 ours                                libocpp",
        "block     rows  done   n/a  csms  open  why      done  host  open",
    ]
    total: Counter[str] = Counter()
    for block in dict.fromkeys(row.block for row in rows):
        mine = [row for row in rows if row.block == block]
        count = Counter(
            {
                "rows": len(mine),
                "done": sum(row.status == "done" for row in mine),
                "n/a": sum(row.status == "n/a" and row.side != "csms" for row in mine),
                "csms": sum(row.status == "n/a" and row.side == "csms" for row in mine),
                "open": sum(row.status == "open" for row in mine),
                "why": sum(row.status == "open" and bool(row.reason) for row in mine),
            }
        )
        their = theirs.get(block, {})
        for name in ("done", "host", "open"):
            count[f"their {name}"] = int(their.get(name, 0))
        total += count
        lines.append(_line(block, count))
    lines.append(_line("all", total))
    return "\n".join(lines)


def _line(name: str, count: Counter[str]) -> str:
    ours = "".join(f"{count[key]:6}" for key in ("rows", "done", "n/a", "csms", "open"))
    why = f"  {count['why']:3}  "
    theirs = "".join(f"{count[key]:6}" for key in ("their done", "their host"))
    return f"{name:8}{ours}{why}   {theirs}{count['their open']:6}"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.requirements")
    verbs = parser.add_subparsers(dest="verb")
    listing = verbs.add_parser("open", help="rows that are not done")
    listing.add_argument("blocks", nargs="*")
    setting = verbs.add_parser("set", help="say why rows are not done")
    setting.add_argument("status", choices=("n/a", "open"))
    setting.add_argument("ids", nargs="+")
    setting.add_argument("--reason", required=True)
    setting.add_argument("--side", choices=("station", "csms"))
    verbs.add_parser("sync", help="take over the marks of the tests")
    args = parser.parse_args(argv)
    if args.verb == "sync":
        with locked():
            write(synced(read(), marks()))
    if args.verb == "set":
        with locked():
            write(_set(read(), args))
        return 0
    if args.verb == "open":
        for row in read():
            if row.status == "open" and (not args.blocks or row.block in args.blocks):
                sys.stdout.write(f"{row.id}  {row.side}  {row.reason}\n")
        return 0
    sys.stdout.write(table(read()) + "\n")
    return 0


def _set(rows: list[Row], args: argparse.Namespace) -> list[Row]:
    wanted = {number for text in args.ids for number in text.split(",")}
    unknown = wanted - {row.id for row in rows}
    if unknown:
        raise SystemExit(f"no such requirement: {', '.join(sorted(unknown))}")
    tested = [row.id for row in rows if row.id in wanted and row.status == "done"]
    if tested:
        raise SystemExit(f"done by a test's mark: {', '.join(tested)}")
    return [
        replace(
            row,
            status=args.status,
            reason=args.reason,
            side=args.side or row.side,
            tests="",
        )
        if row.id in wanted
        else row
        for row in rows
    ]


if __name__ == "__main__":
    raise SystemExit(main())
