//! What people order a pipeline to do, and how they hear what came of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::status::Status;

/// How many orders may wait while a pipeline carries one out. More would be carried out long after whoever gave them has gone.
const QUEUE: usize = 4;

/// What a pipeline is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Go back to the operators of this generation, or to the last good ones before those that run, and stay with them.
    RollBack { generation: Option<u64> },
    /// Stay with the operators that run, whatever else is deployed.
    Pin,
    /// Take what is newest again.
    Unpin,
    /// Write all groups again.
    Resync,
    /// Try now to take what is newest, whatever it was refused for.
    Deploy,
    /// Try now to go on from the checkpoint.
    Start,
}

/// What was done, or why nothing was: a sentence either way.
pub type Answer = Result<String, String>;

/// An order, and who waits for its answer.
pub struct Asked {
    pub order: Order,
    pub answer: oneshot::Sender<Answer>,
}

/// A running pipeline, as others see it.
#[derive(Clone)]
pub struct Handle {
    pub status: Arc<Status>,
    /// The operators that it names.
    pub operators: Arc<BTreeSet<String>>,
    orders: mpsc::Sender<Asked>,
}

impl Handle {
    /// Of a pipeline that is to begin; its supervisor takes the orders.
    pub fn new(pipeline: &str, operators: BTreeSet<String>) -> (Handle, mpsc::Receiver<Asked>) {
        let (orders, asked) = mpsc::channel(QUEUE);
        (Handle { status: Arc::new(Status::new(pipeline)), operators: Arc::new(operators), orders }, asked)
    }

    /// Gives the order; returns once it is carried out or refused.
    pub async fn ask(&self, order: Order) -> Answer {
        let gone = || "the pipeline ended meanwhile, as its file changed or the service ends; ask again".to_owned();
        let (answer, answered) = oneshot::channel();
        self.orders.send(Asked { order, answer }).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}
