//! Kafka, through librdkafka.
//!
//! ```text
//! broker ──fetch threads──▶ consumer queue ──batch_queue──▶ KafkaRecords ──▶ lane
//!                                 │ errors, ends of partitions ──▶ Positions
//!         logs, broker events ──▶ main queue ──▶ Reports ──▶ tracing
//! ```
//!
//! - **Partitions are this host's by its [`Membership`]** in the consumer group, a client of its own. The one that reads is
//!   assigned them at explicit offsets, and knows nothing of the group. Without a membership (to look whether a source can be
//!   opened) it is all partitions, and the group must have no members for a commit.
//! - **Offsets are the pipeline's.** librdkafka commits nothing by itself. Each partition's position is tracked here: a
//!   record below it is refused, and offsets that hold no record (compacted ones, transaction markers) are accounted for
//!   when a later record or the partition's end shows that they are passed.
//! - **Brokers may come and go.** librdkafka reconnects by itself and goes on where it was; a topic that isn't there is
//!   never created by reading it.
//!
//! [`KafkaConnection::properties`] pass to librdkafka and override ours, except those in [`config::RESERVED`] that the
//! promises above are built on.

mod batch_queue;
mod blocking;
mod claim;
mod cluster;
mod committer;
pub mod config;
mod described;
mod letter_record;
mod letters;
mod member;
mod membership;
mod peers;
mod positions;
mod producer;
mod records;
mod reports;
mod role;
mod sameness;
mod sink;
mod source;
mod standing;
mod starts;
mod topic;
mod watch;
mod writer;

use std::collections::BTreeMap;
use std::fmt;

pub use membership::Membership;
pub use sink::{DIGEST, GENERATION, KafkaSink};
pub use source::KafkaSource;
pub use writer::KafkaWriter;

/// A Kafka cluster, and how to talk to it.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConnection {
    /// `host:port` of the brokers to ask first, separated by commas.
    pub brokers: String,
    /// Further librdkafka properties, by name.
    pub properties: BTreeMap<String, String>,
}

/// Shows the properties' names only: their values may be passwords.
impl fmt::Debug for KafkaConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.properties.keys().collect();
        f.debug_struct("KafkaConnection").field("brokers", &self.brokers).field("properties", &names).finish()
    }
}
