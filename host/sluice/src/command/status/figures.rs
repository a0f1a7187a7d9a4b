//! `sluice status --figures`: every figure of each pipeline, with its meaning.

use std::fmt::Write as _;

use sluice_core::printable;

use crate::meters::{Declared, Figures, Value};
use crate::numbers::{bytes, grouped};
use crate::pipeline::Snapshot;

/// Writes a line for each figure of each pipeline, and one for each reason under it.
pub fn text(pipelines: &[Snapshot]) -> String {
    let mut text = String::new();
    for pipeline in pipelines {
        let _ = writeln!(text, "{}", pipeline.name);
        figures(&mut text, &pipeline.figures);
    }
    text
}

fn figures(text: &mut String, figures: &Figures) {
    let all = figures.all();
    let width = all.iter().map(|(declared, _)| declared.name.len()).max().unwrap_or(0);
    for (Declared { name, kind, unit, meaning }, value) in all {
        let shown = shown(unit, value);
        let _ = writeln!(text, "  {name:<width$}  {shown:>18}  {kind:<9}  {meaning}");
        if let Value::ByReason(reasons) = value {
            for (reason, times) in reasons {
                let _ = writeln!(text, "  {:<width$}  {:>18}  {}", "", grouped(*times), printable(reason));
            }
        }
    }
}

fn shown(unit: &str, value: Value<'_>) -> String {
    let number = |number| match unit {
        "bytes" => bytes(number),
        unit => format!("{} {unit}", grouped(number)),
    };
    match value {
        Value::Number(value) => number(value),
        Value::Optional(value) => value.map_or_else(|| "-".to_owned(), number),
        Value::Seconds(value) => format!("{value:.3} {unit}"),
        Value::ByReason(reasons) => number(reasons.values().sum()),
        Value::Times(times) if times.count == 0 => "-".to_owned(),
        Value::Times(times) => format!("{} × {:.3} {unit}", grouped(times.count), times.sum / times.count as f64),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pipeline::Status;

    #[test]
    fn each_figure_has_a_line_with_its_meaning_and_each_reason_one_below() {
        let status = Status::new("gifts");
        status.meters.records.add(1_234);
        status.meters.read_bytes.add(2_048);
        status.add_rejected("no\x1b number", 3);
        for millis in [10, 30] {
            status.meters.flush_seconds.observe(Duration::from_millis(millis));
        }
        status.meters.operator_seconds.add(Duration::from_millis(1_500));
        let text = text(&[status.snapshot()]);
        let line = |words: &str| {
            let line =
                text.lines().find(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(words));
            line.unwrap_or_else(|| panic!("{words} in {text}"))
        };
        assert!(
            line("records 1,234 records counter").ends_with("Records taken from the source and processed"),
            "{text}"
        );
        line("read_bytes 2.0 KiB counter");
        line("lag - gauge");
        line("reasons 3 records counter");
        line("3 no\\x1b number");
        line("flush_seconds 2 × 0.020 seconds histogram");
        line("operator_seconds 1.500 seconds counter");
        assert!(text.starts_with("gifts\n"), "{text}");
    }
}
