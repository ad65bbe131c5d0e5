"""The one exception of this package. Must never carry a key."""

from __future__ import annotations


class TrustError(Exception):
    """A certificate, key or file that cannot be used; says which and why."""
