//! Records that a pipeline leaves out because they are at fault.
//!
//! A record is taken whole or not at all: where one of its rows is at fault, none of them goes on. So a record that was
//! left out has left nothing behind, and can be taken in later without counting any of it twice.

use std::fmt;
use std::str::FromStr;

use crate::batch::Batch;

/// Stage at which a record was found to be at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Becoming columns.
    Decode,
    /// Running through the step of this index.
    Step(usize),
    /// Being written to a table.
    Sink,
}

/// Writes the stage as the configuration names it: `decode`, `step[0]`, `sink`.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Decode => f.write_str("decode"),
            Stage::Step(index) => write!(f, "step[{index}]"),
            Stage::Sink => f.write_str("sink"),
        }
    }
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Stage, String> {
        let step = || text.strip_prefix("step[")?.strip_suffix(']')?.parse().ok();
        match text {
            "decode" => Ok(Stage::Decode),
            "sink" => Ok(Stage::Sink),
            _ => step().map(Stage::Step).ok_or_else(|| format!("`{text}` is no place in a pipeline")),
        }
    }
}

/// A record that was left out, or stopped the pipeline, because a row of it is at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// The record that it came from.
    pub record: usize,
    /// Stage at which the row was refused.
    pub stage: Stage,
    /// Reason why the row was refused.
    pub reason: String,
}

/// Sorts the rejections by record and keeps only the first of each record.
pub fn one_for_each_record(rejected: &mut Vec<RejectedRow>) {
    rejected.sort_by_key(|rejected| (rejected.record, rejected.stage));
    rejected.dedup_by_key(|rejected| rejected.record);
}

/// Keeps only the rows of records without a rejection.
pub fn without_rejected(batch: Batch, rejected: &[RejectedRow]) -> Batch {
    if rejected.is_empty() {
        return batch;
    }
    let mut records: Vec<usize> = rejected.iter().map(|rejected| rejected.record).collect();
    records.sort_unstable();
    // Rows of a batch are bounded far below u32::MAX.
    let rows = (0u32..).take(batch.rows);
    let kept: Vec<u32> =
        rows.filter(|row| records.binary_search(&batch.origins.record(*row as usize)).is_err()).collect();
    if kept.len() == batch.rows { batch } else { batch.select(kept) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stage_is_read_back_as_it_is_shown(step in any::<usize>()) {
            for stage in [Stage::Decode, Stage::Step(step), Stage::Sink] {
                prop_assert_eq!(stage.to_string().parse(), Ok(stage));
            }
        }

        #[test]
        fn a_record_at_fault_leaves_no_row_and_no_other_record_loses_one(
            records in prop::collection::vec(0usize..20, 0..60),
            bad in prop::collection::vec((0usize..20, 0usize..3), 0..10),
        ) {
            let mut batch = Batch::empty();
            records.iter().for_each(|record| batch.origins.push(*record));
            batch.rows = records.len();
            let mut rejected: Vec<RejectedRow> = bad.iter().map(|(record, step)| RejectedRow {
                record: *record, stage: Stage::Step(*step), reason: String::new(),
            }).collect();
            let left = without_rejected(batch, &rejected);
            let left: Vec<usize> = (0..left.rows).map(|row| left.origins.record(row)).collect();
            let good: Vec<usize> = records.into_iter().filter(|r| bad.iter().all(|(b, _)| b != r)).collect();
            prop_assert_eq!(left, good);

            one_for_each_record(&mut rejected);
            for rejected in &rejected {
                let first = bad.iter().filter(|(b, _)| *b == rejected.record).map(|(_, step)| *step).min();
                prop_assert_eq!(Some(rejected.stage), first.map(Stage::Step));
            }
            let mut records: Vec<usize> = bad.iter().map(|(record, _)| *record).collect();
            records.sort_unstable();
            records.dedup();
            prop_assert_eq!(rejected.len(), records.len());
        }
    }
}
