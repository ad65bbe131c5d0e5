"""The one exception of the ISO 15118 door. Must never carry secrets of a message."""

from __future__ import annotations


class V2gError(Exception):
    """What the vehicle sent, or what we were told to send, cannot be.

    The text says what, where and what to do; the connection's state is the caller's.
    """
