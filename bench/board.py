#!/usr/bin/env python3
"""What a board with many viewers costs: 200 of them look at the six charts for a minute while the pipelines take in gifts as fast as they
can. Measured are the records a second with viewers and without, in pairs; how long a whole picture (GET /api/boards/NAME) takes; and how often
the database was asked. `make bench` starts the servers and runs this.
"""

import argparse
import http.client
import os
import pathlib
import statistics
import tempfile
import threading
import time

import jobs
from jobs import progress
from state import GIFTS, Running, Site, verdict, wait_until

MOST_LOST = 0.05
MOST_SNAPSHOT = 100.0
# How long viewers look, and how long nobody does, in turns.
TURN = 10.0
PANEL = """
[[panel]]
title = "Gifts by type"
connection = "livedb"
chart = "bar"
sql = "SELECT gift_type AS board_bench, gift_total_amount FROM {table}"
"""
PANELS = 6


class Viewers:
    """Streams of events that are read."""

    def __init__(self, address, number):
        self.address, self.ending, self.events = address, False, 0
        self.threads = [threading.Thread(target=self.look, daemon=True) for _ in range(number)]
        [thread.start() for thread in self.threads]

    def look(self):
        connection = http.client.HTTPConnection(self.address, timeout=30)
        connection.request("GET", "/api/boards/bench/events")
        answer = connection.getresponse()
        while not self.ending and (line := answer.readline()):
            if line.startswith(b"event: panel"):
                self.events += 1
        connection.close()

    def leave(self):
        self.ending = True
        [thread.join(timeout=30) for thread in self.threads]


def snapshot(address):
    """Milliseconds of a whole picture, from the connection on."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", "/api/boards/bench")
    body = connection.getresponse().read()
    connection.close()
    assert body.startswith(b"{"), body
    return (time.monotonic() - begun) * 1000


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def board_of(site, config):
    """The configuration with a board of as many panels as the original has charts."""
    boards = site.directory / "boards"
    boards.mkdir(exist_ok=True)
    (boards / "bench.toml").write_text(PANEL.format(table=GIFTS.table) * PANELS)
    with open(config, "a") as file:
        file.write(f'[board]\nlisten = "127.0.0.1:0"\nboards = "{boards}"\n')
    return config


class Asked:
    """Counts what the database is asked for the board."""

    def __init__(self, database):
        self.database = database
        database.ask("SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = ON; SELECT 1")

    def number(self):
        return int(self.database.ask("SELECT COUNT(*) FROM mysql.general_log WHERE command_type = 'Execute' "
                                     "AND argument LIKE '%board_bench%'"))

    def end(self):
        self.database.ask("SET GLOBAL general_log = OFF; SELECT 1")


def turn(host, viewers, pictures):
    """Records a second, and CPU seconds for a million records, over a turn; with viewers, whole pictures are asked for meanwhile."""
    records, cpu, begun = host.status()["records"], host.cpu(), time.monotonic()
    while (passed := time.monotonic() - begun) < TURN:
        if viewers:
            pictures.append(snapshot(viewers.address))
            time.sleep(0.02)
        else:
            time.sleep(min(0.1, TURN - passed))
    passed, took = time.monotonic() - begun, host.status()["records"] - records
    return took / passed, (host.cpu() - cpu) / took * 1e6


def measure(site, database, options):
    site.start_over(database)
    config = board_of(site, site.watched(GIFTS))
    loading = [site.generate_on(config, options.users, 0) for _ in range(options.generators)]
    host = Running(config, GIFTS.pipeline)
    address = site.directory / "state/board.address"
    rates, costs, pictures, asked, looked = [], [], [], 0, 0.0
    try:
        wait_until("records come", lambda: host.status().get("records", 0) > 1_000_000)
        wait_until("the board is served", address.exists)
        count = Asked(database) if options.count else None
        for pair in range(options.pairs):
            alone, alone_cpu = turn(host, None, pictures)
            before = count.number() if count else 0
            begun = time.monotonic()
            viewers = Viewers(address.read_text(), options.viewers)
            with_viewers, with_cpu = turn(host, viewers, pictures)
            viewers.leave()
            looked += time.monotonic() - begun
            asked += count.number() - before if count else 0
            rates.append(1 - with_viewers / alone)
            costs.append(with_cpu / alone_cpu - 1)
            progress(f"board: pair {pair + 1} of {options.pairs}, {alone:,.0f} and {with_viewers:,.0f} records/s")
        if count:
            count.end()
    finally:
        for process in loading:
            process.kill()
            process.wait()
        host.kill()
    lost, p99 = statistics.median(rates), percentile(pictures, 0.99)
    print(f"\nboard: {options.viewers} viewers of {PANELS} panels, in {options.pairs} pairs of {TURN:.0f} s, generated beside")
    print(f"  records/s fall by      {lost:.1%} ({min(rates):.1%} – {max(rates):.1%}); aim under {MOST_LOST:.0%}" + verdict(lost < MOST_LOST))
    print(f"  CPU for a record       {statistics.median(costs):+.1%} ({min(costs):+.1%} – {max(costs):+.1%})")
    print(f"  a whole picture, ms    p50 {statistics.median(pictures):.1f}, p99 {p99:.1f}, most {max(pictures):.1f}, of {len(pictures)}; aim p99 under "
          f"{MOST_SNAPSHOT:.0f}" + verdict(p99 < MOST_SNAPSHOT))
    if options.count:
        most = PANELS * (looked / 3 + options.pairs)
        print(f"  queries                {asked} in {looked:.0f} s; one a panel and interval are at most {most:.0f}" + verdict(asked <= most), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--users", type=int, default=2_000, help="users who give")
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--generators", type=int, default=1)
    parser.add_argument("--count", action=argparse.BooleanOptionalAction, default=True, help="count the queries in the server's log")
    options = parser.parse_args()
    os.environ.setdefault("SLUICE_TEST_HBASE", "127.0.0.1:9090")
    jobs.need_servers()
    database = jobs.Database(os.environ["SLUICE_TEST_MARIADB"])
    with tempfile.TemporaryDirectory() as directory:
        site = Site(pathlib.Path(directory), os.environ["SLUICE_TEST_MARIADB"])
        site.generate(site.config(GIFTS), 4_000_000, options.users, 4, 0)
        measure(site, database, options)


if __name__ == "__main__":
    main()
