//! The retrier: the task that finds the letters which people marked, and has the lane take their records in again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use sluice_clock::Stopwatch;
use sluice_connectors::letters::{Filter, Letterbox};
use sluice_connectors::sink::SinkError;
use sluice_core::Partition;
use sluice_core::dead_letter::{DeadLetter, LetterId, MAX_HELD_BYTES, WITHOUT_RECORD};
use sluice_core::run::Retry;
use tokio::sync::watch;

use crate::meters::Meter;
use crate::pipeline::lane::Control;
use crate::pipeline::status::Status;

/// Time between two searches for marked letters. Shorter: a query of the table for nothing. Longer: people wait for their retry.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Time between two checks whether somebody put letters into the place of a pipeline that has none. The pipeline knows of its own
/// letters without a check. Shorter: a hundred pipelines ask for nothing all the time. Longer: people who restore a table wait.
const LOOK_FOR_ANY_EVERY: Duration = Duration::from_secs(60);

/// Finds marked letters and hands them to the lane, a few at a time.
pub struct Retrier {
    pub letters: Box<dyn Letterbox>,
    pub control: Sender<Control>,
    pub status: Arc<Status>,
    /// Topic and partitions of this host, if other hosts have the remaining partitions and take care of their letters.
    pub share: Option<(String, BTreeSet<Partition>)>,
    pub ending: watch::Receiver<bool>,
    pub any: AnyLetters,
    /// Receiver of the changes of [`RetryState`](super::RetryState).
    pub heard: watch::Receiver<(u64, u64)>,
    /// The number of retries that were asked for.
    pub asked: u64,
}

/// Knowledge about whether the pipeline has letters.
#[derive(Debug, Default)]
pub struct AnyLetters {
    seen: bool,
    looked: Option<Stopwatch>,
}

impl Retrier {
    /// Runs until the lane is gone, or the host is asked to end.
    pub async fn run(mut self) {
        let mut said = None;
        while !*self.ending.borrow() {
            match self.marked().await {
                Ok(letters) if !letters.is_empty() => {
                    let Some(done) = self.retry(letters).await else { return };
                    if done {
                        continue;
                    }
                }
                Ok(_) => self.nothing_to_retry(),
                // Said once: whoever writes letters holds the pipeline for the same reason.
                Err(error) => {
                    // What waiting doesn't mend, a run that is to end must not wait for.
                    if !matches!(error, SinkError::Unavailable(_)) {
                        self.nothing_to_retry();
                    }
                    let reason = error.to_string();
                    if said.replace(reason.clone()).as_ref() != Some(&reason) {
                        tracing::warn!(pipeline = self.status.name(), "can't look for letters to retry: {reason}");
                    }
                }
            }
            // A change of `ending` cuts the wait short; its sender outlives every pipeline.
            let _ = tokio::time::timeout(LOOK_EVERY, self.ending.changed()).await;
        }
    }

    /// Hands letters to the lane; says whether they were driven through, or that the lane is gone.
    async fn retry(&mut self, letters: Vec<DeadLetter>) -> Option<bool> {
        self.asked += 1;
        let id = self.asked;
        self.control.send(Control::Retry(Retry { id, letters })).ok()?;
        let heard = self.heard.wait_for(|(done, later)| *done == id || *later == id).await;
        heard.ok().map(|state| state.0 == id)
    }

    fn nothing_to_retry(&self) {
        // A lane that is gone needn't know.
        let _ = self.control.send(Control::NothingToRetry);
    }

    /// Returns the first marked letters with all of their records, as many as may be held.
    async fn marked(&mut self) -> Result<Vec<DeadLetter>, SinkError> {
        if !self.has_letters().await? {
            return Ok(Vec::new());
        }
        let filter = Filter { pipeline: Some(self.status.name().to_owned()), retry: Some(true), ..Filter::default() };
        let (mut marked, mut bytes) = (Vec::new(), 0);
        for found in self.letters.find(&filter, None).await? {
            // One without its record would only lose the reason that it has.
            if !self.is_mine(&found.letter.id) || found.letter.reason.starts_with(WITHOUT_RECORD) {
                continue;
            }
            if bytes >= MAX_HELD_BYTES {
                break;
            }
            // One by one, a thousand letters take a server seconds.
            let letter = if found.is_whole() { Some(found.letter) } else { self.letters.read(&found.place()).await? };
            bytes += letter.as_ref().map_or(0, DeadLetter::bytes);
            marked.extend(letter);
        }
        Ok(marked)
    }

    /// Returns true if the pipeline has letters, marked or not: letters from before the start, or letters that it made since.
    async fn has_letters(&mut self) -> Result<bool, SinkError> {
        self.any.seen |= self.status.meters.dead_letters.read() > 0;
        if !self.any.seen && self.any.looked.is_none_or(|at| at.elapsed() >= LOOK_FOR_ANY_EVERY) {
            let filter = Filter { pipeline: Some(self.status.name().to_owned()), ..Filter::default() };
            self.any.seen = !self.letters.find(&filter, None).await?.is_empty();
            self.any.looked = Some(Stopwatch::start());
        }
        Ok(self.any.seen)
    }

    /// Returns true if this host takes care of the letter. Any host may take care of a letter from a topic that was read before.
    fn is_mine(&self, letter: &LetterId) -> bool {
        let share = self.share.as_ref().filter(|(topic, _)| *topic == letter.topic);
        share.is_none_or(|(_, partitions)| partitions.contains(&letter.partition))
    }
}
