"""Where a job's CPU time goes: `perf`'s samples of one run, added up by the part of the host that they are of."""

import collections
import re
import shutil
import subprocess

# Samples a second of each thread's CPU time: some thousands for a run of seconds, and too few to slow it.
RATE = 2_500
RECORD = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(RATE), "-o"]

# The first pattern that a function's name has says the part; a lane's functions only.
LANE = [
    (r"^(rd_|rdk|mtx_|cnd_|pthread_|__GI___pthread|___pthread|_int_|__libc_[cm]alloc|cfree|unlink_chunk|malloc)|kafka",
     "records: handed over by librdkafka, and freed"),
    (r"decode|RowOrigins", "records: decoded into columns"),
    (r"hbase|quick_cache|join|csv", "lookup"),
    (r"fold|RowColumn|sluice_core::row", "groups and states"),
    (r"sluice_runtime|wasmtime", "boundary: checks, copies, calls"),
]


def available():
    return shutil.which("perf") is not None


def part(lane, thread, library, kind, symbol):
    if thread.startswith("rdk:"):
        return "fetching: the kernel's sockets" if kind == "k" else "fetching: librdkafka's thread"
    if thread != lane:
        return "flushes, checkpoints, start and end"
    if kind == "k":
        return "the lane's rest"
    if "JIT" in library or library == "[unknown]":
        return "the operator, in WebAssembly"
    return next((name for pattern, name in LANE if re.search(pattern, symbol)), "the lane's rest")


def shares(data, pipeline):
    """The parts of a recording, each with its share of 1, the largest first."""
    report = subprocess.run(["perf", "report", "-i", data, "--stdio", "-F", "sample,comm,dso,sym", "-t", "\t"],
                            check=True, capture_output=True, text=True).stdout
    counts = collections.Counter()
    for line in report.splitlines():
        fields = [field.strip() for field in line.split("\t")]
        if line.startswith("#") or len(fields) < 4:
            continue
        samples, thread, library, (kind, _, symbol) = fields[0], fields[1], fields[2], fields[3].lstrip("[").partition("] ")
        # Linux keeps 15 bytes of a thread's name.
        counts[part(pipeline[:15], thread, library, kind, symbol)] += int(samples)
    return [(name, count / counts.total()) for name, count in counts.most_common()]
