"""RFID readers that send `STX hex CR LF`: a line framer, sans-I/O.

Reader bytes are untrusted (refs: CVE-2024-23959): length-capped, hex only, and nothing
is ever sent back.
"""

from __future__ import annotations

import re

STX = 0x02
MAX_HEX = 32  # OCPP's idToken takes 36 characters; a UID is 8 to 20
_TOKEN = re.compile(rb"[0-9A-Fa-f]{4,32}")


class TokenFramer:
    """Incremental: the same bytes in any split give the same tokens. Bounded memory."""

    def __init__(self) -> None:
        self.bad = 0
        self._line: bytearray | None = None  # None: between lines

    def receive(self, data: bytes) -> list[str]:
        tokens = []
        for byte in data:
            if byte == STX:
                self.bad += self._line is not None
                self._line = bytearray()
            elif self._line is None:
                continue
            elif byte == 0x0A:
                token = bytes(self._line).removesuffix(b"\r")
                self._line = None
                if _TOKEN.fullmatch(token) and len(token) % 2 == 0:
                    tokens.append(token.decode("ascii").upper())
                else:
                    self.bad += 1
            elif len(self._line) > MAX_HEX:
                self._line = None
                self.bad += 1
            else:
                self._line.append(byte)
        return tokens
