//! Share of one host in a topic that several hosts may read as the same consumer group.
//!
//! The group hands partitions out and asks for them back. This module decides what follows, as values only; a connector
//! tells the group, waits and writes.
//!
//! ```text
//!             given                      asked back               gave back
//!  Joining ───────────▶ Has(share n) ───────────────▶ GivingBack ───────────▶ Has(share n+1) | Joining
//!     ▲                    │  lost: nobody waits, and share n may write nothing more
//!     └────────────────────┘
//! ```
//!
//! - **A share is a lease for writing.** A run works on one [`Share`]. While its partitions are asked back it may still write,
//!   so that what was read of them is in the tables before another host begins; from then on it may not
//!   ([`Part::may_write`]).
//! - **A fold wants all partitions, or none** ([`Want::Whole`]): its totals are of the whole topic, and each row is the work
//!   of one host. Of several that joined at once the first stays and the others leave ([`verdict`]).
//! - **A partition that comes back** is read from the group's commit ([`resume_at`]). Commits are made once rows are written, so that
//!   nothing before one is missing in the tables; what comes after it, another host may have begun to write again.

mod lease;
mod verdict;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use lease::Lease;
pub use verdict::{Peer, Verdict, verdict};

use crate::{Offset, Partition};

/// Partitions that a pipeline can work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Any number of partitions: each row of the pipeline comes from a single record.
    Any,
    /// Every partition of the topic, or none: its rows are of all records.
    Whole,
}

/// The partitions that a host may read, and write the rows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Number of the share: it grows with each change of this host's partitions.
    pub epoch: u64,
    /// Partitions of the share.
    pub partitions: BTreeSet<Partition>,
    /// True if no other host was seen in the group: the group's commits are then old, or this host's own.
    pub alone: bool,
}

/// Standing of a host in its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The host doesn't have the partitions that it needs yet.
    Joining,
    /// The host may read these partitions and write their rows.
    Has(Share),
    /// The group asks for the partitions back: the host writes the rows of the records that it read, and lets go.
    GivingBack,
    /// Other hosts have the partitions that this host needs. The sentence names them.
    Held(String),
    /// The group doesn't accept the host. The sentence says what to change.
    Refused(String),
}

impl Standing {
    /// Returns true if a run on the share of this epoch may go on.
    pub fn is_of(&self, epoch: u64) -> bool {
        matches!(self, Standing::Has(share) if share.epoch == epoch)
    }
}

/// A host's part in its group, from event to event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    want: Want,
    mine: BTreeSet<Partition>,
    /// Number of partitions of the topic; none if it was not counted since the last change.
    total: Option<usize>,
    /// True if the topic's partitions are to be counted (again).
    uncounted: bool,
    epoch: u64,
    /// Shares before this epoch may write nothing more.
    barred: u64,
    giving_back: bool,
    alone: bool,
    begun: bool,
}

impl Part {
    /// Makes the part of a host that has no partitions yet.
    pub fn new(want: Want) -> Part {
        let mine = BTreeSet::new();
        Part {
            want,
            mine,
            total: None,
            uncounted: false,
            epoch: 0,
            barred: 0,
            giving_back: false,
            alone: true,
            begun: false,
        }
    }

    /// Notes that the group gave partitions, maybe none.
    pub fn given(&mut self, partitions: impl IntoIterator<Item = Partition>) {
        let before = self.mine.len();
        self.mine.extend(partitions);
        if self.mine.len() != before {
            self.change();
        }
        self.uncounted = true;
    }

    /// Notes the number of partitions of the topic, as of the last change.
    pub fn counted(&mut self, total: usize) {
        self.total = Some(total);
        self.uncounted = false;
        // Whoever isn't given everything at first shares with others, or is about to.
        if self.want == Want::Any && !std::mem::replace(&mut self.begun, true) {
            self.alone &= self.mine.len() == total;
        }
    }

    /// Notes that another host, or another consumer, is in the group.
    pub fn saw_others(&mut self) {
        self.alone = false;
    }

    /// Returns true if no other member of the group was seen.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Notes that the group asks for partitions back: runs end after a last flush.
    pub fn asked_back(&mut self) {
        self.giving_back = true;
    }

    /// Lets go of these partitions. Rows of the records that were read from them are written by now, or may not be written any
    /// more.
    pub fn gave_back(&mut self, partitions: impl IntoIterator<Item = Partition>) {
        for partition in partitions {
            self.mine.remove(&partition);
        }
        // What was given back, others may read on.
        self.alone &= self.want == Want::Whole;
        self.change();
        self.barred = self.epoch;
        self.giving_back = false;
    }

    /// Notes that the group has already given all partitions to others.
    pub fn lost(&mut self) {
        let all = std::mem::take(&mut self.mine);
        self.gave_back(all);
        self.alone = false;
    }

    fn change(&mut self) {
        self.epoch += 1;
        self.total = None;
        self.uncounted = true;
    }

    /// Returns true if the caller should count the partitions and call [`Part::counted`].
    pub fn is_uncounted(&self) -> bool {
        self.uncounted
    }

    /// Returns true if the host lacks the partitions that it needs: all of them for a fold, at least one otherwise.
    pub fn lacks(&self) -> bool {
        match self.want {
            Want::Any => self.mine.is_empty(),
            Want::Whole => self.mine.is_empty() || self.total.is_none_or(|total| self.mine.len() < total),
        }
    }

    /// Returns true if rows of the share of this epoch may still be written.
    pub fn may_write(&self, epoch: u64) -> bool {
        epoch >= self.barred && epoch <= self.epoch
    }

    /// Returns the standing that follows for runs.
    pub fn standing(&self) -> Standing {
        if self.giving_back {
            Standing::GivingBack
        } else if self.lacks() || self.total.is_none() {
            Standing::Joining
        } else {
            Standing::Has(Share { epoch: self.epoch, partitions: self.mine.clone(), alone: self.alone })
        }
    }
}

/// Returns the offset at which to read a partition that other hosts may have read meanwhile: the group's commit, also where the own
/// checkpoint is later. Between the two, another host may have written older rows again, and removed the letters of records that it
/// was to read again.
pub fn resume_at(checkpoint: Option<Offset>, committed: Option<Offset>) -> Option<Offset> {
    committed.or(checkpoint)
}
