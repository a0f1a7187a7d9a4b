//! Transforms that are at fault.

use std::collections::BTreeSet;

use sluice_e2e::Metric;

use crate::cage::{self, Case, FEARED, FEARED_NUMBER, Outcome, RECORDS, case};
use Outcome::{Disabled, LeavesOut, Right, Runs, Stops};

pub const CASES: &[Case] = &[
    // Its `open`.
    case("refuse to open", Stops("no column `n`")),
    case("trap in open", Disabled("trapped in open")),
    case("spin in open", Disabled("exceeded its limit in open")),
    case("hoard in open", Disabled("exceeded its limit in open")),
    case("read a column that is not there", Disabled("reads name column 2")),
    case("answer a column that is not there", Disabled("is input column 4294967295")),
    case("name two outputs alike", Disabled("two columns `n`")),
    case("name an output with nothing", Disabled("without a name")),
    case("name an output at length", Disabled("10000 bytes")),
    case("name an output with a line break", Disabled("control character")),
    case("plan a decimal of forty digits", Disabled("decimal(40, 2)")),
    case("plan no outputs", Disabled("no outputs")),
    case("plan a million reads", Disabled("1000000 columns")),
    case("pass the input through", Right),
    // Calls that end badly.
    case("refuse", Disabled("sum overflows")),
    case("refuse at length", Disabled("ééé")),
    case("trap", Disabled("trapped")),
    case("spin", Disabled("ran for more than 300ms")),
    case("hoard", Disabled("may have 8388608")),
    case("recurse", Disabled("stack")),
    case("trap on a row", LeavesOut("trapped")),
    case("spin on a row", LeavesOut("ran for more than 300ms")),
    case("hoard on a row", LeavesOut("may have 8388608")),
    Case { batch: Some(16), ..case("trap after much good work", Right) },
    Case { batch: Some(16), ..case("leak", Right) },
    Case { batch: Some(16), ..case("remember", Runs) },
    // Answers that are none.
    case("leave a column out", Disabled("answered 1 columns where its plan has 2")),
    case("claim a row more", Disabled("its values must be")),
    case("claim four billion rows", Disabled("answered 4294967295 rows")),
    case("explode each row", Runs),
    case("explode each row too far", Disabled("may answer")),
    case("answer from wild memory", Disabled("out of bounds")),
    case("answer too much", Disabled("may have 8388608")),
    case("cut the selection", Disabled("bad selection")),
    case("select the first row", Runs),
    case("select a row outside", Disabled("the selection names a row outside")),
    case("select a row below", Disabled("the selection names a row outside")),
    case("reject the first row", Runs),
    case("reject at length", Runs),
    case("reject a row outside", Disabled("`process` rejected row")),
    case("reject more rows than there are", Disabled("`process` rejected")),
    case("recode", Right),
    case("decode bad offsets", Disabled("text.decode with offsets")),
    case("decode bad bytes", Disabled("text.decode with bytes")),
    case("cut the values", Disabled("its values must be")),
    case("cut the validity", Disabled("its validity bits must be")),
    case("lengthen the validity", Disabled("its validity bits must be")),
    case("add offsets to a number", Disabled("its offsets must be")),
    case("cut the offsets", Disabled("its offsets must be")),
    case("cut an offset", Disabled("its offsets must be")),
    case("add an offset", Disabled("its offsets must be")),
    case("start the offsets at 1", Disabled("its first offset must be 0")),
    case("let an offset fall", Disabled("offset")),
    case("let an offset be negative", Disabled("its offsets must never fall")),
    case("overlap the offsets", Disabled("not UTF-8")),
    case("end past the values", Disabled("past its 0 bytes")),
    case("answer bytes for text", Disabled("not UTF-8")),
    case("answer numbers for text", Disabled("its offsets must be")),
    // The log.
    case("flood the log", Right),
    case("log a long line", Right),
    case("log a forged line", Right),
];

const TABLE: Metric = Metric {
    name: "transformer",
    table: "",
    columns: &[("n", sluice_e2e::Kind::Integer), ("t", sluice_e2e::Kind::Text)],
};

/// Records whose number is their offset, but for those that are feared; every text is of two characters and three bytes.
fn records() -> Vec<String> {
    let number = |offset| if FEARED.contains(&offset) { FEARED_NUMBER } else { i64::try_from(offset).unwrap() };
    (0..RECORDS).map(|offset| format!(r#"{{"n":{},"t":"aé"}}"#, number(offset))).collect()
}

/// The offsets of the records whose rows are in the table.
fn in_table(site: &sluice_e2e::Site, table: &str) -> BTreeSet<u64> {
    // A pipeline that never wrote a row has no table.
    let rows = site.tables().rows(&TABLE, table).unwrap_or_default();
    let offsets = rows.iter().flat_map(|row| match row[0].as_i64().unwrap() {
        FEARED_NUMBER => FEARED.to_vec(),
        number => vec![u64::try_from(number).unwrap()],
    });
    offsets.collect()
}

fn audit(site: &sluice_e2e::Site, name: &str, case: &Case) {
    let (consumed, letters) = (cage::consumed(site, name), cage::letters(site, name));
    let expected = match case.outcome {
        Runs => {
            assert_eq!(consumed, RECORDS, "{}", case.behaviour);
            return;
        }
        Stops(_) | Disabled(_) => (0, BTreeSet::new()),
        LeavesOut(_) => (RECORDS, FEARED.into()),
        Right => (RECORDS, BTreeSet::new()),
    };
    assert_eq!((consumed, &letters), (expected.0, &expected.1), "{}", case.behaviour);
    let written = in_table(site, name);
    // Each record is in the table, a letter, or still to come.
    let all: BTreeSet<u64> = written.union(&letters).copied().collect();
    assert_eq!(all, (0..consumed).collect(), "{}", case.behaviour);
    assert!(written.is_disjoint(&letters), "{}", case.behaviour);
}

fn run(cases: &[Case]) -> String {
    let site = cage::site(&records());
    cage::add(&site, "transformer", cases, r#"{ n = "int64", t = "utf8" }"#, r#"["n"]"#);
    let finished = cage::run(&site, "transformer", cases);
    for (index, case) in cases.iter().enumerate() {
        audit(&site, &cage::name("transformer", index), case);
    }
    finished.output
}

#[test]
fn each_transform_that_is_at_fault_harms_nobody_and_loses_nothing() {
    let log = run(CASES);
    let of_guests = log.lines().filter(|line| line.contains("sluice::operator")).count();
    assert!((3..200).contains(&of_guests), "{of_guests} lines of operators");
    assert!(log.lines().all(|line| line.len() < 10_000 && !line.contains('\x1b')));
}
