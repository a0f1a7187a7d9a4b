//! `sluice inspect`: what an operator could do, and what it promises, before it is deployed.

use std::fs;

use sluice_e2e::{Finished, assembled, root, sluice, zoo_guest};
use sluice_testing::components;
use toml::{Table, Value};

/// The columns that come into the last step of a pipeline of the repository, and its operator.
fn last_step(pipeline: &str) -> (String, String) {
    let text = fs::read_to_string(root().join("pipelines").join(pipeline)).unwrap();
    let pipeline: Table = text.parse().unwrap();
    let kind = |value: &Value| value.as_str().or_else(|| value.get("kind")?.as_str()).unwrap_or("utf8").to_owned();
    let columns = |table: &Value| -> Vec<String> {
        table.as_table().unwrap().iter().map(|(name, value)| format!("{name}:{}", kind(value))).collect()
    };
    let mut input = columns(&pipeline["source"]["columns"]);
    let steps = pipeline["step"].as_array().unwrap();
    for lookup in steps.iter().filter_map(|step| step.get("lookup")) {
        let added = lookup["columns"].as_table().unwrap().iter();
        input.extend(
            added.map(|(name, column)| {
                format!("{name}:{}", column.get("kind").and_then(Value::as_str).unwrap_or("utf8"))
            }),
        );
    }
    (input.join(","), steps.last().unwrap()["operator"].as_str().unwrap().to_owned())
}

fn inspect(file: &std::path::Path, arguments: &[&str]) -> Finished {
    sluice(&[&["inspect", file.to_str().unwrap()], arguments].concat())
}

fn saved(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    file
}

#[test]
fn the_operators_that_are_shipped_keep_what_they_promise() {
    let mut pipelines = 0;
    for file in fs::read_dir(root().join("pipelines")).unwrap() {
        let (input, operator) = last_step(file.unwrap().file_name().to_str().unwrap());
        let component = root().join("dist/operators").join(format!("{operator}.wasm"));
        for seed in ["0", "1", "2"] {
            let probed = inspect(&component, &["--input", &input, "--probe", "--seed", seed]);
            assert_eq!(probed.code, Some(0), "{operator}, seed {seed}: {}", probed.output);
            assert!(probed.output.contains("findings: none"), "{operator}: {}", probed.output);
        }
        pipelines += 1;
    }
    assert!(pipelines > 5);
}

#[test]
fn a_probe_finds_what_an_operator_does_not_keep_and_says_it() {
    let (transformer, aggregator) = ("transformer", "aggregator");
    let cases = [
        (transformer, "echo", None),
        (transformer, "recode", None),
        (transformer, "remember", Some("`process` answers extreme rows otherwise the second time: `t` in row")),
        (transformer, "trap after much good work", Some("after others, though not by itself: the operator trapped")),
        (transformer, "trap", Some("`process` fails on one of the extreme rows: the operator trapped")),
        (transformer, "select the first row", Some("in batches of 1: other rows are kept")),
        (aggregator, "", None),
        (aggregator, "trap in accumulate", Some("`accumulate` fails on ordinary rows")),
        (aggregator, "prefer the left in merge", Some("merge is not commutative")),
        (aggregator, "emit the rows of others", Some("`emit` shows state 0 otherwise by itself: `sum` in row 0 is")),
        (aggregator, "trap in emit", Some("`emit` fails on states of ordinary rows: the operator trapped")),
    ];
    for (guest, behaviour, finding) in cases {
        let component = saved(&zoo_guest(guest).component);
        let input = if guest == transformer { "n:int64,t:utf8" } else { "gift:int64,amount:int64" };
        let config = format!(r#"{{"do":"{behaviour}"}}"#);
        let probed = inspect(component.path(), &["--input", input, "--config", &config, "--probe"]);
        assert_eq!(probed.code, Some(i32::from(finding.is_some())), "{behaviour}: {}", probed.output);
        let expected = finding.unwrap_or("findings: none");
        assert!(probed.output.contains(expected), "{behaviour}: {}", probed.output);
    }
}

#[test]
fn inspect_says_what_an_operator_could_do_to_the_world_outside() {
    let shown = inspect(&root().join("dist/operators/gift_sum.wasm"), &[]);
    assert_eq!(shown.code, Some(0));
    assert!(shown.output.contains("capabilities: none: no wasi, and no host function besides"), "{}", shown.output);
    let shown = inspect(saved(&assembled(components::WASI)).path(), &[]);
    assert_eq!(shown.code, Some(1));
    let wants =
        "capabilities: it wants wasi:cli/environment@0.2.6, wasi:random/random@0.2.6, now, which no operator is given";
    assert!(shown.output.contains(wants), "{}", shown.output);
}

#[test]
fn a_probe_needs_the_columns_that_come_in() {
    let probed = inspect(&root().join("dist/operators/gift_sum.wasm"), &["--probe"]);
    assert_eq!(probed.code, Some(2));
    assert!(probed.output.contains("--input"), "{}", probed.output);
}
