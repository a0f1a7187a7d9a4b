//! Answers to orders, which wait until the run has ended.

use tokio::sync::oneshot;

use super::orders::Reply;

/// Senders of orders that have ended the run; each waits for what comes of its order.
#[derive(Default)]
pub struct Answers {
    /// Answers that are sent once it is recorded what came of the run.
    recorded: Vec<(oneshot::Sender<Reply>, Reply)>,
    /// Senders of orders to write all groups again, which begins when the run has ended.
    resyncs: Vec<oneshot::Sender<Reply>>,
}

impl Answers {
    /// Keeps an answer until it is recorded what came of the run.
    pub fn once_recorded(&mut self, to: oneshot::Sender<Reply>, answer: Reply) {
        self.recorded.push((to, answer));
    }

    /// Keeps a sender until it is known what came of its order to write all groups again.
    pub fn once_resynced(&mut self, to: oneshot::Sender<Reply>) {
        self.resyncs.push(to);
    }

    /// Sends the answers that waited until it was recorded what came of the run.
    pub fn recorded(&mut self) {
        for (to, answer) in self.recorded.drain(..) {
            // Who asked may have gone.
            let _ = to.send(answer);
        }
    }

    /// Sends the answer to all orders to write groups again: they are to be, or can't be.
    pub fn resynced(&mut self, answer: &Reply) {
        for to in self.resyncs.drain(..) {
            let _ = to.send(answer.clone());
        }
    }
}
