"""HTML that the reports share: a document, facts in a row, tables. Pure."""

from __future__ import annotations

import html
from collections.abc import Sequence

from chargerd.records.style import CSS


def document(title: str, body: str) -> str:
    """A whole page that needs nothing else. `body` is HTML already."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{CSS}</style></head>\n"
        f"<body>{body}</body></html>\n"
    )


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """(name, value) in a row, the value large."""
    cells = "".join(
        f"<div><b>{html.escape(value)}</b>{html.escape(name)}</div>"
        for name, value in pairs
    )
    return f'<div class="facts">{cells}</div>'


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
