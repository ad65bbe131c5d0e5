"""The one exception of this package."""

from __future__ import annotations


class RecordsError(Exception):
    """Records that cannot be read or written; the text says which file and why."""
