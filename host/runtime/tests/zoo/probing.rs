//! Findings of a probe.

use sluice_core::{Field, Kind};
use sluice_runtime::{Artifact, Limits, probe};

use crate::guests::{AGGREGATOR, TRANSFORMER, config};

fn findings(artifact: &Artifact, behaviour: &str, seed: u64) -> Vec<String> {
    let fields = if artifact.digest() == TRANSFORMER.digest() {
        [Field::new("n", Kind::Int64), Field::new("t", Kind::Utf8)]
    } else {
        ["gift", "amount"].map(|name| Field::new(name, Kind::Int64))
    };
    probe(artifact, &config(behaviour), &fields, &Limits::default(), seed).unwrap()
}

#[test]
fn operators_that_keep_what_they_promise_have_nothing_found() {
    for seed in 0..5 {
        for behaviour in ["echo", "recode", "pass the input through"] {
            assert_eq!(findings(&TRANSFORMER, behaviour, seed), Vec::<String>::new(), "{behaviour}");
        }
        assert_eq!(findings(&AGGREGATOR, "", seed), Vec::<String>::new());
        let every_kind: Vec<Field> = Kind::ALL.iter().map(|kind| Field::new(kind.name(), *kind)).collect();
        let found = probe(&TRANSFORMER, &config("echo"), &every_kind, &Limits::default(), seed).unwrap();
        assert_eq!(found, Vec::<String>::new());
    }
}

#[test]
fn what_an_operator_does_not_keep_is_found_and_said() {
    for (artifact, behaviour, finding) in [
        (&TRANSFORMER, "remember", "`process` answers extreme rows otherwise the second time: `t` in row"),
        (&TRANSFORMER, "trap after much good work", "after others, though not by itself: the operator trapped"),
        (&TRANSFORMER, "trap", "`process` fails on one of the ordinary rows: the operator trapped"),
        (
            &TRANSFORMER,
            "select the first row",
            "`process` answers ordinary rows otherwise in batches of 7: other rows are kept",
        ),
        (&AGGREGATOR, "trap in accumulate", "`accumulate` fails on ordinary rows"),
        (&AGGREGATOR, "forget a group", "`accumulate` fails on ordinary rows"),
        (&AGGREGATOR, "prefer the left in merge", "merge is not commutative"),
        (&AGGREGATOR, "prefer the left in merge", "an all-null state is not merge's identity on the left"),
        (&AGGREGATOR, "emit the rows of others", "`emit` shows state 0 otherwise by itself: `sum` in row 0 is"),
        (&AGGREGATOR, "emit nothing", "`emit` fails on states of ordinary rows"),
    ] {
        let found = findings(artifact, behaviour, 1);
        assert!(found.iter().any(|said| said.contains(finding)), "{behaviour}: {found:#?}");
    }
}

#[test]
fn a_probe_of_one_seed_finds_the_same_each_time() {
    assert_eq!(findings(&TRANSFORMER, "remember", 7), findings(&TRANSFORMER, "remember", 7));
}
