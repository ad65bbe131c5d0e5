"""The one exception of the package."""

from __future__ import annotations


class SlacError(Exception):
    """A setting or a line that cannot be; the text says which and what to do."""
