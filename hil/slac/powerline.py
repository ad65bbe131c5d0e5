"""A power line with stations on it: their modems, and how well each hears the others.

A station is a host behind a modem. The modem answers its host (key, version, link),
passes on everything else to all, and measures each sound that it hears. Pure: frames
in, frames out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hil.slac import frames


@dataclass(slots=True)
class Modem:
    """`restart_s`: silent that long after a new key, as QCA7000s are. `vendor`:
    "qualcomm", "lumissil", or "" for one that answers no vendor's question."""

    mac: bytes
    vendor: str = "qualcomm"
    nmk: bytes = b""
    restart_s: float = 0.0
    refuses_key: bool = False
    silent: bool = False
    _back_at: float = field(default=0.0)

    def away(self, now: float) -> bool:
        return self.silent or now < self._back_at

    def take_key(self, nmk: bytes, now: float) -> int:
        """Qualcomm says 1 for taken (HomePlug AV 1.0), others 0."""
        taken = int(self.vendor == "qualcomm")
        if self.refuses_key:
            return 1 - taken
        self.nmk, self._back_at = nmk, now + self.restart_s
        return taken


class Powerline:
    """`loss_db[a, b]`: from station a to b, both ways; strangers hear each other at
    `far_db`."""

    def __init__(self, far_db: int = 60) -> None:
        self.modems: dict[str, Modem] = {}
        self.loss_db: dict[frozenset[str], int] = {}
        self.far_db = far_db
        self.cut: set[str] = set()  # stations whose line is broken

    def add(self, name: str, modem: Modem) -> None:
        self.modems[name] = modem

    def near(self, one: str, other: str, loss_db: int) -> None:
        self.loss_db[frozenset((one, other))] = loss_db

    def linked(self, name: str) -> bool:
        """Is any other station in this modem's network?"""
        nmk = self.modems[name].nmk
        return name not in self.cut and any(
            nmk and other.nmk == nmk and key != name and key not in self.cut
            for key, other in self.modems.items()
        )

    def send(self, name: str, raw: bytes, now: float) -> list[tuple[str, bytes]]:
        """A host's frame: who gets what."""
        frame, modem = frames.unpack(raw), self.modems[name]
        if frame is None or modem.away(now):
            return []
        if frame.to in (frames.LOCAL, modem.mac):
            answer = self._answer(name, frame, now)
            return [(name, answer)] if answer else []
        if name in self.cut:
            return []
        out: list[tuple[str, bytes]] = []
        for other, their in self.modems.items():
            if other == name or other in self.cut or their.away(now):
                continue
            out.append((other, raw))
            if frame.kind == frames.SOUND_IND:
                out.append((other, self._measured(name, other, frame)))
        return out

    def _measured(self, name: str, other: str, frame: frames.Frame) -> bytes:
        """Groups differ a little, as lines do."""
        loss = self.loss_db.get(frozenset((name, other)), self.far_db)
        groups = bytes(min(255, loss + (index % 3)) for index in range(frames.GROUPS))
        body = frames.profile_ind(frame.by, groups)
        return frames.pack(frames.ALL, self.modems[other].mac, frames.PROFILE_IND, body)

    def _answer(self, name: str, frame: frames.Frame, now: float) -> bytes | None:
        modem = self.modems[name]
        match frame.kind, modem.vendor:
            case frames.KEY_REQ, _:
                body = frames.key_cnf(modem.take_key(frames.key_of(frame.data), now))
            case frames.VERSION_REQ, "qualcomm":
                body = frames.version_cnf("MAC-QCA7005-1.1.0.730-04-20140815-CS")
            case frames.LINK_REQ, "qualcomm":
                body = frames.link_cnf(self.linked(name))
            case frames.LUMISSIL_VERSION_REQ, "lumissil":
                body = frames.lumissil_version_cnf(1, 2, 3, 4)
            case frames.LUMISSIL_LINK_REQ, "lumissil":
                body = frames.lumissil_link_cnf(self.linked(name))
            case _:
                return None
        return frames.pack(frame.by, modem.mac, frame.kind + 1, body)
