"""Our own modem: is it there, does it have a fresh key, does it see a link.

Asks, repeats and gives up by deadlines; `frames` in, frames out. Only the modem's own
answers count: its MAC is configured, or learned from the first answer to a question
that does not leave our port. Never handles a vehicle's frame. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chargerd.vehicle.slac import messages, modem
from chargerd.vehicle.slac.mme import CNF, REQ, Mme
from chargerd.vehicle.slac.modem import Vendor

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class ModemTimes:
    """In s. Defaults of EVerest's EvseSlac for QCA7000, QCA7005 and CG5317."""

    version_s: float = 0.2
    version_tries: int = 3
    set_key_s: float = 0.5
    set_key_tries: int = 5  # then the modem is held lost, and asked every `absent_s`
    absent_s: float = 5.0
    join_poll_s: float = 0.25
    link_poll_s: float = 1.0
    link_misses: int = 3  # polls without "up" in a row that make a lost link


class ModemSide:
    """`link`: None until told; `nmk`: the key the modem has confirmed."""

    def __init__(
        self,
        own_mac: bytes,
        times: ModemTimes,
        random: Callable[[int], bytes],
        now_mono: float,
        modem_mac: bytes | None = None,
    ) -> None:
        self._own_mac, self._times, self._random = own_mac, times, random
        self.mac = modem_mac
        self.vendor = Vendor.UNKNOWN
        self.firmware = ""
        self.nmk: bytes | None = None
        self._wanted_nmk = b""
        self._known = False  # the version questions are answered or given up
        self._tries = 0
        self._ask_mono = now_mono
        self._poll_mono = NEVER
        self._fast = False
        self._misses = 0
        self.link: bool | None = None
        self._out: list[Mme] = []
        self.new_key(now_mono)

    # -- for the matching ----------------------------------------------------------

    @property
    def present(self) -> bool:
        """It answered, and has not been silent for long since."""
        return self.nmk is not None or self._tries <= self._times.set_key_tries

    def new_key(self, now_mono: float) -> None:
        """Throw the old network away: the only way to be rid of a station in it."""
        self.nmk = None
        self._wanted_nmk = self._random(messages.NMK)
        if self._known:
            self._tries, self._ask_mono = 0, now_mono
        self.unwatch()

    def watch(self, now_mono: float, *, fast: bool) -> None:
        """Look at the link; `fast` while a vehicle joins."""
        self._fast, self._misses, self.link = fast, -1, None  # not yet asked
        self._poll_mono = now_mono

    def unwatch(self) -> None:
        self._poll_mono, self.link = NEVER, None

    @property
    def tells_link(self) -> bool:
        return self.vendor is not Vendor.UNKNOWN

    @property
    def link_lost(self) -> bool:
        return self._misses >= self._times.link_misses

    def is_own(self, source: bytes) -> bool:
        """Whether a measurement comes from our modem. Unknown as yet: nothing does."""
        return self.mac is not None and source == self.mac

    # -- sans-I/O ------------------------------------------------------------------

    def to_send(self) -> list[Mme]:
        out, self._out = self._out, []
        return out

    def next_timer(self) -> float:
        return min(self._ask_mono, self._poll_mono)

    def on_timer(self, now_mono: float) -> None:
        if now_mono >= self._ask_mono:
            self._ask(now_mono)
        if now_mono >= self._poll_mono:
            self._poll(now_mono)

    def receive(self, message: Mme, now_mono: float) -> bool:
        """True when this was the modem's business."""
        if message.destination != self._own_mac:
            return False
        known = modem.version(message)
        if known is not None:
            self._version(known, message.source, now_mono)
            return True
        if message.kind == messages.SET_KEY | CNF:
            self._key(message, now_mono)
            return True
        up = modem.link_up(message)
        if up is None:
            return False
        if self.is_own(message.source) and self._poll_mono != NEVER:
            self.link = up
        return True

    # -- parts ---------------------------------------------------------------------

    def _ask(self, now_mono: float) -> None:
        times = self._times
        self._tries += 1
        if not self._known:
            self._known = self._tries >= times.version_tries
            self._tries = 0 if self._known else self._tries
            self._out += modem.questions(self._own_mac)
            self._ask_mono = now_mono + times.version_s
            return
        if self.nmk is not None:
            self._ask_mono = NEVER
            return
        body = messages.set_key_req(self._wanted_nmk)
        self._out.append(Mme(modem.LOCAL, self._own_mac, messages.SET_KEY | REQ, body))
        lost = self._tries > times.set_key_tries
        if lost:  # it may have been exchanged, or be in its boot loader: ask anew
            self._out += modem.questions(self._own_mac)
        self._ask_mono = now_mono + (times.absent_s if lost else times.set_key_s)

    def _version(self, known: modem.Version, source: bytes, now_mono: float) -> None:
        """The first answer is taken; later ones only from the same modem."""
        if self.mac is not None and source != self.mac:
            return
        self.mac, self.vendor, self.firmware = source, known.vendor, known.text
        if not self._known:
            self._known, self._tries = True, 0
            self._ask_mono = now_mono

    def _key(self, message: Mme, now_mono: float) -> None:
        result = messages.set_key_cnf(message.body)
        stranger = self.mac is not None and message.source != self.mac
        if result is None or stranger or self.nmk is not None or not self._known:
            return
        if self._tries == 0 or not modem.key_accepted(self.vendor, result):
            return  # not asked, or refused: asked again when its time is over
        self.mac = message.source
        self.nmk, self._ask_mono, self._tries = self._wanted_nmk, NEVER, 0

    def _poll(self, now_mono: float) -> None:
        question = modem.link_question(self.vendor, self._own_mac)
        if question is None:
            self._poll_mono = NEVER
            return
        self._misses = 0 if self.link else self._misses + 1
        self.link = None
        self._out.append(question)
        times = self._times
        every_s = times.join_poll_s if self._fast else times.link_poll_s
        self._poll_mono = now_mono + every_s
