//! Kafka, through librdkafka.
//!
//! ```text
//! broker ──fetch threads──▶ consumer queue ──batch_queue──▶ KafkaRecords ──▶ lane
//!                                 │ errors, ends of partitions ──▶ Positions
//!         logs, broker events ──▶ main queue ──▶ Reports ──▶ tracing
//! ```
//!
//! - **All partitions are this process's.** They are assigned at explicit offsets, not subscribed to: in this version one
//!   host runs a pipeline. The group is where commits go, for lag monitors and `start = "committed"`; it has no members.
//! - **Offsets are the pipeline's.** librdkafka commits nothing by itself. Each partition's position is tracked here: a
//!   record below it is refused, and offsets that hold no record (compacted ones, transaction markers) are accounted for
//!   when a later record or the partition's end shows that they are passed.
//! - **Brokers may come and go.** librdkafka reconnects by itself and goes on where it was; a topic that isn't there is
//!   never created by reading it.
//!
//! [`KafkaConnection::properties`] pass to librdkafka and override ours, except those in [`config::RESERVED`] that the
//! promises above are built on.

mod batch_queue;
pub mod config;
mod letter_record;
mod letters;
mod positions;
mod records;
mod reports;
mod source;
mod topic;
mod watch;
mod writer;

use std::collections::BTreeMap;
use std::fmt;

pub use source::KafkaSource;
pub use writer::KafkaWriter;

/// A Kafka cluster, and how to talk to it.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConnection {
    /// `host:port` of the brokers to ask first, separated by commas.
    pub brokers: String,
    /// Any further librdkafka properties, by name.
    pub properties: BTreeMap<String, String>,
}

/// Shows the properties' names only: their values may be passwords.
impl fmt::Debug for KafkaConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.properties.keys().collect();
        f.debug_struct("KafkaConnection").field("brokers", &self.brokers).field("properties", &names).finish()
    }
}
