//! Effects of a pipeline's life: the things that are to be done between its runs.

use std::time::Duration;

use crate::deploy::{Deployment, Operators};

/// Something that is to be done next. While one is performed, [`LifeEvent::Ending`](super::LifeEvent::Ending) may come instead of its
/// answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifeEffect {
    /// Wait. Answered by [`LifeEvent::Waited`](super::LifeEvent::Waited), `Came`, `Gone` or `Obeyed`.
    Wait(Wait),
    /// Look which operators may be opened. Answered by [`LifeEvent::Looked`](super::LifeEvent::Looked) or `Obeyed`.
    Look,
    /// Open a run of these operators from the checkpoint: source, chain, sinks. Answered by
    /// [`LifeEvent::Opened`](super::LifeEvent::Opened), `NotOpened`, `NotKept` or `Obeyed`.
    Open(Operators),
    /// Let what is open work until it ends. Answered by [`LifeEvent::Ended`](super::LifeEvent::Ended) or `NotBegun`.
    Run,
    /// Write down what became of operators, since a run has ended, and then answer the orders that wait for the end. Answered by
    /// [`LifeEvent::Done`](super::LifeEvent::Done).
    Record {
        /// The things that became of operators.
        deployments: Vec<Deployment>,
        /// True if all that was read is flushed.
        flushed: bool,
    },
    /// Give the group a moment to say which partitions this host has now. Answered by [`LifeEvent::Done`](super::LifeEvent::Done).
    Settle,
    /// Forget the states, so that the next run begins without a checkpoint. Answered by
    /// [`LifeEvent::Forgotten`](super::LifeEvent::Forgotten).
    Forget,
    /// Have the checkpoint say that all groups are to be written again, and answer the orders that asked for that. Answered by
    /// [`LifeEvent::Done`](super::LifeEvent::Done).
    Resync,
    /// Look what the checkpoint covers. Answered by [`LifeEvent::Located`](super::LifeEvent::Located).
    Locate,
    /// Leave the group, so that other hosts take over at once. Answered by [`LifeEvent::Done`](super::LifeEvent::Done).
    Leave,
    /// The pipeline has ended.
    End(Ended),
}

impl LifeEffect {
    /// Says whether it may be left unperformed, once the pipeline is asked to end or an order was carried out.
    pub fn may_be_left(&self) -> bool {
        matches!(self, LifeEffect::Wait(_) | LifeEffect::Look | LifeEffect::Open(_))
    }

    /// Says whether orders are carried out meanwhile, of which the first is a reason to leave it.
    pub fn hears_orders(&self) -> bool {
        match self {
            LifeEffect::Wait(wait) => wait.orders,
            effect => effect.may_be_left(),
        }
    }
}

/// A wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Thing that ends the wait.
    pub awaited: Awaited,
    /// The longest that it lasts; none if there is no such bound.
    pub at_most: Option<Duration>,
    /// True if an order ends it.
    pub orders: bool,
}

/// Thing that a wait is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// Passing of time, and nothing else.
    Time,
    /// Knowledge, of every operator that the pipeline names, whether it is deployed.
    Known,
    /// Deployment for this pipeline or another.
    Deployment,
    /// Deployment of other files for the pipeline's operators than there were at the beginning of the wait.
    OtherOperators,
    /// Change of this host's place in the group from the one with these words, or a deployment.
    Turn(String),
    /// End of the run that a supervisor began before it died: until then, that run may write.
    OldRun,
}

/// The end of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// End of a pipeline that was asked to end, or of a backfill that has read all.
    Well,
    /// End at a fault that nobody mended.
    Fault(String),
}
