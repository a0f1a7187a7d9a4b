//! Who waits until the run has ended for the answer to an order.

use tokio::sync::oneshot;

use super::orders::Reply;

/// Those who wait, each for what comes of an order that has ended the run.
#[derive(Default)]
pub struct Answers {
    /// They are told this once it is recorded what came of the run.
    recorded: Vec<(oneshot::Sender<Reply>, Reply)>,
    /// They asked that all groups be written again, which begins when the run has ended.
    resyncs: Vec<oneshot::Sender<Reply>>,
}

impl Answers {
    /// Tells this once it is recorded what came of the run.
    pub fn once_recorded(&mut self, to: oneshot::Sender<Reply>, answer: Reply) {
        self.recorded.push((to, answer));
    }

    /// Tells what comes of it when all groups are to be written again.
    pub fn once_resynced(&mut self, to: oneshot::Sender<Reply>) {
        self.resyncs.push(to);
    }

    /// The run has ended, and what came of it is recorded.
    pub fn recorded(&mut self) {
        for (to, answer) in self.recorded.drain(..) {
            // Who asked may have gone.
            let _ = to.send(answer);
        }
    }

    /// All groups are to be written again, or can't be.
    pub fn resynced(&mut self, answer: &Reply) {
        for to in self.resyncs.drain(..) {
            let _ = to.send(answer.clone());
        }
    }
}
