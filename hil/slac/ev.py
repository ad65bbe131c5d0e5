"""A vehicle's side of ISO 15118-3 matching. Pure: frames and `now` in, frames out.

It sounds, takes every station's report, goes to the one that heard it best, and joins
that station's network. Misbehaviours are for tests: they are named in `quirks`.
"""

from __future__ import annotations

from collections.abc import Callable

from hil.slac import frames

START_EVERY_S = 0.03  # TP_EV_batch_msg_interval: 20 to 50 ms
ATTEN_RESULTS_S = 1.2  # TT_EV_atten_results
RESPONSE_S = 0.2  # TT_match_response
RATE_S = 0.4  # TT_matching_rate
REPETITION_S = 10.0  # TT_matching_repetition
JOIN_S = 12.0  # TT_match_join
QUIRKS = ("no_sounds", "no_match_req", "keeps_key", "one_start", "repeats_match")


class EvSlac:
    """`state`: idle, parm, sounding, choosing, matching, joining, matched, failed."""

    def __init__(
        self,
        mac: bytes,
        random: Callable[[int], bytes],
        *,
        limit_db: float = 40.0,
        patience_s: float = REPETITION_S,
        quirks: frozenset[str] = frozenset(),
    ) -> None:
        self.mac, self.limit_db, self.quirks = mac, limit_db, quirks
        self.patience_s = patience_s
        self._random = random
        self.state = "idle"
        self.run = b""
        self.reports: dict[bytes, float] = {}  # station MAC -> average dB
        self.station = b""
        self.nmk = b""
        self._due = float("inf")
        self._end = float("inf")
        self._results_by = float("inf")
        self._left = 0  # frames of the burst that are still to go
        self._tries = 0
        self._out: list[bytes] = []

    def plug(self, now: float) -> None:
        """The pilot shows 5 %: begin."""
        self._end = now + self.patience_s
        self._begin(now)

    def unplug(self) -> None:
        self.state, self._due, self.nmk, self.station = "idle", float("inf"), b"", b""

    def to_send(self) -> list[bytes]:
        out, self._out = self._out, []
        return out

    def next_timer(self) -> float:
        return self._due

    def _begin(self, now: float) -> None:
        self.state, self._tries = "parm", 0
        self.run = self._random(8)
        self.reports, self.station = {}, b""
        self._due = now

    def on_timer(self, now: float) -> None:
        while now >= self._due:
            getattr(self, f"_on_{self.state}")(now)

    def _say(self, to: bytes, kind: int, data: bytes) -> None:
        self._out.append(frames.pack(to, self.mac, kind, data))

    def _on_parm(self, now: float) -> None:
        if self._tries > 2:
            self._again(now)
            return
        self._tries += 1
        self._say(frames.ALL, frames.PARM_REQ, frames.parm_req(self.run))
        self._due = now + RESPONSE_S

    def _on_sounding(self, now: float) -> None:
        """Three START_ATTEN_CHAR.IND, ten MNBC_SOUND.IND, then wait for reports."""
        if self._left > 10:
            if self._left == 13:
                self._results_by = now + ATTEN_RESULTS_S
            if self._left == 13 or "one_start" not in self.quirks:
                body = frames.start_ind(self.run, self.mac)
                self._say(frames.ALL, frames.START_IND, body)
        elif self._left > 0 and "no_sounds" not in self.quirks:
            body = frames.sound_ind(self.run, self._left - 1, self._random(16))
            self._say(frames.ALL, frames.SOUND_IND, body)
        self._left -= 1
        self._due = now + START_EVERY_S
        if self._left <= 0:
            self.state, self._due = "choosing", self._results_by

    def _on_choosing(self, now: float) -> None:
        """The station that heard us best, if it is near enough to be at our cable."""
        best = min(self.reports, key=lambda mac: self.reports[mac], default=b"")
        if not best or self.reports[best] > self.limit_db:
            self._again(now)
            return
        self.station, self.state, self._tries = best, "matching", 0

    def _on_matching(self, now: float) -> None:
        if self._tries > 2:
            self._again(now)
            return
        self._tries += 1
        if "no_match_req" not in self.quirks:
            body = frames.match_req(self.run, self.mac, self.station)
            self._say(self.station, frames.MATCH_REQ, body)
        self._due = now + RESPONSE_S

    def _on_joining(self, now: float) -> None:
        if now >= self._end:
            self._again(now)
            return
        self._say(frames.LOCAL, frames.LINK_REQ, frames.link_req())
        self._due = now + 0.25

    def _on_matched(self, now: float) -> None:
        self._say(frames.LOCAL, frames.LINK_REQ, frames.link_req())
        self._due = now + 1.0

    def _again(self, now: float) -> None:
        if now + RATE_S >= self._end:
            self.state, self._due = "failed", float("inf")
            return
        self._begin(now)
        self._due = now + RATE_S

    # -- what it hears -------------------------------------------------------------

    def receive(self, raw: bytes, now: float) -> None:
        frame = frames.unpack(raw)
        if frame is None or frame.by == self.mac:
            return
        if frame.kind == frames.PARM_CNF and self.state == "parm":
            if frames.parm_cnf(frame.data) == (self.run, self.mac):
                self.state, self._left, self._due = "sounding", 13, now + RESPONSE_S
        elif frame.kind == frames.CHAR_IND:
            self._report(frame)
        elif frame.kind == frames.MATCH_CNF and self.state == "matching":
            self._key(frame, now)
        elif frame.kind == frames.LINK_CNF and self.state in ("joining", "matched"):
            up = bool(frame.data[4])
            if up and self.state == "joining":
                self.state = "matched"
            elif not up and self.state == "matched":
                self.state, self._due = "failed", float("inf")

    def _report(self, frame: frames.Frame) -> None:
        run, mac, sounds, groups = frames.char_ind(frame.data)
        if (run, mac) != (self.run, self.mac) or not sounds or not groups:
            return
        if self.state in ("sounding", "choosing"):
            self.reports.setdefault(frame.by, sum(groups) / len(groups))
            self._say(frame.by, frames.CHAR_RSP, frames.char_rsp(run, self.mac))

    def _key(self, frame: frames.Frame, now: float) -> None:
        run, mac, station, nid, nmk = frames.match_cnf(frame.data)
        wanted = (self.run, self.mac, self.station, frames.nid(nmk))
        if (run, mac, station, nid) != wanted or frame.by != self.station:
            return
        if "repeats_match" in self.quirks:  # as if the answer had been lost once
            self.quirks -= {"repeats_match"}
            return
        self.nmk, self.state, self._end = nmk, "joining", now + JOIN_S
        self._due = now + 0.25
        if "keeps_key" not in self.quirks:
            self._say(frames.LOCAL, frames.KEY_REQ, frames.key_req(nmk))
