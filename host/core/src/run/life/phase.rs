//! The steps of a pipeline's life.

use std::time::Duration;

use super::effect::{Awaited, Ended, LifeEffect, Wait};
use super::event::Candidates;
use super::report::Culprit;
use crate::deploy::{Deployment, Operators};
use crate::run::End;

/// The step that a life is at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Operators may be known soon: their code is mostly kept from before.
    #[default]
    Begins,
    Looks,
    /// Wait until it is known of this operator whether it is deployed.
    Unread {
        operator: String,
        said: bool,
    },
    /// No operators can be run.
    Without(String),
    Opens(Opening),
    Away(Duration),
    Held(String),
    Runs,
    Records {
        deployments: Vec<Deployment>,
        end: End,
        forgets: bool,
    },
    Forgets,
    Settles(End),
    /// Groups are to be written again after this end of a run; none after the run of a supervisor that died.
    Resyncs(Option<End>),
    Locates(Rest),
    Leaves(Box<Phase>),
    Rests(Rest, Duration),
    OldRun,
    Over(Ended),
}

/// The operators that a run is opened with, and from among which they are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) operators: Operators,
    pub(super) candidates: Candidates,
    /// True if the rollout was told of these candidates already.
    pub(super) chosen: bool,
}

/// The reason why nothing is to run for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rest {
    Replaced,
    Disabled(Culprit, String),
    Stopped(String),
}

impl Phase {
    /// Says whether a pipeline that is asked to end may leave this unfinished.
    pub(super) fn gives_way(&self) -> bool {
        match self {
            Phase::Begins
            | Phase::Looks
            | Phase::Unread { .. }
            | Phase::Without(_)
            | Phase::Opens(_)
            | Phase::Away(_)
            | Phase::Held(_)
            | Phase::Rests(..)
            | Phase::OldRun => true,
            Phase::Runs
            | Phase::Records { .. }
            | Phase::Forgets
            | Phase::Settles(_)
            | Phase::Resyncs(_)
            | Phase::Locates(_)
            | Phase::Leaves(_)
            | Phase::Over(_) => false,
        }
    }

    /// Says whether an order is carried out meanwhile, after which the phase is left for a new look.
    pub(super) fn hears_orders(&self) -> bool {
        self.gives_way() && !matches!(self, Phase::Begins | Phase::OldRun | Phase::Rests(Rest::Replaced, _))
    }

    pub(super) fn wait(&self, awaited: Awaited, at_most: Option<Duration>) -> LifeEffect {
        LifeEffect::Wait(Wait { awaited, at_most, orders: self.hears_orders() })
    }
}

impl Rest {
    /// Returns the rest after something of the host died in the pipeline, which is a defect.
    pub(super) fn died(reason: &str) -> Rest {
        let reason = format!("{reason}; this is a defect of the host, and the pipeline goes on from its checkpoint");
        Rest::Disabled(Culprit::Host, reason)
    }
}

/// Leaves the group before this phase.
pub(super) fn leaves(next: Phase) -> Phase {
    Phase::Leaves(Box::new(next))
}

/// Ends the pipeline, which leaves the group before that.
pub(super) fn ends(ended: Ended) -> Phase {
    leaves(Phase::Over(ended))
}
