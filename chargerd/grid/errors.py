"""The one exception of the grid's doors."""

from __future__ import annotations


class GridError(Exception):
    """A message or a setting that a grid door refuses; the text says which and why."""
