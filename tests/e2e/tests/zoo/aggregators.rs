//! Folds that are at fault.

use serde_json::Value;
use sluice_e2e::{Kind, Metric, Site};

use crate::cage::{self, Case, FEARED, FEARED_NUMBER, Outcome, RECORDS, case};
use Outcome::{Disabled, LeavesOut, Right, Runs, Stops};

pub const CASES: &[Case] = &[
    case("refuse to fold", Stops("nothing to add")),
    case("trap in the fold's open", Disabled("trapped in open")),
    case("group by a column that is not there", Disabled("keys name column 2")),
    case("add a column that is not there", Disabled("values name column 2")),
    case("keep no state", Disabled("no state")),
    case("keep two states alike", Disabled("two columns `sum`")),
    case("name an output as a key", Disabled("two columns `gift`")),
    case("plan no result", Disabled("neither keys nor outputs")),
    case("trap in accumulate", Disabled("trapped")),
    case("trap on an amount", LeavesOut("trapped")),
    case("forget a group", Disabled("`accumulate` answered a bad column")),
    case("make up a group", Disabled("`accumulate` answered a bad column")),
    case("answer two states", Disabled("answered 2 columns where its plan has 1")),
    case("grow for ever", Disabled("a group's may have 1024")),
    case("emit nothing", Disabled("`emit` answered 0 columns")),
    case("emit a row more", Disabled("`emit` answered a bad column")),
    case("emit a row less", Disabled("`emit` answered a bad column")),
    case("trap in emit", Disabled("trapped")),
    // What only the operator's author, or `inspect --probe`, can tell from what is right.
    case("emit the rows of others", Runs),
    case("answer NaN keys", Runs),
    // Calls that no pipeline of this test makes.
    case("prefer the left in merge", Right),
    case("trap in migrate", Right),
    case("refuse to migrate", Right),
    case("drop a group in migrate", Right),
    case("swap groups in migrate", Right),
];

const TABLE: Metric =
    Metric { name: "aggregator", table: "", columns: &[("gift", Kind::Text), ("sum", Kind::Integer)] };

/// Three gifts in turn; each amount is 1, but for those that are feared.
fn amount(offset: u64) -> i64 {
    if FEARED.contains(&offset) { FEARED_NUMBER } else { 1 }
}

fn records() -> Vec<String> {
    (0..RECORDS).map(|offset| format!(r#"{{"gift":{},"amount":{}}}"#, offset % 3, amount(offset))).collect()
}

fn audit(site: &Site, name: &str, case: &Case) {
    let (consumed, letters) = (cage::consumed(site, name), cage::letters(site, name));
    let expected = match case.outcome {
        Runs => return assert_eq!(consumed, RECORDS, "{}", case.behaviour),
        Stops(_) | Disabled(_) => (0, vec![]),
        LeavesOut(_) => (RECORDS, FEARED.to_vec()),
        Right => (RECORDS, vec![]),
    };
    assert_eq!((consumed, letters.iter().copied().collect()), expected, "{}", case.behaviour);
    // What each group adds up to is what was consumed and not left out.
    let sum = |gift| -> i64 { (0..consumed).filter(|o| o % 3 == gift && !letters.contains(o)).map(amount).sum() };
    let groups = (0..3).filter(|_| consumed > 0);
    let sums: Vec<Vec<Value>> = groups.map(|gift| vec![gift.to_string().into(), sum(gift).into()]).collect();
    // A pipeline that never wrote a row has no table.
    assert_eq!(site.tables().rows(&TABLE, name).unwrap_or_default(), sums, "{}", case.behaviour);
}

#[test]
fn each_fold_that_is_at_fault_harms_nobody_and_loses_nothing() {
    let site = cage::site(&records());
    cage::add(&site, "aggregator", CASES, r#"{ gift = "int64", amount = "int64" }"#, r#"["gift"]"#);
    cage::run(&site, "aggregator", CASES);
    for (index, case) in CASES.iter().enumerate() {
        audit(&site, &cage::name("aggregator", index), case);
    }
}
