"""Key codes are short: who tries many has to wait longer and longer (C04.FR.06).

Pure. Keeps no code, counts wrong ones only; a right one ends the count.
"""

from __future__ import annotations

from chargerd.clock import Now
from chargerd.model import Token

KIND = "KeyCode"
FREE_TRIES = 3
FIRST_WAIT_S = 10.0
LONGEST_WAIT_S = 600.0


class KeyCodes:
    def __init__(self) -> None:
        self._wrong = 0
        self._open_mono = 0.0

    def wait_s(self, token: Token, now: Now) -> float:
        """How long from now on no key code is looked at; 0 = it is."""
        if token.kind != KIND:
            return 0.0
        return max(0.0, self._open_mono - now.mono)

    def tried(self, token: Token, now: Now, *, good: bool) -> None:
        if token.kind != KIND:
            return
        self._wrong = 0 if good else self._wrong + 1
        over = self._wrong - FREE_TRIES
        if over >= 0:
            wait_s = min(FIRST_WAIT_S * 2.0 ** min(over, 10), LONGEST_WAIT_S)
            self._open_mono = now.mono + wait_s
