//! Waits of a pipeline whose operator is at fault, whatever the records: it waits, longer each time, or for another file of the
//! operator, and goes on from the checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_core::checkpoint::Checkpoint;
use sluice_core::interval::Intervals;
use tokio::sync::mpsc;

use super::assemble;
use super::giving_up::asked_to_end;
use super::orders::Asked;
use super::status::State;
use super::supervisor::{Ended, Supervisor};

impl Supervisor {
    /// Waits with the operator disabled; answers how the pipeline ended, if it is not to go on.
    pub(super) async fn disabled(&mut self, reason: String, orders: &mut mpsc::Receiver<Asked>) -> Option<Ended> {
        self.rest(reason, "operator disabled, tried again after the wait", orders).await
    }

    /// Waits like [`Supervisor::disabled`] after a part of the host died in the pipeline, which is a defect.
    pub(super) async fn died(&mut self, reason: String, orders: &mut mpsc::Receiver<Asked>) -> Option<Ended> {
        let reason = format!("{reason}; this is a defect of the host, and the pipeline goes on from its checkpoint");
        self.rest(reason, "disabled, goes on after the wait", orders).await
    }

    async fn rest(&mut self, reason: String, what: &str, orders: &mut mpsc::Receiver<Asked>) -> Option<Ended> {
        let wait = self.disablings.wait(&self.consumed().await);
        if self.status.set(State::Disabled, Some(reason.clone())) {
            tracing::error!(pipeline = self.status.name(), ?wait, "{what}: {reason}");
        }
        if self.until_caught_up {
            return Some(Ended::Fault(reason));
        }
        let before = self.deployed_digests();
        let over = tokio::time::Instant::now() + wait;
        loop {
            tokio::select! {
                changed = self.operators.changed() => {
                    if changed.is_err() {
                        return Some(Ended::Fault(reason));
                    }
                    if self.deployed_digests() != before {
                        self.disablings.forget();
                        return None;
                    }
                }
                () = tokio::time::sleep_until(over) => return None,
                () = asked_to_end(&mut self.ending) => return Some(Ended::Well),
                // Who sends an order wants to see what comes of it.
                Some(asked) = orders.recv() => {
                    self.obey_at_rest(asked).await;
                    return None;
                }
            }
        }
    }

    /// Returns the intervals that the pipeline's checkpoint covers; empty if there is no checkpoint or it can't be read.
    pub(super) async fn consumed(&self) -> Intervals {
        self.head().await.map(|head| head.intervals).unwrap_or_default()
    }

    /// The head of the pipeline's checkpoint, if there is one that can be read.
    pub(super) async fn head(&self) -> Option<Checkpoint> {
        let (store, name) = (Arc::clone(&self.store), self.pipeline.name.clone());
        let head = tokio::task::spawn_blocking(move || store.head(&name)).await;
        head.ok().and_then(Result::ok).flatten()
    }

    /// The digests of the files of the pipeline's operators.
    fn deployed_digests(&self) -> BTreeMap<String, String> {
        let deployed = self.operators.borrow();
        let digest = |name: &str| Some((name.to_owned(), deployed.artifacts.get(name)?.digest().to_string()));
        assemble::operator_names(&self.pipeline).filter_map(digest).collect()
    }
}
