//! Orders that people give to a supervisor: pin, unpin, go back, try again.

use std::sync::Arc;

use sluice_clock::now_micros;
use sluice_core::run::LifeEvent;
use sluice_runtime::World;
use tokio::sync::oneshot;

use super::{Current, Supervisor};
use crate::pipeline::deployments::{back_to, shown};
use crate::pipeline::orders::{Asked, Order, Reply};
use crate::pipeline::run::Run;
use crate::pipeline::trouble::blocking;
use crate::pipeline::{restore, tables};

impl Supervisor {
    /// Carries out an order while records flow.
    pub(super) async fn obey(&mut self, asked: Asked, run: &Run, current: &mut Current) {
        let answer = match asked.order {
            Order::Resync => return self.resync(asked.answer, run, current),
            Order::Pin if self.life.rollout.is_on_trial() => Err(format!(
                "generation {} is on trial, and may yet be rolled back: `sluice status` says when that is over, `sluice rollback \
                 {}` goes back at once",
                current.generation,
                self.status.name()
            )),
            Order::Pin => self.deployments.stay_with(restore::digests(&current.artifacts), current.generation).await,
            Order::Unpin => self.unpin(run, current).await,
            Order::RollBack { generation } => {
                let answer = self.roll_back(generation, run, current).await;
                if answer.is_ok() && self.life.rollout.is_on_trial() {
                    // The trial is over, and in the history, once the run has ended.
                    self.answers.once_recorded(asked.answer, answer);
                    return;
                }
                answer
            }
            Order::Deploy => self.deploy(run, current).await,
            Order::Start => {
                let name = self.status.name();
                Ok(format!("{name} has begun already: `sluice status` says what it does"))
            }
        };
        // Who asked may have gone.
        let _ = asked.answer.send(answer);
    }

    /// Carries out an order while nothing runs: what it asks for is what the next start opens.
    pub(super) async fn obey_at_rest(&mut self, asked: Asked) {
        let answer = match asked.order {
            Order::Resync => self.begin_again().await,
            Order::Pin => self.deployments.stay_with_what_ran().await,
            Order::Unpin => self.deployments.unpin().await,
            Order::RollBack { generation } => self.deployments.start_with(generation).await,
            Order::Deploy | Order::Start => Ok(self.try_now()),
        };
        let _ = asked.answer.send(answer);
    }

    /// Ends the run as SIGTERM does, so that the next one writes all groups.
    fn resync(&mut self, answer: oneshot::Sender<Reply>, run: &Run, current: &Current) {
        let (name, generation) = (self.status.name(), current.generation);
        let refused = if self.life.rollout.is_on_trial() {
            format!(
                "generation {generation} is on trial, and writes all groups anyway: `sluice status {name}` says when that is over"
            )
        } else if current.artifacts.values().all(|artifact| artifact.world() != World::Aggregator) {
            tables::no_groups(name)
        } else {
            self.answers.once_resynced(answer);
            self.hear(LifeEvent::Resync);
            return run.stop();
        };
        let _ = answer.send(Err(refused));
    }

    /// Has the checkpoint say that all groups are to be written again, for the next run.
    pub(super) async fn begin_again(&self) -> Reply {
        let (store, name) = (Arc::clone(&self.opener.store), self.opener.pipeline.name.clone());
        let begun = blocking(move || tables::begin_again(&name, store.as_ref())).await;
        let groups = begun.map_err(|trouble| trouble.to_string())??;
        let said = format!("all {groups} groups are written again, as somebody asked");
        tracing::info!(pipeline = self.status.name(), "{said}");
        self.status.set_tables(&said, now_micros());
        let pipeline = &self.opener.pipeline;
        let sinks: Vec<_> = pipeline.sinks.iter().map(|sink| format!("{}.{}", sink.connection, sink.table)).collect();
        Ok(format!(
            "{} writes all of its {groups} groups again, to {}; `sluice status` says that it is refreshing until that is done",
            self.status.name(),
            sinks.join(", ")
        ))
    }

    /// Takes the newest operators at a person's order. The files of the operators were just looked at.
    async fn deploy(&mut self, run: &Run, current: &mut Current) -> Reply {
        let (name, before) = (self.status.name().to_owned(), current.generation);
        if self.deployments.pinned().is_some() {
            return Err(format!("{name} is pinned: `sluice unpin {name}` takes what is newest"));
        }
        self.life.rollout.allow();
        self.swap(run, current).await;
        let (generation, runs) = (current.generation, shown(&restore::digests(&current.artifacts)));
        match self.status.refused() {
            Some(reason) => {
                Err(format!("{name} goes on with generation {generation}; what is newest is refused: {reason}"))
            }
            None if generation > before => {
                Ok(format!("{name} takes what is newest: generation {generation} runs ({runs})"))
            }
            None => Ok(format!("{name} runs what is newest: generation {generation} ({runs})")),
        }
    }

    fn try_now(&mut self) -> String {
        self.life.rollout.allow();
        format!("{} starts from its checkpoint; `sluice status` says how that goes", self.status.name())
    }

    async fn unpin(&mut self, run: &Run, current: &mut Current) -> Reply {
        if self.deployments.pinned().is_none() && self.life.rollout.refused().is_some() {
            return self.deploy(run, current).await;
        }
        let before = current.generation;
        let answer = self.deployments.unpin().await?;
        self.life.rollout.allow();
        self.swap(run, current).await;
        Ok(match self.status.refused() {
            Some(reason) => format!("{answer}; what is newest is refused: {reason}"),
            None if current.generation > before => {
                let runs = shown(&restore::digests(&current.artifacts));
                format!("{answer}; generation {} runs ({runs})", current.generation)
            }
            None => format!("{answer}; that is what runs"),
        })
    }

    /// Rolls back to an earlier generation, and pins the pipeline to it: the newer file, which is still in the directory, would be taken
    /// over at once.
    async fn roll_back(&mut self, generation: Option<u64>, run: &Run, current: &mut Current) -> Reply {
        let running = restore::digests(&current.artifacts);
        let (back, artifacts) = self.deployments.roll_back_to(running, generation).await?;
        self.cut_over(run, current, artifacts, Some(back_to(back.generation))).await?;
        let name = self.status.name().to_owned();
        let pinned = self.deployments.pin(Some(back.operators.clone())).await;
        pinned.map_err(|reason| format!("{name} is rolled back, and can't be pinned to that: {reason}"))?;
        self.status.set_refused(self.deployments.passed_over(&self.deployments.glance()));
        let (to, runs) = (back.generation, shown(&back.operators));
        // What is on trial is not replaced, but forgotten: those before it go on from their checkpoint.
        let how = if restore::digests(&current.artifacts) == back.operators {
            format!("runs the operators of generation {to} again, as generation {} ({runs}),", current.generation)
        } else {
            format!("goes back to generation {to} ({runs}) and its checkpoint,")
        };
        Ok(format!(
            "{name} {how} and is pinned to them: else the newer file would be taken over at once. `sluice unpin {name}` takes \
             what is newest"
        ))
    }
}
