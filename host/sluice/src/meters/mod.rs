//! Figures of a pipeline. Each is declared here and raised in one other place; `/status`, its table in the documentation and
//! `sluice status --figures` are made from the declaration.
//!
//! | a figure that is         | has the kind      | and is raised by |
//! |--------------------------|-------------------|------------------|
//! | a number that only grows | [`Counter`]       | `add`            |
//! | the same for each reason | [`ByReason`]      | `add`            |
//! | time that adds up        | [`Seconds`]       | `add`            |
//! | times, one by one        | [`Histogram`]     | `observe`        |
//! | a number of now          | [`Gauge`]         | `set`            |
//! | one that may be unknown  | [`OptionalGauge`] | `set`            |
//!
//! A name ends with its unit if that is seconds or bytes, as Prometheus's names do; a counter's name has no `_total`, which an
//! exporter adds.

mod kinds;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use kinds::{ByReason, Counter, Gauge, Histogram, Meter, OptionalGauge, Seconds, Value};

/// Declaration of a figure.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// The name, in JSON and everywhere else.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The things that are counted or measured.
    pub unit: &'static str,
    /// A sentence for people.
    pub meaning: &'static str,
}

/// Declares figures, each as `name: Kind, "unit", "meaning";`.
macro_rules! meters {
    ($($name:ident: $kind:ident, $unit:literal, $meaning:literal;)+) => {
        /// Meters of a pipeline. Any thread may raise them.
        #[derive(Debug, Default)]
        pub struct Meters {
            $(#[doc = $meaning] pub $name: $kind,)+
        }

        /// Figures of a pipeline: what its meters said at one moment.
        #[derive(Debug, Clone, Default, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Figures {
            $(#[doc = $meaning] pub $name: <$kind as Meter>::Reading,)+
        }

        impl Meters {
            /// Reads all meters.
            pub fn read(&self) -> Figures {
                Figures { $($name: self.$name.read(),)+ }
            }
        }

        impl Figures {
            /// Returns every figure, in the order of their declarations.
            pub fn all(&self) -> Vec<(Declared, Value<'_>)> {
                vec![$((
                    Declared {
                        name: stringify!($name),
                        kind: <$kind as Meter>::KIND,
                        unit: $unit,
                        meaning: $meaning,
                    },
                    Value::from(&self.$name),
                ),)+]
            }
        }
    };
}

meters! {
    records: Counter, "records", "Records taken from the source and processed";
    batches: Counter, "batches", "Batches that the source has handed over; records for each of them say how well it keeps up";
    read_bytes: Counter, "bytes", "Keys and values of the records that the source has handed over";
    lag: OptionalGauge, "records", "Records in the topic that are not processed; null while that is not known, as while the pipeline is stopped. Asked once a second";
    late: Counter, "rows", "Rows that came after the end of one of their windows, whatever became of them";
    rejected: Counter, "records", "Records left out because they are at fault, and groups that a table did not take";
    reasons: ByReason, "records", "The same for each reason; past 256 reasons the others share one";
    dead_letters: Counter, "letters", "Letters that were written about those";
    dropped: ByReason, "values", "Values that became null or were changed on their way into columns, by field and reason, while their records went on; past 256 reasons the others share one";
    busy_seconds: Seconds, "seconds", "Time in which the lane worked on records, calls of lookups included, and did not wait for any; as much as the time that passes means that it is the limit";
    operator_seconds: Seconds, "seconds", "Part of that in which operators ran";
    pending: Gauge, "rows", "Rows or groups that wait for the next flush";
    groups_in_memory: OptionalGauge, "groups", "Groups of the fold in memory; null without a fold. The others are in the checkpoint";
    groups_in_memory_bytes: OptionalGauge, "bytes", "Memory that they take";
    rows: Counter, "rows", "Rows that all sinks have taken";
    flushes: Counter, "flushes", "Flushes of rows that all sinks have taken";
    flush_seconds: Histogram, "seconds", "Time of each flush, with or without rows, from the lane's hand-over to the group's commit, waits for servers included";
    flush_retries: Counter, "tries", "Tries to write rows, letters or a checkpoint, or to ask the group, that failed and are made again";
    checkpoint_bytes: OptionalGauge, "bytes", "Size of the checkpoint on the disk; null before the pipeline has one";
    checkpoint_timestamp_seconds: OptionalGauge, "seconds", "Time of the last checkpoint since the start, in seconds since 1970-01-01T00:00:00 UTC; null before it";
    swap_pause_us: OptionalGauge, "microseconds", "Time that records waited for the last cut-over to other operators since the start; null before it";
}
