"""Token readers that send `STX text CR LF`: a line framer, sans-I/O.

The text is a card's UID in hex, or whatever a card or code carries in the characters of
OCPP's identifierString. Reader bytes are untrusted (refs: CVE-2024-23959): capped,
checked against that set, and nothing is ever sent back.
"""

from __future__ import annotations

import re

STX = 0x02
MAX_TEXT = 36  # what idToken takes in every OCPP version
_TOKEN = re.compile(rb"[A-Za-z0-9*\-_=:+|@.]{2,36}")
_HEX = re.compile(rb"[0-9A-Fa-f]+")


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
                if _TOKEN.fullmatch(token):
                    token = token.upper() if _HEX.fullmatch(token) else token
                    tokens.append(token.decode("ascii"))
                else:
                    self.bad += 1
            elif len(self._line) > MAX_TEXT:
                self._line = None
                self.bad += 1
            else:
                self._line.append(byte)
        return tokens
