"""The figures of a proof as a page, and which goals they miss."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from tests.proof import promise, tracking, value

SIGMAS = ((0.0, 0.99), (2.0, 0.98), (5.0, 0.95))
TRACK_MAX, SCORE_MIN = 0.02, 0.95
SESSIONS = 10_000  # of a whole proof
Money = dict[tuple[str, float, bool], list[value.Result]]


@dataclass(frozen=True, slots=True)
class Report:
    sessions: list[promise.Outcome]
    money: Money
    tracked: list[tracking.Result]
    took_s: float
    cpu_s: float  # of all processes
    seed: int


def columns(early: bool) -> list[tuple[str, float]]:
    """The policies to run, with the forecast's sigma."""
    if early:
        return [(policy, 2.0) for policy in value.POLICIES]
    sigmas = [sigma for sigma, _ in SIGMAS]
    run = [("foresight", 0.0), ("naive", 0.0)]
    run += [(name, s) for s in sigmas for name in ("threshold", "judged")]
    return run + [("lp", s) for s in sigmas if s > 0.0]


def captured(money: Money, policy: str, sigma: float) -> float:
    return value.captured(
        money[policy, sigma, False],
        money["naive", 0.0, False],
        money["foresight", 0.0, False],
    )


def failures(found: Report) -> list[str]:
    """What misses its goal, in words."""
    wrong = []
    bad = [o.seed for o in found.sessions if not o.good]
    if bad:
        wrong.append(f"{len(bad)} sessions, first seeds {bad[:5]}")
    for sigma, goal in SIGMAS:
        had = captured(found.money, "judged", sigma)
        if had < goal:
            wrong.append(f"captured {had:.2%} at sigma {sigma:g}, goal {goal:.0%}")
    for result in found.tracked:
        if result.rms > TRACK_MAX:
            wrong.append(f"tracking {result.name}: rms {result.rms:.2%}")
        if result.score is not None and result.score < SCORE_MIN:
            wrong.append(f"score {result.score:.3f}")
    return wrong


def text(found: Report) -> str:
    """The page. Only numbers of this run, and how they came about."""
    missed = failures(found)
    state = "All goals are met." if not missed else "Missed: " + "; ".join(missed) + "."
    if len(found.sessions) < SESSIONS:
        state += f" A part: a whole proof has {SESSIONS:,} sessions."
    return "\n".join(
        [
            "# Proof",
            "",
            "Written by `make proof`; seeded "
            f"({found.seed}); this run took {found.took_s:.0f} s, and "
            f"{found.cpu_s:.0f} s of CPU: {found.cpu_s / 2:.0f} s on two cores that do "
            f"nothing else. {state}",
            "",
            *_promises(found.sessions),
            *_values(found.money),
            *_early(found.money),
            *_tracks(found.tracked),
        ]
    )


def _promises(sessions: list[promise.Outcome]) -> list[str]:
    ended = [o for o in sessions if o.ended]
    return [
        "## Promises",
        f"{len(sessions)} sessions of 2 to 9 h on one 7 kW EVSE, through the whole "
        "Cycle (bounds, promise, dispatch, plan, ramp, envelope, actuation). Dispatch "
        "and plans mostly ask for full discharge. Derating to 70 % in a fifth of the "
        "sessions, taper above 80 %, noise, a SoC that is wrong by up to 3 % (less and "
        "less above 80 %, where gauges find themselves again), 15 % "
        "unplug early, site meter and SoC cut at random. In a tenth "
        "of the others the charger loses up to 30 % of its power on the way: then what "
        f"was told {promise.TOLD_S / 60:.0f} min before departure counts.",
        "",
        "| What | Found | Goal |",
        "|---|---|---|",
        f"| sessions to their departure | {len(ended)} | |",
        f"| broken promises (over {promise.ALLOWED_PCT:.0f} % short) "
        f"| {sum(o.broken for o in sessions)} | 0 |",
        f"| worst shortfall | {max((o.missed_pct for o in ended), default=0.0):.2f} % "
        "| 1 % |",
        f"| ticks over import or export limit | {sum(o.over_limit for o in sessions)} "
        f"of {sum(o.ticks for o in sessions)} | 0 |",
        "| ticks of export over 3 s after meter loss "
        f"| {sum(o.blind_export for o in sessions)} | 0 |",
        "| furthest below the floor "
        f"| {max((o.below_floor_pct for o in sessions), default=0.0):.2f} % | 0.6 % |",
        f"| sources cut | {sum(o.cuts for o in sessions)} | |",
        "| sessions where the charger lost power on the way "
        f"| {sum(o.sagged for o in sessions)} | |",
        "| of these told that it will be less "
        f"| {sum(o.taken_back for o in sessions)} | |",
        f"| sessions where the line forced charging "
        f"| {sum(o.forced for o in sessions)} | |",
        "",
        "How: a tick is one run of the whole Cycle; in between the plant holds its "
        "power, so the scheduler sees all later than at 20 Hz. Ticks are 2 min apart "
        "at most, down to 10 s towards must-charge line, floor and departure; 0.25 s "
        "after each change of a command and after a cut, 50 ms after a change of the "
        "house's load. The promise is what was reachable at plug-in, read back from "
        "the SoC that the vehicle shows. The fail-safe import limit covers charger and "
        "house: with a smaller one, a lost meter can cost the promise.",
        "",
    ]


def _values(money: Money) -> list[str]:
    rows = [
        "## Value",
        f"{len(money['naive', 0.0, False])} sessions of 12 to 16 h, 6 kW both ways, "
        "half-hourly prices like a Japanese exchange's (made up), 2 yen wear per kWh "
        "taken out, 4 yen between buying and selling. The daemon's PlanDoor plans each "
        "15 min and at news, with forecasts judged by four weeks of the same market "
        "before; `lp` believes them. 0 % = charging at once, 100 % = a plan that knows "
        "every price and has no must-charge line.",
        "",
        "| Forecast error 12 h ahead | plan | goal | lp | price thresholds |",
        "|---|---|---|---|---|",
    ]
    for sigma, goal in SIGMAS:
        plan, rule = (
            f"{captured(money, n, sigma):.2%}" for n in ("judged", "threshold")
        )
        believed = ("lp", sigma, False) in money
        lp = f"{captured(money, 'lp', sigma):.2%}" if believed else plan
        rows.append(f"| {sigma:g} yen/kWh | {plan} | {goal:.0%} | {lp} | {rule} |")
    naive, best = (money[n, 0.0, False] for n in ("naive", "foresight"))
    worth = statistics.mean(n.cost - b.cost for n, b in zip(naive, best, strict=True))
    late = max(r.missed_kwh for r in money["judged", 0.0, False])
    turns = statistics.mean(r.turns for r in money["judged", 0.0, False])
    return [
        *rows,
        "",
        f"100 % is worth {worth:.0f} yen a session. The plan missed at most "
        f"{late:.2f} kWh of a target, and turned {turns:.1f} times a session.",
        "",
    ]


def _early(money: Money) -> list[str]:
    rows = [
        "## Drivers who leave early",
        "The same, sigma 2, where 15 % leave early and each kWh that they miss costs "
        f"{value.MISSED:.0f} yen. `lp`: receding horizon without a hedge, which "
        "believes forecasts; `plan`: with the chance of leaving (1 % an hour) in it.",
        "",
        "| Policy | cost, yen a session | missed, kWh a session | both, yen |",
        "|---|---|---|---|",
    ]
    for name in value.POLICIES:
        results = money[name, 2.0, True]
        cost = statistics.mean(r.cost for r in results)
        missed = statistics.mean(r.missed_kwh for r in results)
        total = cost + value.MISSED * missed
        rows.append(f"| {name} | {cost:.0f} | {missed:.2f} | {total:.0f} |")
    return [*rows, ""]


def _tracks(tracked: list[tracking.Result]) -> list[str]:
    rows = [
        "## Tracking",
        f"{tracking.LENGTH_S:.0f} s each, 20 ticks a second, the vehicle's current "
        f"moves by {tracking.SLEW_A_PER_S:.0f} A/s. Error of the power against what is "
        f"asked at that moment; steps count {tracking.STEP_SETTLE_S:.0f} s after.",
        "",
        "| Signal | rms | worst | goal | score |",
        "|---|---|---|---|---|",
    ]
    for r in tracked:
        score = "" if r.score is None else f"{r.score:.3f}"
        rows.append(
            f"| {r.name} | {r.rms:.2%} | {r.worst:.1%} | {TRACK_MAX:.0%} | {score} |"
        )
    return [
        *rows,
        "",
        "Score: mean of correlation, delay and precision, goal 0.95.",
        "",
    ]
