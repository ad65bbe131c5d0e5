"""Numbered migrations `migrations/NNN_name.sql`, each applied once, in one transaction.

Never edits a shipped migration: a new need is a new number.
"""

from __future__ import annotations

import sqlite3
from importlib import resources

_PACKAGE = "chargerd.store"


class NewerSchema(sqlite3.DatabaseError):
    """The file was written by a newer chargerd than this one."""


def migrations() -> list[tuple[int, str]]:
    """(number, SQL) in order."""
    folder = resources.files(_PACKAGE) / "migrations"
    found = [
        (int(item.name.split("_", 1)[0]), item.read_text(encoding="utf-8"))
        for item in folder.iterdir()
        if item.name.endswith(".sql")
    ]
    return sorted(found)


def version(db: sqlite3.Connection) -> int:
    """The number of the last migration applied, 0 for an empty file."""
    db.execute(
        "CREATE TABLE IF NOT EXISTS migration"
        " (number INTEGER PRIMARY KEY, applied_utc TEXT NOT NULL)"
    )
    row = db.execute("SELECT max(number) FROM migration").fetchone()
    return int(row[0] or 0)


def migrate(db: sqlite3.Connection) -> int:
    """Bring the file to the newest schema; returns how many steps were taken.

    Raises NewerSchema for a file of a later version, sqlite3.Error if a step fails:
    that step is then undone as a whole.
    """
    have = version(db)
    steps = migrations()
    if have > steps[-1][0]:
        raise NewerSchema(
            f"schema {have} is newer than this chargerd's {steps[-1][0]}: "
            "install that version again, or let this one start with an empty store"
        )
    todo = [step for step in steps if step[0] > have]
    for number, sql in todo:
        _apply(db, number, sql)
    return len(todo)


def _apply(db: sqlite3.Connection, number: int, sql: str) -> None:
    stamp = f"INSERT INTO migration VALUES ({number}, datetime('now'));"  # noqa: S608
    try:
        db.executescript(f"BEGIN IMMEDIATE;\n{sql}\n{stamp}\nCOMMIT;")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
