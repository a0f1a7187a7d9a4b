//! Records that a run has taken and not yet processed, and its waits for servers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::backoff::Backoff;
use crate::dead_letter::{DeadLetter, RetriedRecords};
use crate::records::Records;

/// The number of records that are taken in again in one call. Fewer: more calls of operators. More: letters whose records are all
/// at fault still, and that only with a limit of time, would disable the operator.
const RETRIED_AT_ONCE: usize = 8;

/// Records of which those before `next` are processed.
pub(super) struct InHand {
    pub(super) records: Arc<dyn Records>,
    pub(super) next: usize,
    /// True if the records were left out before, and are driven through again.
    pub(super) retried: bool,
}

/// The records in hand, and the time until which nothing is done about them.
pub(super) struct Intake {
    batch_rows: usize,
    in_hand: VecDeque<InHand>,
    until: Option<Duration>,
    /// The waits for the servers and the store that the chain asks.
    chain: Backoff,
    /// The waits for the source, which waits for its server by itself.
    source: Backoff,
    /// The source has said that it is away.
    pub(super) source_away: bool,
    /// The time at which the source was asked last where it ends.
    pub(super) asked: Option<Duration>,
}

impl Intake {
    pub(super) fn new(batch_rows: usize, seed: u64) -> Intake {
        Intake {
            batch_rows,
            in_hand: VecDeque::new(),
            until: None,
            chain: Backoff::new(seed),
            source: Backoff::new(seed.wrapping_add(1)),
            source_away: false,
            asked: None,
        }
    }

    /// The most rows of a call for these.
    pub(super) fn rows_at_once(&self, hand: &InHand) -> usize {
        if hand.retried { RETRIED_AT_ONCE } else { self.batch_rows }
    }

    /// Records came from the source.
    pub(super) fn polled(&mut self, records: Box<dyn Records>) {
        self.in_hand.push_back(InHand { records: Arc::from(records), next: 0, retried: false });
    }

    /// Letters are to be driven through again.
    pub(super) fn retried(&mut self, letters: Vec<DeadLetter>) {
        let records = RetriedRecords::by_topic(letters).into_iter();
        self.in_hand.extend(records.map(|records| InHand { records: Arc::new(records), next: 0, retried: true }));
    }

    /// Takes what is to be processed next; [`Intake::back`] gives it back.
    pub(super) fn take(&mut self) -> Option<InHand> {
        self.in_hand.pop_front()
    }

    pub(super) fn back(&mut self, hand: InHand) {
        self.in_hand.push_front(hand);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_hand.is_empty()
    }

    /// A server of the chain is away: nothing is done for a while, longer each time.
    pub(super) fn hold_for_chain(&mut self, now: Duration) {
        self.until = Some(now + self.chain.wait());
    }

    /// The source is away: nothing is done for a while.
    pub(super) fn hold_for_source(&mut self, now: Duration) {
        self.source.answered();
        // Never sooner than the chain's servers are to be asked.
        self.until = self.until.max(Some(now + self.source.wait()));
        self.source_away = true;
    }

    /// The chain's servers have answered; says whether one was away.
    pub(super) fn chain_answered(&mut self) -> bool {
        self.chain.answered()
    }

    /// The time for which nothing is to be done yet.
    pub(super) fn held_for(&mut self, now: Duration) -> Option<Duration> {
        let left = self.until?.saturating_sub(now);
        if left.is_zero() {
            self.until = None;
            return None;
        }
        Some(left)
    }
}
