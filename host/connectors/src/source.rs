//! Sources are where records come from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sluice_core::identity::Identity;
pub use sluice_core::port::{LeaseError, SourceError};
use sluice_core::records::Records;
use sluice_core::share::Share;
use sluice_core::{Offset, Partition};

/// The place where reading a topic starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The oldest record that is still there.
    Earliest,
    /// Records that come after the opening.
    Latest,
    /// The consumer group's last commit; the oldest record where it has none.
    Committed,
    /// Given offsets, where a checkpoint ends; the oldest record in partitions that have none. Offsets that the topic doesn't
    /// have any more, or not yet, are [`SourceError::Unusable`]: nothing is skipped silently.
    At(BTreeMap<Partition, Offset>),
}

/// Subscription: the topic to read, and where to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Topic to read: all its partitions, also those that are added later, or the partitions that this host has of it.
    pub topic: String,
    /// The consumer group that commits go to, and among whose members partitions are shared.
    pub group: String,
    /// The place where reading starts.
    pub start: Start,
    /// The topic's identity when it was read before: another topic of its name is [`SourceError::Another`]. Empty for whatever is there.
    pub known: Identity,
}

/// A topic being read by one lane.
///
/// **Order**: records of a partition come in the order of their offsets, each once. **Delivery**: intervals of successive
/// answers join without gap or overlap, partition by partition. **Blocking**: `poll` waits at most `max_wait`, and never
/// for a fuller batch once there is a record. **Memory**: while nobody polls, at most the connector's named bound is
/// fetched ahead. **Share**: where several hosts may read a topic as the same group, a source is opened on the share that its
/// host has then, and reads that alone, from where the group is (a fold: from where the pipeline is). The share is this host's until both the source and its committer are dropped, or until [`Committer::may_write`]
/// says that it is lost.
pub trait Source: Send {
    /// The records that are there, at most `max_records`; if there are none, those that come within `max_wait`;
    /// none if none came. An error of the kind [`SourceError::Unavailable`] loses nothing: poll again.
    fn poll(&mut self, max_records: usize, max_wait: Duration) -> Result<Option<Box<dyn Records>>, SourceError>;

    /// The offsets where the partitions end now: those that the next records written will get. Asks the server.
    fn ends(&mut self) -> Result<BTreeMap<Partition, Offset>, SourceError>;

    /// The offsets where the partitions end for a reader that then ends, too: as [`Source::ends`], and with what is whole
    /// but for the mark that it is finished. From then on that is handed out.
    fn last_ends(&mut self) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        self.ends()
    }

    /// The offsets where the partitions are read from, before any record came: the start as a number, so that a pipeline knows what
    /// "caught up" means for a partition that has nothing to read.
    fn positions(&self) -> BTreeMap<Partition, Offset>;

    /// The topic's identity beyond its name, as far as it is known by now. From the opening on it is watched: another topic of the
    /// name is [`SourceError::Another`].
    fn identity(&self) -> Identity;

    /// The group's commits, of the partitions that have one. Asks the server.
    fn committed(&mut self) -> Result<BTreeMap<Partition, Offset>, SourceError>;

    /// The share of a group that is read, if it is one.
    fn share(&self) -> Option<&Share> {
        None
    }

    /// The committer takes the group's commits; used from another thread.
    fn committer(&self) -> Arc<dyn Committer>;
}

/// Tells the source's server how far the group is: for lag monitors, for `start = "committed"`, and for the next host that has a
/// partition that this one had.
pub trait Committer: Send + Sync {
    /// Says whether rows of what the source gave may be written: asked right before each write, since another host may have the
    /// partitions by now. An answer holds for as long as the server's word does, so that a process that was stopped in between
    /// asks again. What a process was stopped in the middle of, between the answer and the table, is all that this can't see.
    /// May block while the server answers.
    fn may_write(&self) -> Result<(), LeaseError> {
        Ok(())
    }

    /// Checks that the records that were read are of the topic that was opened: asked once before a flush is written, after all
    /// of its records were read. `Lost` if they aren't. May block while the server answers.
    fn still_same(&self) -> Result<(), LeaseError> {
        Ok(())
    }

    /// Commits, for each partition that is this host's, the next offset to read: once the rows of everything before are written.
    /// May block while the server answers.
    fn commit(&self, next: &BTreeMap<Partition, Offset>) -> Result<(), SourceError>;
}

/// Refuses a topic that is another one than the `known`.
pub(crate) fn check_identity(topic: &str, known: &Identity, found: &Identity) -> Result<(), SourceError> {
    match known.differs(found) {
        None => Ok(()),
        Some((was, is)) => Err(SourceError::Another { topic: topic.to_owned(), was, is }),
    }
}
