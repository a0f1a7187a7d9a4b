#!/usr/bin/env python3
"""The tables, computed from the records without any of the host's code: what the host's tables must equal.

    oracle.py --topics DIR --dimensions DIR [--region-field NAME] [--ignore-parse-errors] [METRIC…]

DIR/TOPIC/PARTITION.jsonl holds a partition's records in the order of their offsets, one a line. Prints each row as one
JSON array, the metric's name first, sorted by key; times as `YYYY-MM-DD HH:MM:SS.ffffff`.

The meaning is that of the original's SQL, read as Flink reads it: a record's field becomes its declared type, or the job
fails (null, if parse errors are ignored); a text that can't be cast costs its row; a row without a key can't be stored;
the latest row of a key wins. Records of one key are in one partition, so a partition's order is all that counts.

Windowed tables are those at the end of the records, while no partition is idle. A row is late by what came before it in its
own partition.
"""

import argparse
import csv
import datetime
import json
import pathlib
import re
import sys

INT64 = range(-(2**63), 2**63)
TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?", re.ASCII)


class Malformed(Exception):
    """A record, or a field of it, that isn't what the pipeline declares."""


class Refused(Exception):
    """A row that a cast refuses."""


class Number(str):
    """A JSON number as it was written."""


def parse(line):
    """The record's object; of fields that are there twice, the last."""
    def constant(name):
        raise Malformed(f"{name} is not JSON")
    try:
        record = json.loads(line.decode("utf-8"), parse_int=Number, parse_float=Number, parse_constant=constant)
    except (UnicodeDecodeError, json.JSONDecodeError) as e:
        raise Malformed(str(e)) from None
    if not isinstance(record, dict):
        raise Malformed("not an object")
    return record


def int64(value):
    """A declared BIGINT: a JSON number without fraction, or a text of digits."""
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value.strip()) and int(value) in INT64:
        return int(value)
    raise Malformed(f"{value!r} is not an int64")


def text(value):
    """A declared VARCHAR: a number or truth value becomes its JSON text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    raise NotImplementedError(f"the text of {value!r} depends on how the record was written")


def timestamp(value):
    """CAST(… AS TIMESTAMP), to the microsecond."""
    if value is None:
        return None
    match = TIME.fullmatch(value)
    try:
        *parts, fraction = match.groups()
        time = datetime.datetime(*map(int, parts))
    except (AttributeError, ValueError):
        raise Refused(f"{value!r} is not a time") from None
    return time.replace(microsecond=int(((fraction or "") + "000000")[:6]))


def cast_int64(value):
    """CAST(… AS BIGINT) of a text."""
    try:
        return int64(value)
    except Malformed as e:
        raise Refused(str(e)) from None


class Reader:
    """Reads fields of records as a pipeline does that ignores parse errors or doesn't."""

    def __init__(self, ignore_parse_errors=False):
        self.ignore = ignore_parse_errors

    def partitions(self, topic):
        """For each partition its records."""
        for path in sorted(pathlib.Path(topic).glob("*.jsonl"), key=lambda path: int(path.stem)):
            yield self.partition(path)

    def partition(self, path):
        with open(path, "rb") as lines:
            for line in lines:
                try:
                    yield parse(line)
                except Malformed:
                    if not self.ignore:
                        raise

    def records(self, topic):
        for records in self.partitions(topic):
            yield from records

    def field(self, record, name, kind):
        try:
            return kind(record.get(name))
        except Malformed as e:
            if self.ignore:
                return None
            raise Malformed(f"field {name}: {e}") from None


def upsert(rows, keys):
    """The last row of each key; rows with a null in their key are left out. `keys`: how many columns come first."""
    table = {}
    for row in rows:
        if None not in row[:keys]:
            table[row[:keys]] = row
    return table.values()


def fold(pairs, start, add):
    """One row for each key: `start` grown by `add` with each value that isn't null."""
    table = {}
    for key, value in pairs:
        state = table.setdefault(key, start)
        if value is not None:
            table[key] = add(state, value)
    return [(key, state) for key, state in table.items() if key is not None]


def total(pairs):
    """SUM: null where every value is."""
    table = fold(pairs, None, lambda state, value: (state or 0) + value)
    if any(state is not None and state not in INT64 for _, state in table):
        raise OverflowError("a sum exceeds int64")
    return table


def survivors(rows):
    """The rows whose casts succeed. `rows` yields functions, so that one refusal doesn't end the others."""
    for row in rows:
        try:
            yield row()
        except Refused:
            pass


def live_cleanup(topics, reader, region_field, **_):
    def cleaned(record):
        def get(name, kind):
            return reader.field(record, name, kind)
        user, room, region = get("user_id", int64), get("room_id", int64), get(region_field, int64)
        ip, grade, province = get("ip", text), get("grade", int64), get("province", text)
        arrive, leave, create = (get(name, text) for name in ("arrive_time", "leave_time", "create_time"))
        return lambda: (user or 0, ip, None if room is None else str(room), timestamp(arrive), timestamp(leave),
                        timestamp(create), None if region is None else str(region), grade, province)
    return upsert(survivors(map(cleaned, reader.records(topics / "live_streaming_log"))), 4)


def gifts(topics, reader, name, kind):
    for record in reader.records(topics / "live_gift_total"):
        yield reader.field(record, name, kind), reader.field(record, "gift_total_amount", int64)


def gift_sum(topics, reader, **_):
    return total((None if gift is None else str(gift), amount) for gift, amount in gifts(topics, reader, "gift_type", int64))


def gift_by_user(topics, reader, **_):
    return total(gifts(topics, reader, "user_id", int64))


def gift_by_minute(topics, reader, **_):
    def pair(created, amount):
        def row():
            time = timestamp(created)
            return time and time.replace(second=0, microsecond=0), amount
        return row
    return total(survivors(pair(*gift) for gift in gifts(topics, reader, "create_time", text)))


def module_count(topics, reader, dimensions, **_):
    with open(dimensions / "dim_hbase.csv", newline="", encoding="utf-8") as lines:
        modules = {row["rowkey"]: row["cf:module_id"] or None for row in csv.DictReader(lines)}

    def entries():
        for record in reader.records(topics / "live_streaming_log"):
            user, room = reader.field(record, "user_id", int64), reader.field(record, "room_id", int64)
            if room is not None and str(room) in modules:
                module = modules[str(room)]
                yield lambda module=module, user=user: (cast_int64(module), user)
    return fold(survivors(entries()), 0, lambda count, _: count + 1)


def in_time(partitions, lateness, is_late):
    """Of rows (time first) in the order of each partition, those that are in time; and the watermark, None if there is none.

    `is_late(time, watermark)`: whether a row is, when its own partition has come so far.
    """
    kept, reached = [], []
    for rows in partitions:
        greatest = None
        for row in rows:
            if greatest is None or not is_late(row[0], greatest - lateness):
                kept.append(row)
            greatest = row[0] if greatest is None else max(greatest, row[0])
        reached.append(greatest)
    return kept, None if None in reached or not reached else min(reached) - lateness


def gift_by_ten_minutes(topics, **_):
    size, lateness, keep = (datetime.timedelta(minutes=minutes) for minutes in (10, 1, 60))
    reader = Reader(ignore_parse_errors=True)

    def start(time):
        return time - (time - datetime.datetime(1970, 1, 1)) % size

    def rows(records):
        for record in records:
            gift, amount = (reader.field(record, name, int64) for name in ("gift_type", "gift_total_amount"))
            try:
                time = timestamp(reader.field(record, "create_time", text))
            except Refused:
                time = None
            if gift is not None and time is not None:
                yield time, str(gift), amount

    kept, _ = in_time(map(rows, reader.partitions(topics / "live_gift_total")), lateness,
                      lambda time, watermark: start(time) + size + keep <= watermark)
    sums = total(((gift, start(time)), amount) for time, gift, amount in kept)
    return [(gift, start, start + size, amount) for (gift, start), amount in sums]


def viewing_sessions(topics, reader, **_):
    gap, lateness = datetime.timedelta(minutes=1), datetime.timedelta(seconds=10)

    def visit(record):
        user = reader.field(record, "user_id", int64)
        arrive, leave = (reader.field(record, name, text) for name in ("arrive_time", "leave_time"))

        def row():
            if user is None or arrive is None:
                raise Refused("no user or no time")
            arrived = timestamp(arrive)
            return arrived, max(arrived, timestamp(leave) or arrived), user
        return row

    partitions = reader.partitions(topics / "live_streaming_log")
    kept, watermark = in_time((survivors(map(visit, records)) for records in partitions), lateness,
                              lambda time, watermark: time < watermark)
    sessions = []
    for arrived, left, user in sorted(kept, key=lambda row: (row[2], row[0])):
        if sessions and sessions[-1][0] == user and arrived < sessions[-1][2] + gap:
            _, first, _, latest, entries = sessions.pop()
            sessions.append((user, first, arrived, max(left, latest), entries + 1))
        else:
            sessions.append((user, arrived, arrived, left, 1))
    return [(user, first, last + gap, entries, (latest - first) // datetime.timedelta(seconds=1))
            for user, first, last, latest, entries in sessions if watermark is not None and last + gap <= watermark]


METRICS = {f.__name__: f for f in (live_cleanup, gift_sum, module_count, gift_by_user, gift_by_minute,
                                   gift_by_ten_minutes, viewing_sessions)}
# How many columns come first and identify a row, where it isn't one.
KEYS = {"live_cleanup": 4, "gift_by_ten_minutes": 2, "viewing_sessions": 2}


def shown(value):
    return value.isoformat(" ", "microseconds") if isinstance(value, datetime.datetime) else value


def main(arguments=None, out=sys.stdout):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topics", type=pathlib.Path, required=True)
    parser.add_argument("--dimensions", type=pathlib.Path, required=True)
    parser.add_argument("--region-field", default="region_code", help="the record's field that fills region_code")
    parser.add_argument("--ignore-parse-errors", action="store_true")
    parser.add_argument("metric", nargs="*", default=list(METRICS), help=f"of {', '.join(METRICS)}; all unless told")
    options = parser.parse_args(arguments)
    reader = Reader(options.ignore_parse_errors)
    for name in options.metric:
        rows = METRICS[name](topics=options.topics, dimensions=options.dimensions, reader=reader,
                             region_field=options.region_field)
        for row in sorted(rows, key=lambda row: row[:KEYS.get(name, 1)]):
            print(json.dumps([name, *map(shown, row)], ensure_ascii=False), file=out)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    main()
