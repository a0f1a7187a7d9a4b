#!/usr/bin/env python3
"""Operators that are swapped while they run, as whole processes: how long records wait at the cut-over, how soon rows of the new
code are in the table, what preparing costs the records meanwhile, and how fast states are migrated. `make bench` starts the
servers and runs this.
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import jobs
from jobs import ROOT, SLUICE, progress, spread
from state import GIFTS, Running, Site, verdict, wait_until

MOST_PAUSE = 5.0
MOST_FIRST_ROW = 0.2
LEAST_SHARE = 0.9
# Gifts a second that come while the first row of the new code is waited for.
TRICKLE = 5_000


class Deployments:
    """A directory of operators, and builds of one that differ in nothing but their digest."""

    def __init__(self, directory, operator):
        shutil.copytree(ROOT / "dist/operators", directory)
        self.path = directory / f"{operator}.wasm"
        self.original = self.path.read_bytes()
        self.made = 0

    def build(self):
        """Another build: the component, and a section that means nothing (id 0, its length, a name with its length, bytes)."""
        self.made += 1
        section = b"\x05build" + self.made.to_bytes(8, "little")
        return self.original + bytes([0, len(section)]) + section

    def deploy(self, content):
        """Answers its SHA-256 and when the file was there."""
        beside = self.path.with_suffix(".new")
        beside.write_bytes(content)
        beside.rename(self.path)
        return hashlib.sha256(content).hexdigest(), time.monotonic()


def config_with(site, operators, interval, edit=lambda pipeline: pipeline):
    """The gift job with a directory of operators of its own."""
    config = site.watched(GIFTS, interval=interval)
    config.write_text(config.read_text().replace(f'"{ROOT}/dist/operators"', f'"{operators.path.parent}"'))
    pipeline = site.directory / config.stem / f"{GIFTS.pipeline}.toml"
    pipeline.write_text(edit(pipeline.read_text()))
    return config


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def swapped(host, operators, content):
    """Deploys, and answers how long it took until that runs."""
    digest, start = operators.deploy(content)
    wait_until("the new build runs", lambda: (host.status().get("operator") or {}).get("digest") == digest, every=0.002)
    return time.monotonic() - start


def pause(site, database, options):
    """One swap after the other while records are written as fast as the machine can."""
    site.start_over(database)
    operators = Deployments(site.directory / "operators-pause", GIFTS.pipeline)
    config = config_with(site, operators, "2s")
    loading = site.generate_on(config, options.groups, 0)
    host = Running(config, GIFTS.pipeline)
    try:
        wait_until("records come", lambda: host.status().get("records", 0) > 1_000_000)
        pauses, took = [], []
        begun, before = time.monotonic(), host.status()["records"]
        for swap in range(options.swaps):
            took.append(swapped(host, operators, operators.build()) * 1000)
            pauses.append(host.status()["swap_pause_us"] / 1000)
            if swap % 50 == 49:
                progress(f"pause: {swap + 1} of {options.swaps} swaps")
        rate = (host.status()["records"] - before) / (time.monotonic() - begun)
    finally:
        loading.kill()
        loading.wait()
        host.kill()
    p99 = percentile(pauses, 0.99)
    print(f"\npause: {len(pauses)} swaps while {rate:,.0f} records a second came, generated beside")
    print(f"  records wait, ms       p50 {statistics.median(pauses):.3f}, p99 {p99:.3f}, most {max(pauses):.3f}; aim p99 at most "
          f"{MOST_PAUSE:.0f}" + verdict(p99 <= MOST_PAUSE))
    print(f"  file to running, ms    p50 {statistics.median(took):.0f}, p99 {percentile(took, 0.99):.0f}", flush=True)


def first(site, database, options):
    """From the file to the first row that the new code wrote: rows say the generation that made them."""
    site.start_over(database)
    operators = Deployments(site.directory / "operators-first", GIFTS.pipeline)
    config = config_with(site, operators, "20ms", lambda text:
                         "probation = { rows = 0 }\n" + text.replace("create = true", "create = true\ngeneration = true"))
    loading = site.generate_on(config, options.groups, TRICKLE)
    host = Running(config, GIFTS.pipeline)
    newest = f"SELECT COALESCE(MAX(_generation), 0) FROM bench.{GIFTS.table}"
    took = []
    try:
        wait_until("there are rows", lambda: database.rows(GIFTS.table))
        for _ in range(options.firsts):
            before = int(database.ask(newest))
            _, start = operators.deploy(operators.build())
            wait_until("there is a row of the new code", lambda: int(database.ask(newest)) > before, every=0.001)
            took.append(time.monotonic() - start)
    finally:
        loading.kill()
        loading.wait()
        host.kill()
    print(f"\nfirst row: {len(took)} swaps while {TRICKLE:,} records a second come, flushes every 20 ms, median (least – most)")
    print(f"  file to table, ms      {spread(took, lambda v: f'{v * 1000:.0f}')}; aim at most {MOST_FIRST_ROW * 1000:.0f}"
          + verdict(statistics.median(took) <= MOST_FIRST_ROW), flush=True)


def preparing(site, database, options):
    """The gift job with and without new files being compiled and checked all the time, in turn. They are of another metric and
    refused for that, so that nothing but preparing is measured."""
    operators = Deployments(site.directory / "operators-preparing", GIFTS.pipeline)
    config = config_with(site, operators, "2s")
    others = Deployments(site.directory / "operators-others", "gift_by_user")
    rates = {False: [], True: []}
    for pair in range(options.pairs + 1):
        for busy in ((False, True) if pair % 2 else (True, False)):
            site.start_over(database)
            operators.deploy(operators.original)
            run = subprocess.Popen([SLUICE, "run", "--until-caught-up", "--config", config], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
            deployed = 0
            while busy and run.poll() is None:
                time.sleep(options.every)
                operators.deploy(others.build())
                deployed += 1
            said = next(line for line in run.communicate()[0].splitlines() if line.startswith(GIFTS.pipeline))
            rate = int(said.split()[1]) / float(said.split()[-2])
            progress(f"preparing: pair {pair}, {deployed} files, {rate:,.0f} records/s" + ("" if pair else ", not counted"))
            if pair:
                rates[busy].append(rate)
    shares = [busy / idle for busy, idle in zip(rates[True], rates[False])]
    print(f"\npreparing: a new file every {options.every:g} s, median of {options.pairs} pairs (least – most)")
    print(f"  of the records/s       {spread(shares, lambda v: f'{v:.0%}')}; aim {LEAST_SHARE:.0%} or more"
          + verdict(statistics.median(shares) >= LEAST_SHARE), flush=True)


def settle(host):
    """Waits until nothing is flushed any more, for a while: a checkpoint follows its rows."""
    flushes, since = None, time.monotonic()
    while flushes != host.status()["flushes"] or time.monotonic() - since < 3:
        if flushes != host.status()["flushes"]:
            flushes, since = host.status()["flushes"], time.monotonic()
        time.sleep(0.1)


def versioned(directory):
    """A gift_sum with another version of its state, which takes over the first."""
    target = directory / "guests"
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "--target", "wasm32-unknown-unknown", "-p", "gift_sum_versioned",
                    "--manifest-path", ROOT / "tests/e2e/guests/Cargo.toml", "--target-dir", target], check=True)
    component = directory / "versioned.wasm"
    subprocess.run([SLUICE, "componentize", target / "wasm32-unknown-unknown/release/gift_sum_versioned.wasm", "-o", component],
                   check=True)
    return component.read_bytes()


def migration(site, database, options):
    """Gifts summed for each user, by an operator whose state changes its version while gifts come."""
    site.start_over(database)
    operators = Deployments(site.directory / "operators-migration", GIFTS.pipeline)
    config = config_with(site, operators, "1s", lambda text: text.replace(
        'gift_type = "int64"', 'gift_type = { kind = "int64", field = "user_id" }'))
    newer = versioned(site.directory)
    host = Running(config, GIFTS.pipeline)
    loading = None
    try:
        progress("migration: until all groups are there")
        wait_until("it has read all", lambda: host.status().get("lag") == 0 and host.status().get("pending") == 0)
        settle(host)
        groups = database.rows(GIFTS.table)
        loading = site.generate_on(config, options.groups, TRICKLE)
        records = host.status()["records"]
        wait_until("gifts come", lambda: host.status()["records"] > records)
        took = swapped(host, operators, newer)
        waited = host.status()["swap_pause_us"] / 1000
    finally:
        if loading:
            loading.kill()
            loading.wait()
        host.kill()
    print(f"\nmigration: {groups:,} groups, while {TRICKLE:,} records a second come")
    print(f"  every state tried      in {took:.2f} s, beside the records: {groups / took:,.0f} groups/s")
    print(f"  records wait, ms       {waited:.3f} (states are changed when their groups are next touched)", flush=True)


PARTS = {"preparing": preparing, "migration": migration, "first": first, "pause": pause}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gifts", type=int, default=6_000_000, help="in the topic")
    parser.add_argument("--groups", type=int, default=1_000_000, help="users who give")
    parser.add_argument("--swaps", type=int, default=500)
    parser.add_argument("--firsts", type=int, default=50, help="swaps whose first row is waited for")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--every", type=float, default=0.2, help="seconds between two files that are prepared")
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; all unless told")
    options = parser.parse_args()
    jobs.need_servers()
    database = jobs.Database(os.environ["SLUICE_TEST_MARIADB"])
    with tempfile.TemporaryDirectory() as directory:
        site = Site(pathlib.Path(directory), os.environ["SLUICE_TEST_MARIADB"])
        site.generate(site.config(GIFTS), options.gifts, options.groups, 4, 0)
        # In this order: the later ones write more into the topic.
        for part in [part for part in PARTS if not options.part or part in options.part]:
            PARTS[part](site, database, options)


if __name__ == "__main__":
    main()
