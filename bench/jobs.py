#!/usr/bin/env python3
"""The jobs as whole processes: loads topics on the real servers, runs `sluice run --until-caught-up` over them again and
again, and says what each run took. `make bench` starts the servers and runs this.

CPU and memory are the host process's own, as the kernel accounts for them when it ends; time is from the process's start
to its end, or to the first row that another client sees.
"""

import argparse
import collections
import dataclasses
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import shares

ROOT = pathlib.Path(__file__).resolve().parent.parent
SLUICE = ROOT / "dist/sluice"
# As many as entries can tell apart: of a million of them, nearly all are rows of their own.
ROOMS = 10_000


@dataclasses.dataclass(frozen=True)
class Job:
    pipeline: str
    table: str
    records: str
    count: int
    least_rate: float
    most_cpu: float | None


# In this order: a topic grows from job to job, and every job reads all of it. A run takes seconds, of which the start is little.
JOBS = [
    Job("gift_sum", "live_gift_total_amount", "gifts", 4_000_000, 1_500_000, 0.55),
    Job("live_cleanup", "live_streaming_log", "entries", 1_000_000, 100_000, 2.0),
    Job("module_count", "live_module_number_count", "entries", 4_000_000, 1_000_000, None),
]
MOST_MEMORY = 150
MOST_FIRST_ROW = 0.5
# Seconds without a row after which something is wrong.
LONGEST_WAIT = 60
TOPICS = {"gifts": "live_gift_total", "entries": "live_streaming_log"}


class Database:
    """One open client, so that asking costs no process."""

    def __init__(self, url):
        user, place = url.removeprefix("mysql://").rsplit("@", 1)
        name, password = user.split(":", 1)
        host, port = place.split("/")[0].split(":")
        command = ["mariadb", "--no-defaults", "--protocol=TCP", "-h", host, "-P", port, "-u", name, "-N", "-B", "--unbuffered"]
        self.client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       text=True, env=dict(os.environ, MYSQL_PWD=password))

    def ask(self, sql):
        """The first line of the answer to a statement that answers one line."""
        print(sql + ";", file=self.client.stdin, flush=True)
        answer = self.client.stdout.readline()
        if not answer:
            raise SystemExit(f"the database refused: {sql}")
        return answer.strip()

    def empty(self):
        self.ask("DROP DATABASE IF EXISTS bench; CREATE DATABASE bench CHARACTER SET utf8mb4; SELECT 1")

    def rows(self, table):
        known = self.ask(f"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema='bench' AND table_name='{table}'")
        return int(self.ask(f"SELECT COUNT(*) FROM bench.{table}")) if known == "1" else 0


@dataclasses.dataclass
class Run:
    seconds: float
    cpu: float
    memory: float
    records: int
    said: str


class Site:
    """A directory with one configuration for each job; the compiled operators are kept from run to run."""

    def __init__(self, directory, url):
        self.directory = pathlib.Path(directory)
        self.url = url.rsplit("/", 1)[0] + "/bench"
        self.loaded = collections.Counter()

    def config(self, job, interval="2s"):
        pipelines = self.directory / f"{job.pipeline}-{interval}"
        pipelines.mkdir(exist_ok=True)
        text = (ROOT / f"pipelines/{job.pipeline}.toml").read_text()
        (pipelines / f"{job.pipeline}.toml").write_text(text.replace('interval = "2s"', f'interval = "{interval}"'))
        path = self.directory / f"{pipelines.name}.toml"
        path.write_text(f"""
operators = "{ROOT}/dist/operators"
pipelines = "{pipelines}"
state = "state"
[connections]
events = {{ kafka = {{ brokers = "{os.environ["SLUICE_TEST_KAFKA"]}" }} }}
dimensions = {{ hbase = {{ thrift = "{os.environ["SLUICE_TEST_HBASE"]}" }} }}
livedb = {{ mysql = {{ url = "{self.url}", time_zone = "Asia/Shanghai" }} }}
""")
        return path

    def start_over(self, database):
        """Forgets what the run before left in the table and in its checkpoint; the compiled operators stay."""
        database.empty()
        shutil.rmtree(self.directory / "state/checkpoints", ignore_errors=True)

    def load(self, records, count, partitions):
        """Writes what the topic lacks to have so many."""
        missing = count - self.loaded[records]
        if missing <= 0:
            return
        progress(f"loading {missing:,} {records}")
        # Another seed than before, or the same records would come again.
        subprocess.run([SLUICE, "generate", "--config", self.config(JOBS[0]), "--connection", "events", "--rate", "0",
                        "--topic", TOPICS[records], "--count", str(missing), "--partitions", str(partitions),
                        "--rooms", str(ROOMS), "--seed", str(1 + self.loaded[records])],
                       check=True, stderr=subprocess.DEVNULL)
        self.loaded[records] = count


def fill_dimension():
    port = os.environ["SLUICE_TEST_HBASE"].rsplit(":", 1)[1]
    rows = "".join(f"{20210813 + room},{room % 10:04}\n" for room in range(ROOMS))
    subprocess.run([sys.executable, ROOT / "tests/services/hbase/put.py", port, "dim_hbase"],
                   input="rowkey,cf:module_id\n" + rows, text=True, check=True)


def until_caught_up(config, pipeline, under=()):
    start = time.monotonic()
    # One pipe for both: two that are read one after the other block a host that fills the second.
    process = subprocess.Popen([*under, SLUICE, "run", "--until-caught-up", "--config", config], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    if status:
        raise SystemExit(f"{config}: failed\n{output}")
    said = next(line for line in output.splitlines() if line.startswith(f"{pipeline}: "))
    # As it says, not as were loaded: servers that are used again have more.
    records = int(said.split()[1])
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, records, said)


def first_row(site, config, database, table):
    site.start_over(database)
    start = time.monotonic()
    process = subprocess.Popen([SLUICE, "run", "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not database.rows(table):
        if process.poll() is not None or time.monotonic() - start > LONGEST_WAIT:
            process.kill()
            raise SystemExit(f"{config}: no row in {table} after {time.monotonic() - start:.0f} s")
    seconds = time.monotonic() - start
    process.send_signal(signal.SIGTERM)
    process.wait()
    return seconds


def progress(what):
    print(what, file=sys.stderr, flush=True)


def spread(values, form):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{form(middle)} ({form(low)} – {form(high)})"


def measure(job, site, database, runs):
    config = site.config(job)
    took = []
    for i in range(runs + 1):
        site.start_over(database)
        run = until_caught_up(config, job.pipeline)
        # The first compiles the operator, and warms the broker's cache.
        progress(f"{job.pipeline}: run {i} of {runs}, {run.seconds:.1f} s, {run.cpu / run.records * 1e6:.2f} CPU s/M"
                 + ("" if i else ", not counted"))
        if i:
            took.append(run)
    short = site.config(job, "50ms")
    progress(f"{job.pipeline}: {runs} runs to the first row")
    firsts = [first_row(site, short, database, job.table) for _ in range(runs)]
    rates = [run.records / run.seconds for run in took]
    cpu = [run.cpu / run.records * 1e6 for run in took]
    memory = [run.memory for run in took]

    def verdict(value, wanted, least=False):
        ok = wanted is None or (value >= wanted if least else value <= wanted)
        return "" if ok else "  ← misses its target"
    print(f"\n{job.pipeline}: {took[-1].records:,} records, {runs} runs, median (least – most)")
    print(f"  records/s            {spread(rates, lambda v: f'{v:,.0f}')}; target at least {job.least_rate:,.0f}"
          + verdict(statistics.median(rates), job.least_rate, True))
    wanted = f"; target at most {job.most_cpu}" if job.most_cpu else ""
    print(f"  CPU s/M records      {spread(cpu, lambda v: f'{v:.2f}')}{wanted}" + verdict(statistics.median(cpu), job.most_cpu))
    print(f"  memory, MiB          {spread(memory, lambda v: f'{v:.0f}')}; target under {MOST_MEMORY}"
          + verdict(max(memory), MOST_MEMORY))
    print(f"  first row after, s   {spread(firsts, lambda v: f'{v:.2f}')}; target at most {MOST_FIRST_ROW}"
          + verdict(statistics.median(firsts), MOST_FIRST_ROW))
    print(f"  the last run said    {took[-1].said}", flush=True)
    show_shares(job, site, database)


def show_shares(job, site, database):
    """Where the CPU time goes, by one more run."""
    if not shares.available():
        print("  where the CPU time goes: install perf (Debian's linux-perf) to see it", flush=True)
        return
    site.start_over(database)
    data = site.directory / "perf.data"
    until_caught_up(site.config(job), job.pipeline, under=[*shares.RECORD, data, "--"])
    print("  where the CPU time goes")
    for part, share in shares.shares(data, job.pipeline):
        print(f"    {share:6.1%}  {part}", flush=True)


def need_servers():
    if "SLUICE_TEST_KAFKA" not in os.environ or not shutil.which("mariadb"):
        raise SystemExit("run `make bench`, or `make services` and then what it prints")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("job", nargs="*", help=f"of {', '.join(job.pipeline for job in JOBS)}; all unless told")
    options = parser.parse_args()
    need_servers()
    jobs = [job for job in JOBS if not options.job or job.pipeline in options.job]
    database = Database(os.environ["SLUICE_TEST_MARIADB"])
    fill_dimension()
    with tempfile.TemporaryDirectory() as directory:
        site = Site(directory, os.environ["SLUICE_TEST_MARIADB"])
        for job in jobs:
            site.load(job.records, job.count, options.partitions)
            measure(job, site, database, options.runs)


if __name__ == "__main__":
    main()
