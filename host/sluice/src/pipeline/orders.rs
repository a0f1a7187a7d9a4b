//! Orders that people give to a pipeline, and the answers to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::status::Status;

/// Number of orders that may wait while a pipeline carries one out. With more, an order could be carried out long after the
/// person who gave it has gone.
const QUEUE: usize = 4;

/// Order to a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Go back to the operators of this generation, or to the last good ones before the ones that run, and stay with them.
    RollBack { generation: Option<u64> },
    /// Stay with the operators that run, whatever else is deployed.
    Pin,
    /// Take the newest operators again.
    Unpin,
    /// Write all groups again.
    Resync,
    /// Try now to take the newest operators, whatever they were refused for.
    Deploy,
    /// Try now to go on from the checkpoint.
    Start,
}

/// Answer to an order: what was done, or why nothing was done; a sentence either way.
pub type Reply = Result<String, String>;

/// Order, with the receiver of its answer.
pub struct Asked {
    pub order: Order,
    pub answer: oneshot::Sender<Reply>,
}

/// Access to a running pipeline for the rest of the host.
#[derive(Clone)]
pub struct Handle {
    pub status: Arc<Status>,
    /// Operators that the pipeline names.
    pub operators: Arc<BTreeSet<String>>,
    orders: mpsc::Sender<Asked>,
}

impl Handle {
    /// Makes the handle of a pipeline that is to begin, and the receiver from which its supervisor takes the orders.
    pub fn new(pipeline: &str, operators: BTreeSet<String>) -> (Handle, mpsc::Receiver<Asked>) {
        let (orders, asked) = mpsc::channel(QUEUE);
        (Handle { status: Arc::new(Status::new(pipeline)), operators: Arc::new(operators), orders }, asked)
    }

    /// Gives the order; returns once it is carried out or refused.
    pub async fn ask(&self, order: Order) -> Reply {
        let gone = || "the pipeline ended meanwhile, as its file changed or the service ends; ask again".to_owned();
        let (answer, answered) = oneshot::channel();
        self.orders.send(Asked { order, answer }).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}
