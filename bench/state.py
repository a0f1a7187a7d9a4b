#!/usr/bin/env python3
"""Durable state, as whole processes: how long a killed host takes to its first new row, what checkpoints cost the gift job,
and how many groups are kept in how much memory and disk. `make bench` starts the servers and runs this.
"""

import argparse
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request

import jobs
from jobs import SLUICE, progress, spread, until_caught_up

GIFTS = next(job for job in jobs.JOBS if job.pipeline == "gift_sum")
USERS = jobs.Job("gift_by_user", "live_gift_by_user", "gifts", 0, 0, None)

MOST_RECOVERY = 2.0
MOST_COST = 0.05
# Of a fold's 256 MiB, the store's cache and what of a commit is on its way.
MOST_RESIDENT = 700
# Seconds without what is waited for after which something is wrong.
LONGEST_WAIT = 600


class Site(jobs.Site):
    """As of the jobs; its hosts tell how they are."""

    def generate(self, config, count, users, partitions, seed):
        progress(f"loading {count:,} gifts of {users:,} users")
        subprocess.run([SLUICE, "generate", "--config", config, "--connection", "events", "--rate", "0",
                        "--topic", jobs.TOPICS["gifts"], "--count", str(count), "--partitions", str(partitions),
                        "--users", str(users), "--seed", str(seed)], check=True, stderr=subprocess.DEVNULL)

    def generate_on(self, config, users, rate):
        """Goes on until it is killed."""
        return subprocess.Popen([SLUICE, "generate", "--config", config, "--connection", "events", "--rate", str(rate), "--topic",
                                 jobs.TOPICS["gifts"], "--users", str(users), "--seed", "1"], stderr=subprocess.DEVNULL)

    def watched(self, job, **options):
        config = self.config(job, **options)
        if "[admin]" not in config.read_text():
            with open(config, "a") as file:
                file.write('[admin]\nlisten = "127.0.0.1:0"\n')
        return config


class Running:
    """A host that works until it is killed."""

    def __init__(self, config, pipeline):
        self.pipeline = pipeline
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([SLUICE, "run", "--config", config], stdout=self.log, stderr=subprocess.STDOUT)
        self.address = None

    def status(self):
        """The pipeline's status; empty while there is none."""
        if self.process.poll() is not None:
            self.log.seek(0)
            raise SystemExit(f"the host ended by itself\n{self.log.read()}")
        if not self.address:
            self.log.seek(0)
            said = re.search(r"http://[\d.:]+", self.log.read())
            if not said:
                return {}
            self.address = said.group()
        with urllib.request.urlopen(f"{self.address}/status") as answer:
            return next((p for p in json.load(answer)["pipelines"] if p["name"] == self.pipeline), {})

    def cpu(self):
        """User and system seconds so far."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self):
        self.process.kill()
        self.process.wait()


def wait_until(what, ask, every=0.01):
    end = time.monotonic() + LONGEST_WAIT
    while not ask():
        if time.monotonic() > end:
            raise SystemExit(f"not in {LONGEST_WAIT} s: {what}")
        time.sleep(every)


def verdict(ok):
    return "" if ok else "  ← misses its aim"


def recovery(site, database, options):
    """Kills a host with many groups while it works, again and again; the clock runs from the next start to the first row of a user
    who had none."""
    site.start_over(database)
    # Of the row's first writing: one that is written again after a kill, as it was or as it was earlier, is not new.
    database.ask(f"CREATE TABLE bench.{USERS.table} (user_id BIGINT PRIMARY KEY, gift_total_amount BIGINT, written TIMESTAMP(6) "
                 "DEFAULT CURRENT_TIMESTAMP(6), KEY (written)); SELECT 1")
    config = site.watched(USERS)
    newest = f"SELECT COALESCE(MAX(written), '') FROM bench.{USERS.table}"
    busy = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = 'bench' AND command = 'Query'"
    chance = random.Random(1)
    took, cpu = [], []
    host = Running(config, USERS.pipeline)
    progress(f"recovery: until there are {options.groups:,} groups")
    # Rows are counted seldom, since the database reads all of them for it.
    wait_until("there are so many groups", lambda: database.rows(USERS.table) >= options.groups, every=2)
    loading = site.generate_on(config, options.groups * 3 // 2, options.rate)
    try:
        for kill in range(options.kills):
            # Any moment between two flushes.
            time.sleep(chance.uniform(0.1, 2.5))
            host.kill()
            wait_until("the database has done what the killed host asked of it", lambda: database.ask(busy) == "0")
            before = database.ask(newest)
            start = time.monotonic()
            host = Running(config, USERS.pipeline)
            wait_until("there is a new row", lambda: database.ask(newest) != before)
            took.append(time.monotonic() - start)
            cpu.append(host.cpu())
            progress(f"recovery: kill {kill + 1} of {options.kills}, {took[-1]:.2f} s, {cpu[-1]:.2f} CPU s")
    finally:
        loading.kill()
        loading.wait()
        host.kill()
    until_caught_up(config, USERS.pipeline)
    rows, total = database.rows(USERS.table), database.ask(f"SELECT SUM(gift_total_amount) FROM bench.{USERS.table}")
    until_caught_up(site.config(GIFTS), GIFTS.pipeline)
    if total != database.ask(f"SELECT SUM(gift_total_amount) FROM bench.{GIFTS.table}"):
        raise SystemExit(f"the totals of {USERS.table} and {GIFTS.table} differ")
    print(f"\nrecovery: {options.kills} kills with {options.groups:,} groups or more ({rows:,} at the end), median (least – most)")
    print(f"  first new row after, s   {spread(took, lambda v: f'{v:.2f}')}; aim under {MOST_RECOVERY}"
          + verdict(max(took) < MOST_RECOVERY))
    print(f"  CPU s until then         {spread(cpu, lambda v: f'{v:.2f}')}", flush=True)


def checkpoints(site, database, options):
    """The gift job with a flush and a checkpoint every so often, and with one at the end, in turn: the machine wanders."""
    took = {interval: [] for interval in ("2s", "100ms", "1h")}
    for pair in range(options.pairs + 1):
        order = list(took) if pair % 2 else list(reversed(took))
        for interval in order:
            site.start_over(database)
            run = until_caught_up(site.config(GIFTS, interval=interval), GIFTS.pipeline)
            progress(f"checkpoints: {pair} of {options.pairs}, {interval}, {run.seconds:.2f} s, {run.cpu:.2f} CPU s"
                     + ("" if pair else ", not counted"))
            if pair:
                took[interval].append(run)
    print(f"\ncheckpoints: {took['2s'][0].records:,} gifts, {options.pairs} runs of each, median of pairs (least – most)")
    for interval in ("2s", "100ms"):
        for name, value in (("CPU", lambda run: run.cpu), ("time", lambda run: run.seconds)):
            more = [value(run) / value(base) - 1 for run, base in zip(took[interval], took["1h"])]
            aim = interval == "2s" and name == "CPU"
            print(f"  every {interval:5} costs {name:4}   {spread(more, lambda v: f'{v:+.1%}')}"
                  + (f"; aim under {MOST_COST:.0%}" + verdict(statistics.median(more) < MOST_COST) if aim else ""), flush=True)


def disk_of(directory):
    """Bytes that the files take; some are removed meanwhile."""
    total = 0
    for path, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(path, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


class Sampled:
    """What a process has resident, and a directory on disk, while a run lasts."""

    def __init__(self, directory):
        self.directory, self.disk, self.ended = directory, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.ended.wait(1):
            self.disk = max(self.disk, disk_of(self.directory))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def many(site, database, options):
    """More groups than memory holds, from an embedded log into a table that keeps nothing: neither is what is measured."""
    directory = site.directory / "many"
    pipelines, events, state = directory / "pipelines", directory / "events", directory / "state"
    pipelines.mkdir(parents=True)
    text = (jobs.ROOT / "pipelines/gift_by_user.toml").read_text()
    (pipelines / "gift_by_user.toml").write_text(text + '\n[state]\nmemory = "256MiB"\n')
    config = directory / "sluice.toml"
    config.write_text(f"""
operators = "{jobs.ROOT}/dist/operators"
pipelines = "pipelines"
state = "state"
[connections]
events = {{ log = {{ directory = "events" }} }}
livedb = {{ mysql = {{ url = "{site.url}" }} }}
""")
    site.start_over(database)
    database.ask("INSTALL SONAME 'ha_blackhole'; SELECT 1")
    database.ask(f"CREATE TABLE bench.{USERS.table} (user_id BIGINT PRIMARY KEY, gift_total_amount BIGINT) ENGINE = BLACKHOLE; "
                 "SELECT 1")
    # Of so many users drawn as often as there are users, 63 % are drawn.
    drawn = int(options.many / 0.632)
    runs = []
    for name, count, seed in (("from nothing", drawn, 1), ("of the same users", drawn // 10, 2)):
        site.generate(config, count, drawn, 4, seed)
        with Sampled(state / "checkpoints") as sampled:
            run = until_caught_up(config, USERS.pipeline)
        runs.append((name, run, sampled.disk))
        progress(f"many: {name}: {run.said}, {run.memory:.0f} MiB")
    progress("many: counting groups")
    exported = subprocess.Popen([SLUICE, "state", "--config", config, "export", USERS.pipeline], stdout=subprocess.PIPE)
    # But for the first line and the last.
    groups = sum(1 for _ in exported.stdout) - 2
    kept = disk_of(state / "checkpoints")
    print(f"\nmany: {groups:,} groups, state.memory 256 MiB")
    for name, run, disk in runs:
        print(f"  {run.records:,} records, {name}: {run.records / run.seconds:,.0f} records/s, "
              f"{run.cpu / run.records * 1e6:.2f} CPU s/M, {disk / 2**20:,.0f} MiB of disk at most")
    most = max(run.memory for _, run, _ in runs)
    print(f"  memory, MiB            {most:.0f}; aim under {MOST_RESIDENT}" + verdict(most < MOST_RESIDENT))
    print(f"  disk, MiB              {kept / 2**20:,.0f}: {kept / groups:.1f} bytes a group", flush=True)


PARTS = {"recovery": recovery, "checkpoints": checkpoints, "many": many}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gifts", type=int, default=4_000_000, help="in the topic")
    parser.add_argument("--groups", type=int, default=1_000_000, help="before the first kill")
    parser.add_argument("--kills", type=int, default=7)
    parser.add_argument("--rate", type=int, default=20_000, help="gifts a second that go on coming while the host is killed")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--many", type=int, default=1_000_000, help="groups of the part of that name; the aim is 20 million")
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; all unless told")
    options = parser.parse_args()
    jobs.need_servers()
    parts = [part for part in PARTS if not options.part or part in options.part]
    database = jobs.Database(os.environ["SLUICE_TEST_MARIADB"])
    with tempfile.TemporaryDirectory() as directory:
        site = Site(pathlib.Path(directory), os.environ["SLUICE_TEST_MARIADB"])
        if set(parts) & {"recovery", "checkpoints"}:
            # Of 1.5 times as many users, that many have given something after 1.65 times as many gifts.
            site.generate(site.config(GIFTS), options.gifts, options.groups * 3 // 2, 4, 0)
        for part in parts:
            PARTS[part](site, database, options)


if __name__ == "__main__":
    main()
