#!/usr/bin/env python3
"""Amounts of up to 38 digits, six of them after the point, and what their sums are: by Python's `decimal`, which the host doesn't use.

    decimals.py DIR SEED COUNT

Writes DIR/records.jsonl with COUNT records of an account and an amount, as a number or a text; DIR/expected.jsonl with a row
[account, sum] for each account, its sum as a text or null; and prints how many records are at fault.
"""

import decimal
import json
import pathlib
import random
import sys

SCALE = 6
WHOLE = 32
ACCOUNTS = 997
# Amounts of a shared account are far enough below the largest that no sum reaches it.
SHARED_DIGITS = 27
# Accounts from here on have one amount.
LONELY = 1_000_000

decimal.getcontext().prec = 100


def number(rng, whole, fraction):
    """A number of so many digits at most before the point and so many after it."""
    digits = lambda count: "".join(rng.choice("0123456789") for _ in range(count))
    text = str(int(digits(rng.randint(1, whole))))
    if fraction:
        text += "." + digits(fraction)
    return ("-" if rng.random() < 0.4 else "") + text


def written(rng, text):
    """The same number in another notation, sometimes."""
    way = rng.random()
    if not decimal.Decimal(text):
        # JSON knows no 00.
        return text
    if way < 0.1 and "." in text:
        return text + "0" * rng.randint(1, 30)
    if way < 0.2:
        sign, digits, exponent = decimal.Decimal(text).as_tuple()
        moved = rng.randint(-9, 9)
        sign = "-" if sign else ""
        return f"{sign}{''.join(map(str, digits)).lstrip('0') or '0'}{'0' * max(moved, 0)}e{exponent - max(moved, 0)}"
    return text


def json_of(rng, text):
    return text if rng.random() < 0.5 else json.dumps(rng.choice(["", " "]) + text)


def edge(rng):
    most = decimal.Decimal(10) ** WHOLE - decimal.Decimal(10) ** -SCALE
    least = decimal.Decimal(10) ** -SCALE
    return format(rng.choice([most, -most, least, -least, decimal.Decimal(0), most - least]), "f")


def fault(rng):
    """What is no amount: too many digits on either side, or no number."""
    too_fine = number(rng, 5, SCALE) + "0" * rng.randint(0, 3) + rng.choice("123456789")
    too_large = rng.choice(["", "-"]) + "1" + "0" * WHOLE + rng.choice(["", "000", ".0", ".5"])
    return rng.choice([too_fine, too_large, f"1e{WHOLE}", "-1e400", '"12 CNY"', '""', "true", "[1]", json.dumps(too_fine)])


def records(rng, count):
    """Each record's account, its amount as JSON, and the amount; an amount at fault is `...`."""
    for place in range(count):
        kind = rng.random()
        account = rng.randrange(ACCOUNTS)
        if kind < 0.05:
            yield account, "null", None
        elif kind < 0.1:
            yield account, fault(rng), ...
        elif kind < 0.13:
            text = edge(rng)
            yield LONELY + place, json_of(rng, written(rng, text)), decimal.Decimal(text)
        else:
            text = number(rng, SHARED_DIGITS, rng.randint(0, SCALE))
            yield account, json_of(rng, written(rng, text)), decimal.Decimal(text)


def main():
    directory, seed, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    sums, faults = {}, 0
    with open(directory / "records.jsonl", "w", encoding="utf-8") as out:
        for account, shown, amount in records(random.Random(seed), count):
            print(f'{{"account": {account}, "amount": {shown}}}', file=out)
            if amount is ...:
                faults += 1
                continue
            before = sums.setdefault(account, None)
            if amount is not None:
                sums[account] = amount + (before or 0)
    with open(directory / "expected.jsonl", "w", encoding="utf-8") as out:
        for account, total in sums.items():
            print(json.dumps([account, None if total is None else f"{total:.{SCALE}f}"]), file=out)
    print(faults)


if __name__ == "__main__":
    main()
