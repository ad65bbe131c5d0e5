"""The EVSE's side of ISO 15118-3 matching: frames, pilot and `now` in; frames out.

One connector, one modem. Every frame is bound to a run (run id and vehicle MAC); many
runs go on side by side, so no stranger's request ends somebody's match. The key of the
network is fresh for each match and given only to a vehicle that was measured.
Nothing a stranger sends raises, waits longer or keeps more. Pure.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from chargerd.vehicle.slac import messages, mme
from chargerd.vehicle.slac.messages import (
    AttenCharRsp,
    AttenProfile,
    MatchReq,
    StartAttenChar,
)
from chargerd.vehicle.slac.mme import CNF, IND, RSP, Mme
from chargerd.vehicle.slac.modem_side import NEVER, ModemSide, ModemTimes
from chargerd.vehicle.slac.run import Run, Step, Times

PLUGGED = frozenset("BCD")
NOT_AVAILABLE = frozenset("EF")
_MAX_OUT = 32


class State(Enum):
    """The data link as the layers above see it."""

    NO_MODEM = "no_modem"  # it does not answer, or has no key yet
    UNMATCHED = "unmatched"
    MATCHING = "matching"
    JOINING = "joining"  # the vehicle has the key; no link yet
    MATCHED = "matched"  # D-LINK_READY: established


class Leave(Enum):
    """Why the layers above give the link up."""

    TERMINATE = "terminate"  # D-LINK_TERMINATE: the session is over
    ERROR = "error"  # D-LINK_ERROR: match again


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one connector. `attenuation_max_db` None: the vehicle alone chooses."""

    times: Times = field(default_factory=Times)
    modem_times: ModemTimes = field(default_factory=ModemTimes)
    receive_loss_db: float = 0.0  # AttnRx_EVSE: between connector and modem
    attenuation_max_db: float | None = None
    modem_mac: bytes | None = None  # None: learned


@dataclass(frozen=True, slots=True)
class Status:
    """What the daemon is told."""

    state: State = State.NO_MODEM
    ev_mac: str = ""  # of the vehicle that is matched or joins
    attenuation_db: float | None = None
    failures: int = 0  # matches that broke, links that were lost, in this plug-in
    why: str = ""  # of the last failure
    modem: str = ""


class Matching:
    """`receive`, `pilot`, `leave`, `on_timer` in; `to_send` and `status` out."""

    def __init__(
        self,
        own_mac: bytes,
        settings: Settings,
        random: Callable[[int], bytes],
        now_mono: float,
    ) -> None:
        self._own_mac, self._settings, self._times = own_mac, settings, settings.times
        self._modem = ModemSide(
            own_mac, settings.modem_times, random, now_mono, settings.modem_mac
        )
        self._runs: dict[tuple[bytes, bytes], Run] = {}
        self._matched: Run | None = None  # the vehicle that has our key
        self._up = False
        self._plugged = False
        self._failures, self._why = 0, ""
        self._out: deque[bytes] = deque(maxlen=_MAX_OUT)
        self.dropped: Counter[str] = Counter()  # frames not followed, by reason
        self.on_timer(now_mono)

    # -- the layers above ----------------------------------------------------------

    def pilot(self, state: str, now_mono: float) -> None:
        """The pilot's letter. A ends everything; E and F after a match end the match
        (as pyslac does); "?" says nothing."""
        if state in PLUGGED:
            self._plugged = True
        elif state == "A":
            self._plugged = False
            self._leave_network(now_mono)
            self._failures, self._why = 0, ""
        elif state in NOT_AVAILABLE:
            self._leave_network(now_mono)
        self._flush()

    def leave(self, why: Leave, now_mono: float) -> None:
        """Give the link up; while plugged, the vehicle may match anew."""
        if why is Leave.ERROR and self._matched is not None:
            self._fail("error reported from above")
        self._leave_network(now_mono)
        self._flush()

    def status(self) -> Status:
        matched = self._matched
        loss_db = self._settings.receive_loss_db
        return Status(
            state=self._state(),
            ev_mac=mme.mac_text(matched.ev_mac) if matched else "",
            attenuation_db=matched.average_db(loss_db) if matched else None,
            failures=self._failures,
            why=self._why,
            modem=self._modem.firmware,
        )

    def _state(self) -> State:
        if self._up:
            return State.MATCHED
        if self._matched is not None:
            return State.JOINING
        if self._modem.nmk is None:
            return State.NO_MODEM
        return State.MATCHING if self._runs else State.UNMATCHED

    # -- sans-I/O ------------------------------------------------------------------

    def to_send(self) -> list[bytes]:
        out = list(self._out)
        self._out.clear()
        return out

    def next_timer(self) -> float | None:
        due = min((run.due_mono for run in self._runs.values()), default=NEVER)
        due = min(due, self._modem.next_timer())
        return None if due == NEVER else due

    def on_timer(self, now_mono: float) -> None:
        self._modem.on_timer(now_mono)
        for key, run in list(self._runs.items()):
            if now_mono >= run.due_mono and key in self._runs:
                self._late(run, now_mono)
        if self._up and self._modem.link_lost:
            self._fail("link lost")
            self._leave_network(now_mono)
        self._flush()

    def receive(self, frame: bytes, now_mono: float) -> None:
        """One frame off the wire. Never raises."""
        message = mme.parse(frame)
        if message is None or message.source == self._own_mac:
            self.dropped["not an MME"] += 1
        elif self._modem.receive(message, now_mono):
            self._link(now_mono)
        else:
            self._vehicle(message, now_mono)
        self._flush()

    # -- the vehicle's messages ----------------------------------------------------

    def _vehicle(self, message: Mme, now_mono: float) -> None:
        """CM_MNBC_SOUND.IND is not read: what counts is what our modem measured of it,
        CM_ATTEN_PROFILE.IND."""
        body, source = message.body, message.source
        match message.kind - (message.kind & RSP), message.kind & RSP:
            case messages.SLAC_PARM, mme.REQ:
                self._parm(source, messages.slac_parm_req(body), now_mono)
            case messages.START_ATTEN_CHAR, mme.IND:
                self._start(source, StartAttenChar.read(body), now_mono)
            case messages.ATTEN_PROFILE, mme.IND:
                self._profile(source, AttenProfile.read(body), now_mono)
            case messages.ATTEN_CHAR, mme.RSP:
                self._confirmed(source, AttenCharRsp.read(body), now_mono)
            case messages.VALIDATE, mme.REQ:
                self._validate(source)
            case messages.SLAC_MATCH, mme.REQ:
                self._match(source, MatchReq.read(body), now_mono)

    def _run(self, source: bytes, run_id: bytes | None) -> Run | None:
        run = self._runs.get((source, run_id)) if run_id else None
        if run is None:
            self.dropped["no such run"] += 1
        return run

    def _parm(self, source: bytes, run_id: bytes | None, now_mono: float) -> None:
        """A new run, or the same vehicle's repetition of its request. A run that has
        come further is not begun again: its id was heard by all."""
        if run_id is None or not self._may_begin(source):
            self.dropped["request not taken"] += 1
            return
        run = self._runs.get((source, run_id))
        if run is None:
            if len(self._runs) >= self._times.parallel:
                self.dropped["too many runs"] += 1
                return
            run = self._runs[source, run_id] = Run(source, run_id, now_mono)
        elif run.step is not Step.ASKED:
            self.dropped["run goes on"] += 1
            return
        run.due_mono = now_mono + self._times.match_sequence_s
        times = self._times
        body = messages.slac_parm_cnf(source, run_id, times.sounds, times.match_mnbc_s)
        self._send(source, messages.SLAC_PARM | CNF, body)

    def _may_begin(self, source: bytes) -> bool:
        """Who has our key is not thrown out by a stranger; it may itself try again."""
        if not self._plugged or self._modem.nmk is None or self._up:
            return False
        return self._matched is None or self._matched.ev_mac == source

    def _start(
        self, source: bytes, message: StartAttenChar | None, now_mono: float
    ) -> None:
        run = self._run(source, message.run_id if message else None)
        if run is not None and message is not None:
            run.start(message, now_mono, self._times)

    def _profile(
        self, source: bytes, message: AttenProfile | None, now_mono: float
    ) -> None:
        """The message has no run id: it counts for every sounding run of this MAC."""
        if message is None or not self._modem.is_own(source):
            self.dropped["measurement of a stranger"] += 1
            return
        for run in list(self._runs.values()):
            if run.ev_mac == message.ev_mac:
                run.add(message.groups_db)
                if run.heard_all:
                    self._report(run, now_mono)

    def _report(self, run: Run, now_mono: float) -> None:
        """Tell the vehicle how well we heard it. Who heard nothing, or too little to be
        at this cable, says nothing: "0 dB" would claim to be the nearest."""
        settings = self._settings
        loss_db, top_db = settings.receive_loss_db, settings.attenuation_max_db
        if not run.counted:
            self._drop(run, "no sound was heard")
            return
        if top_db is not None and run.average_db(loss_db) > top_db:
            self._drop(run, "too weak to be at this cable")
            return
        run.step = Step.REPORTED
        run.reports += 1
        run.due_mono = now_mono + self._times.match_response_s
        groups = run.groups_db(loss_db)
        body = messages.atten_char_ind(run.ev_mac, run.run_id, run.counted, groups)
        self._send(run.ev_mac, messages.ATTEN_CHAR | IND, body)

    def _confirmed(
        self, source: bytes, message: AttenCharRsp | None, now_mono: float
    ) -> None:
        run = self._run(source, message.run_id if message else None)
        if run is None or message is None or run.step is not Step.REPORTED:
            return
        if message.ev_mac != source or message.result != 0:
            self.dropped["measurement refused"] += 1
            return
        run.step = Step.MEASURED
        run.due_mono = now_mono + self._times.match_session_s

    def _validate(self, source: bytes) -> None:
        """We do not count toggles: the measurement decides. Only a measured vehicle is
        answered [K: NOT_REQUIRED is what Table A.6 offers for this]."""
        if any(
            run.ev_mac == source and run.step is Step.MEASURED
            for run in self._runs.values()
        ):
            body = messages.validate_cnf(messages.NOT_REQUIRED)
            self._send(source, messages.VALIDATE | CNF, body)

    def _match(self, source: bytes, message: MatchReq | None, now_mono: float) -> None:
        """The key, to a vehicle that was measured and names itself and us."""
        run = self._run(source, message.run_id if message else None)
        nmk = self._modem.nmk
        if run is None or message is None or nmk is None:
            return
        told = run.step in (Step.MEASURED, Step.MATCHED)
        named = message.ev_mac == source and message.evse_mac == self._own_mac
        if not (told and named):
            self.dropped["match not earned"] += 1
            return
        self._send(source, messages.SLAC_MATCH | CNF, messages.match_cnf(message, nmk))
        if run.step is Step.MATCHED:
            return  # it asked again: our answer was lost
        run.step = Step.MATCHED
        run.due_mono = now_mono + self._times.match_join_s
        self._matched = run
        self._runs = {(run.ev_mac, run.run_id): run}
        if self._modem.tells_link:
            self._modem.watch(now_mono, fast=True)
        else:  # nobody can tell whether it has joined
            self._up, run.due_mono = True, NEVER

    # -- what follows --------------------------------------------------------------

    def _link(self, now_mono: float) -> None:
        """Our modem has spoken: perhaps of a link."""
        if self._matched is not None and not self._up and self._modem.link:
            self._up, self._matched.due_mono = True, NEVER
            self._runs = {(self._matched.ev_mac, self._matched.run_id): self._matched}
            self._modem.watch(now_mono, fast=False)

    def _late(self, run: Run, now_mono: float) -> None:
        """A step has lasted too long."""
        again = run.step is Step.REPORTED and run.reports < self._times.reports
        if run.step is Step.SOUNDING or again:
            self._report(run, now_mono)
        elif run is self._matched:
            self._fail("the vehicle has the key, but no link came")
            self._leave_network(now_mono)
        else:
            self._drop(run, f"nothing came after {run.step.value}")

    def _drop(self, run: Run, why: str) -> None:
        self._runs.pop((run.ev_mac, run.run_id), None)
        self._fail(why)

    def _fail(self, why: str) -> None:
        self._failures += 1
        self._why = why

    def _leave_network(self, now_mono: float) -> None:
        """No run survives; a key that somebody has is replaced (TP_match_leave)."""
        self._runs.clear()
        if self._matched is not None:
            self._modem.new_key(now_mono)
        self._matched, self._up = None, False
        self._modem.on_timer(now_mono)

    def _send(self, destination: bytes, kind: int, body: bytes) -> None:
        self._out.append(mme.build(Mme(destination, self._own_mac, kind, body)))

    def _flush(self) -> None:
        self._out.extend(mme.build(message) for message in self._modem.to_send())
