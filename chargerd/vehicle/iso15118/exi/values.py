"""How a declared simple type is coded. Owns no bits."""

from __future__ import annotations

from chargerd.vehicle.iso15118.messages.declare import Integer

BOUNDED = 4096  # a range of at most so many values is an n-bit offset


def code_bits(count: int) -> int:
    """Bits that tell `count` values apart."""
    return (count - 1).bit_length()


def bounds(kind: Integer) -> int | None:
    """Bits of a narrow integer's offset, None for a wide one."""
    if kind.min is None or kind.max is None or kind.max - kind.min >= BOUNDED:
        return None
    return code_bits(kind.max - kind.min + 1)
