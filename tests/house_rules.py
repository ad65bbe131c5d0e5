"""House rules no linter knows: file and function length, naked tasks, shells.

Run by `make lint`; prints each breach as file:line and exits 1. Owns no other rule.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HARD_LINES, SOFT_LINES, FUNCTION_LINES = 600, 300, 60
MAY_CATCH_ALL = {"chargerd/supervisor.py"}
MAY_SPAWN = {"chargerd/__main__.py", "chargerd/ocpp/schemas.py"}


def tracked() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [ROOT / name for name in names if (ROOT / name).exists()]


def calls(node: ast.AST, owner: str, name: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == name
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == owner
    )


def catches_all(kind: ast.expr | None) -> bool:
    return kind is None or (
        isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"}
    )


def breaches(path: Path) -> list[str]:
    """Every breach in one file, as 'file:line: text'."""
    name = path.relative_to(ROOT).as_posix()
    text = path.read_text()
    found = []
    if text.count("\n") > HARD_LINES:
        found.append(f"{name}:1: over {HARD_LINES} lines: split it by subject")
    product = name.startswith(("chargerd/", "firmware_bridge/"))
    for node in ast.walk(ast.parse(text)):
        at = f"{name}:{getattr(node, 'lineno', 1)}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno
            if product and length > FUNCTION_LINES:
                found.append(f"{at}: {node.name}() has {length} lines")
        if not product:
            continue
        if isinstance(node, ast.Assert):
            found.append(f"{at}: assert in the product (python -O strips it)")
        if isinstance(node, ast.ExceptHandler) and name not in MAY_CATCH_ALL:
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(catches_all(kind) for kind in kinds):
                found.append(f"{at}: catches everything; only the supervisor may")
        if calls(node, "asyncio", "create_task") or calls(
            node, "asyncio", "ensure_future"
        ):
            found.append(f"{at}: naked task; use a TaskGroup or the supervisor")
        if calls(node, "os", "system") or (
            isinstance(node, ast.Name)
            and node.id == "subprocess"
            and name not in MAY_SPAWN
        ):
            found.append(f"{at}: starts a process")
    return found


def main() -> int:
    files = tracked()
    found = [line for path in files for line in breaches(path)]
    for line in found:
        print(line)
    long = [
        p
        for p in files
        if SOFT_LINES < p.read_text().count("\n") <= HARD_LINES
        and p.relative_to(ROOT).parts[0] in {"chargerd", "firmware_bridge", "hil"}
    ]
    print(
        f"house rules: {len(files)} files, {len(found)} breaches, "
        f"{len(long)} over {SOFT_LINES} lines"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
