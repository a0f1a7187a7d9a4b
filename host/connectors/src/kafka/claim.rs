//! A run's claim on a share: what it may write, and what it commits.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use sluice_clock::Stopwatch;
use sluice_core::share::{Lease, Share, Want};

use super::standing::{MemberClient, Shared};
use super::topic::code_of;
use crate::source::{LeaseError, SourceError};

/// Held by everything that reads or writes on a share; the last one to go lets the share go.
pub(super) struct Claim {
    shared: Arc<Shared>,
    share: Share,
    lease: Mutex<Lease>,
    /// The moment that the lease's times are counted from. It goes on while the process is stopped.
    begun: Stopwatch,
}

impl Claim {
    /// Wraps a share that was counted as claimed.
    pub fn new(shared: Arc<Shared>, share: Share) -> Claim {
        let lease = Mutex::new(Lease::new(shared.session));
        Claim { shared, share, lease, begun: Stopwatch::start() }
    }

    pub fn share(&self) -> &Share {
        &self.share
    }

    pub fn want(&self) -> Want {
        self.shared.want
    }

    /// The client that is the member.
    pub fn client(&self) -> Result<Arc<MemberClient>, SourceError> {
        self.shared.client().ok_or_else(|| SourceError::Unavailable(self.lost("this host left the group")))
    }

    /// Checks that rows of this share may be written now; asks the group unless it answered lately, by committing `told` again,
    /// which only a member can.
    pub fn may_write(&self, told: &TopicPartitionList) -> Result<(), LeaseError> {
        if !self.is_mine() {
            return Err(LeaseError::Lost(self.lost("others may have them")));
        }
        if self.lease.lock().unwrap_or_else(PoisonError::into_inner).holds(self.begun.elapsed()) {
            return Ok(());
        }
        match self.commit(told) {
            Ok(()) if self.is_mine() => Ok(()),
            Ok(()) => Err(LeaseError::Lost(self.lost("others may have them"))),
            Err(error) if is_loss(&error) => Err(LeaseError::Lost(self.lost(&error.to_string()))),
            Err(error) => {
                let Shared { brokers, group, .. } = self.shared.as_ref();
                Err(LeaseError::Unknown(format!(
                    "Kafka at {brokers} doesn't say whether this host still has its partitions in the group {group}: {error}"
                )))
            }
        }
    }

    /// Commits as a member; the answer renews the lease.
    pub fn commit(&self, offsets: &TopicPartitionList) -> Result<(), KafkaError> {
        let lost = || KafkaError::ConsumerCommit(RDKafkaErrorCode::AssignmentLost);
        let client = self.shared.client().ok_or_else(lost)?;
        let asked = self.begun.elapsed();
        client.commit(offsets, CommitMode::Sync)?;
        // A group without members takes anybody's commits. One that lost its membership has this flag up before it is told.
        if client.assignment_lost() {
            return Err(lost());
        }
        self.lease.lock().unwrap_or_else(PoisonError::into_inner).confirm(asked);
        Ok(())
    }

    fn is_mine(&self) -> bool {
        self.shared.look(|now| now.part.may_write(self.share.epoch))
    }

    fn lost(&self, why: &str) -> String {
        let Shared { topic, group, .. } = self.shared.as_ref();
        format!("this host's partitions of {topic} in the group {group} are no longer its own: {why}")
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.released();
    }
}

/// Says whether the group says that this host is no member (of this generation) any more.
fn is_loss(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AssignmentLost, FencedInstanceId, IllegalGeneration, UnknownMemberId};
    matches!(code_of(error), AssignmentLost | FencedInstanceId | IllegalGeneration | UnknownMemberId)
}
