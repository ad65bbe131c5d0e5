"""The bits of EXI: what generated decoders and encoders call for values of any length.

A decoder reads from `v` (the message as one integer, or a `Window` on a long one) at
`p`, the count of bits still unread: `v >> (p - 8) & 255` is the next byte, and a
negative `p` raises ValueError, which the face turns into "ends too early". An encoder
holds `v`, the bits so far behind a leading 1, and hands full bytes to `out` when `v`
grows. Owns no grammar.
"""

from __future__ import annotations

from typing import Any

from chargerd.vehicle.iso15118.errors import V2gError

WINDOW_BYTES = 512  # above, one big integer would make reading quadratic
BLOCK_BYTES = 128
WINDOW_BITS = 128  # more than any generated read asks for at once
PART_BYTES = 512
PART_LOW_BITS = 1024  # an entry longer than this may have to be read once more
SPILL = 1 << 2048
POINT_BYTES = 3  # the most a character takes as groups of 7 bits
MANY = 1024  # entries of lists without bound: one list out, one long message in
MAX_UINT_BYTES = 256  # of an unbounded integer (X509SerialNumber has 20 bytes)


class Window:
    """A long message behind the one operation generated decoders use: `v >> p`.

    Keeps a block of it as an integer; reading goes forward, so a block serves until
    `p` falls below `low`, the bits behind the block. Counts the entries of lists that
    the schema does not bound; a short message needs no count, its bits are few.
    """

    __slots__ = ("bits", "block", "data", "entries", "low")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.bits = len(data) * 8
        self.block = 0
        self.low = self.bits + 1
        self.entries = 0

    def __rshift__(self, p: int) -> int:
        shift = p - self.low
        if shift < 0:
            if p < 0:
                raise ValueError("negative shift count")
            start = max(0, self.bits - p - WINDOW_BITS) >> 3
            part = self.data[start : start + BLOCK_BYTES]
            self.block = int.from_bytes(part, "big")
            self.low = self.bits - (start + len(part)) * 8
            shift = p - self.low
        return self.block >> shift

    def take(self, p: int, count: int) -> bytes:
        """`count` bytes whose last bit has `p` bits behind it."""
        end = self.bits - p
        stop = (end + 7) >> 3
        part = self.data[(end - count * 8) >> 3 : stop]
        value = int.from_bytes(part, "big") >> (stop * 8 - end)
        return (value & ((1 << count * 8) - 1)).to_bytes(count, "big")

    def part(self, p: int) -> tuple[int, int]:
        """What stands at `p` as an integer, and the bits behind that."""
        start = (self.bits - p) >> 3
        part = self.data[start : start + PART_BYTES]
        return int.from_bytes(part, "big"), self.bits - (start + len(part)) * 8


def part(v: Any, p: int) -> tuple[Any, int]:
    """A long message's part at `p`, for entries of a list, and the bits behind it."""
    return v.part(p) if type(v) is Window else (v, 0)


def count_entry(v: Any, weight: int, where: str) -> None:
    """One more entry of a list without bound; a message may hold MANY in all."""
    if type(v) is Window:
        v.entries += weight
        if v.entries > MANY:
            raise bad(where, f"with it over {MANY // weight} entries without bound")


def take(v: Any, p: int, count: int) -> bytes:
    """`count` bytes whose last bit has `p` bits behind it."""
    if type(v) is Window:
        return v.take(p, count)
    value: int = v >> p & ((1 << count * 8) - 1)
    return value.to_bytes(count, "big")


def bad(where: str, what: str) -> V2gError:
    """The exception for a stream or value that cannot be."""
    return V2gError(f"{where}: {what}")


# --- decoding -------------------------------------------------------------------------


def read_more(v: Any, p: int, x: int, where: str) -> tuple[int, int]:
    """The rest of an unsigned integer whose first byte `x` said "more follows"."""
    if x > 255:
        raise bad(where, "an event the schema has no place for")
    x &= 127
    shift = 7
    while True:
        p -= 8
        byte = v >> p & 255
        x |= (byte & 127) << shift
        if byte < 128:
            return x, p
        shift += 7
        if shift > 7 * MAX_UINT_BYTES:
            raise bad(where, "an integer without end")


def read_signed(v: Any, p: int, x: int, where: str) -> tuple[int, int]:
    """The rest of a signed integer; `x` is the sign bit and the first byte."""
    if x > 511:
        raise bad(where, "an event the schema has no place for")
    negative = x > 255
    x &= 255
    if x > 127:
        x, p = read_more(v, p, x, where)
    return (-x - 1 if negative else x), p


def read_string(
    v: Any, p: int, x: int, least: int, most: int | None, where: str
) -> tuple[str, int]:
    """A string after `x`, the first byte of its length (plus 2)."""
    if x > 127:
        x, p = read_more(v, p, x, where)
    count = x - 2
    if count < 0:
        raise bad(where, "a string table hit, which V2G senders may not use")
    if count < least or (most is not None and count > most):
        raise bad(where, f"{count} characters, allowed are {least} to {most}")
    if count * 8 > p:
        raise ValueError("negative shift count")
    if not count:
        return "", p
    raw = take(v, p - count * 8, count)
    if raw.isascii():
        return raw.decode("ascii"), p - count * 8
    return read_points(v, p, count, where)


def read_points(v: Any, p: int, count: int, where: str) -> tuple[str, int]:
    """`count` characters of which at least one is not ASCII."""
    most = min(count * POINT_BYTES, p >> 3)
    raw = take(v, p - most * 8, most)
    points = []
    at = 0
    for _ in range(count):
        x = shift = 0
        while True:
            if at == most:
                raise ValueError("negative shift count")
            byte = raw[at]
            at += 1
            x |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
            if shift > 14:
                raise bad(where, "a character without end")
        if x > 0x10FFFF or 0xD800 <= x <= 0xDFFF:
            raise bad(where, f"{x:#x} is no character")
        points.append(chr(x))
    return "".join(points), p - at * 8


def read_blob(
    v: Any, p: int, x: int, least: int, most: int | None, where: str
) -> tuple[bytes, int]:
    """Bytes after `x`, the first byte of their count."""
    if x > 127:
        x, p = read_more(v, p, x, where)
    if x < least or (most is not None and x > most):
        raise bad(where, f"{x} bytes, allowed are {least} to {most}")
    p -= x * 8
    if p < 0:
        raise ValueError("negative shift count")
    return take(v, p, x), p


# --- encoding -------------------------------------------------------------------------


def spill(v: int, out: list[bytes]) -> int:
    """Hand the full bytes of `v` to `out`; what is left of it."""
    rest = (v.bit_length() - 1) & 7
    keep = v & ((1 << rest) - 1)
    v >>= rest
    count = v.bit_length() >> 3
    out.append((v ^ (1 << count * 8)).to_bytes(count, "big"))
    return keep | 1 << rest


def finish(v: int, out: list[bytes]) -> bytes:
    """All bytes, the last one filled up with zeros."""
    v <<= -(v.bit_length() - 1) & 7
    count = v.bit_length() >> 3
    last = (v ^ (1 << count * 8)).to_bytes(count, "big")
    if not out:
        return last
    out.append(last)
    return b"".join(out)


def write_uint(v: int, x: int) -> int:
    """An unsigned integer: groups of 7 bits, least first."""
    while x > 127:
        v = v << 8 | x & 127 | 128
        x >>= 7
    return v << 8 | x


def write_bounded(v: int, x: int, least: int | None, most: int | None) -> int:
    """An unsigned integer within its bounds."""
    if x < (least or 0) or (most is not None and x > most):
        raise ValueError
    return write_uint(v, x)


def write_signed(v: int, x: int, least: int | None, most: int | None) -> int:
    """A signed integer within its bounds: sign, then magnitude."""
    if (least is not None and x < least) or (most is not None and x > most):
        raise ValueError
    return write_uint(v << 1, x) if x >= 0 else write_uint(v << 1 | 1, -x - 1)


def write_string(v: int, x: str, least: int, most: int | None) -> int:
    """A string as a table miss: length plus 2, then the code points."""
    count = len(x)
    if count < least or (most is not None and count > most):
        raise ValueError
    v = v << 8 | count + 2 if count < 126 else write_uint(v, count + 2)
    if x.isascii():
        return v << count * 8 | int.from_bytes(x.encode("ascii"), "big")
    for char in x:
        point = ord(char)
        if 0xD800 <= point <= 0xDFFF:
            raise ValueError
        v = write_uint(v, point)
    return v


def write_blob(v: int, x: bytes, least: int, most: int | None, out: list[bytes]) -> int:
    """Bytes: their count, then themselves."""
    count = len(x)
    if count < least or (most is not None and count > most):
        raise ValueError
    v = write_uint(v, count) << count * 8 | int.from_bytes(x, "big")
    return spill(v, out) if v > SPILL else v
