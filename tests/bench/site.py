"""A site of 200 chargers: pure cores in simulated time, real doors at Mosquitto."""

from __future__ import annotations

import time

from chargerd.grid.site_words import Ask, Lease, read, write
from tests.bench import site_broker
from tests.bench.row import Row
from tests.grid_site import EVERY_S, WISH, Site, rules

MEMBERS = 200
STEP_S = 1.0


def until_shared(site: Site) -> float:
    """Seconds until 99 % of the site's power is handed out; judged each second."""
    began = site.now
    while site.held_w() < 0.99 * site.rules.charge_w:
        site.run(site.now + STEP_S)
        if site.now - began > 600.0:
            return float("nan")
    return site.now - began


def coordinator_us(site: Site) -> float:
    """CPU of one ask at the coordinator, from bytes to bytes."""
    leader = next(iter(site.leaders.values()))
    mono = leader.offset_s + site.now * leader.rate
    payloads = []
    for name, charger in site.chargers.items():
        ask = charger.core.ask(site.wishes[name], charger.offset_s + site.now)
        payloads.append(write(ask))
    spent = 0.0
    answers = 0
    for number, payload in enumerate(payloads):
        began = time.process_time()
        lease = leader.core.receive(read(Ask, payload), mono + number * 0.01)
        if lease is not None:
            read(Lease, write(lease))
            answers += 1
        spent += time.process_time() - began
    if answers != len(payloads):
        raise RuntimeError(f"only {answers} of {len(payloads)} asks were answered")
    return spent / len(payloads) * 1e6


def run() -> list[Row]:
    """For `make bench`."""
    rows: list[Row] = []
    for coordinators in (1, 2):
        site = Site(rules(MEMBERS, coordinators), 1, WISH, judge_s=0.25)
        name = f"site of {MEMBERS}, {coordinators} coordinator(s)"
        rows.append(Row(f"{name}: start -> shared out", until_shared(site), "s"))
        site.net.loss = 0.1
        before, began = site.messages, site.now
        site.run(site.now + 60.0)
        rate = (site.messages - before) / (site.now - began)
        held = site.held_w() / site.rules.charge_w * 100.0
        rows += [
            Row(f"{name}: deliveries, an ask every {EVERY_S:g} s", rate, "1/s"),
            Row(f"{name}: in use at 10 % loss", held, "%", ">= 95"),
        ]
        site.net.loss = 0.0
        site.net.broker_up = False
        site.run(site.now + 60.0)
        site.net.broker_up = True
        rows += [
            Row(f"{name}: broker back -> shared out", until_shared(site), "s"),
            Row(f"{name}: one ask answered", coordinator_us(site), "us CPU"),
            Row(f"{name}: worst excess over the fuse", site.over_w, "W", "<= 0"),
        ]
    return [*rows, *site_broker.run()]
