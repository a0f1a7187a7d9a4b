//! What a supervisor does that people ask for: pin, unpin, go back, try again.

use std::sync::Arc;

use sluice_core::deploy::Operators;
use sluice_runtime::World;
use tokio::sync::oneshot;

use super::{Current, Supervisor, needed};
use crate::operators::{Artifacts, Deployed};
use crate::pipeline::clock::now_micros;
use crate::pipeline::deployments::{back_to, short, shown};
use crate::pipeline::orders::{Answer, Asked, Order};
use crate::pipeline::run::Run;
use crate::pipeline::trouble::blocking;
use crate::pipeline::{assemble, restore, tables};

impl Supervisor {
    /// Carries out an order while records flow.
    pub(super) async fn obey(&mut self, asked: Asked, run: &Run, current: &mut Current) {
        let answer = match asked.order {
            Order::Resync => return self.resync(asked.answer, run, current),
            Order::Pin if self.rollout.is_on_trial() => Err(format!(
                "generation {} is on trial, and may yet be rolled back: `sluice status` says when that is over, `sluice rollback \
                 {}` goes back at once",
                current.generation,
                self.status.name()
            )),
            Order::Pin => self.pin(restore::digests(&current.artifacts), current.generation).await,
            Order::Unpin => self.unpin(run, current).await,
            Order::RollBack { generation } => {
                let answer = self.roll_back(generation, run, current).await;
                if answer.is_ok() && self.rollout.is_on_trial() {
                    // The trial is over, and in the history, once the run has ended.
                    self.again.answer_later(asked.answer, answer);
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
    pub(in crate::pipeline) async fn obey_at_rest(&mut self, asked: Asked) {
        let answer = match asked.order {
            Order::Resync => self.begin_again().await,
            Order::Pin => self.pin_what_ran().await,
            Order::Unpin => self.unpin_at_rest().await,
            Order::RollBack { generation } => self.start_with(generation).await,
            Order::Deploy | Order::Start => Ok(self.try_now()),
        };
        let _ = asked.answer.send(answer);
    }

    /// The run ends as it does at SIGTERM, and the next one writes all groups.
    fn resync(&mut self, answer: oneshot::Sender<Answer>, run: &Run, current: &Current) {
        let (name, generation) = (self.status.name(), current.generation);
        let refused = if self.rollout.is_on_trial() {
            format!(
                "generation {generation} is on trial, and writes all groups anyway: `sluice status {name}` says when that is over"
            )
        } else if current.artifacts.values().all(|artifact| artifact.world() != World::Aggregator) {
            tables::no_groups(name)
        } else {
            self.resyncs.push(answer);
            return run.stop();
        };
        let _ = answer.send(Err(refused));
    }

    /// The run has ended; whether somebody had asked that the next one writes all groups, and so it does.
    pub(super) async fn begin_resyncs(&mut self) -> bool {
        let asked = std::mem::take(&mut self.resyncs);
        if asked.is_empty() {
            return false;
        }
        let answer = self.begin_again().await;
        for waiting in asked {
            let _ = waiting.send(answer.clone());
        }
        true
    }

    async fn begin_again(&self) -> Answer {
        let (store, name) = (Arc::clone(&self.store), self.pipeline.name.clone());
        let begun = blocking(move || tables::begin_again(&name, store.as_ref())).await;
        let groups = begun.map_err(|trouble| trouble.to_string())??;
        let said = format!("all {groups} groups are written again, as somebody asked");
        tracing::info!(pipeline = self.status.name(), "{said}");
        self.status.set_tables(&said, now_micros());
        let sinks: Vec<_> =
            self.pipeline.sinks.iter().map(|sink| format!("{}.{}", sink.connection, sink.table)).collect();
        Ok(format!(
            "{} writes all of its {groups} groups again, to {}; `sluice status` says that it is refreshing until that is done",
            self.status.name(),
            sinks.join(", ")
        ))
    }

    /// What the pipeline is to run: what it is pinned to, else what is newest.
    pub(super) async fn wanted(&self, deployed: &Deployed) -> Result<Artifacts, String> {
        let Some(pinned) = self.deployments.pinned() else { return needed(&self.pipeline, deployed) };
        let deployed_is = |name: &str, digest: &str| {
            deployed.artifacts.get(name).is_some_and(|artifact| artifact.digest().to_string() == digest)
        };
        let stays: Operators = assemble::operator_names(&self.pipeline)
            .filter_map(|name| Some((name.to_owned(), pinned.get(name)?.clone())))
            .filter(|(name, digest)| !deployed_is(name, digest))
            .collect();
        let mut instead = deployed.clone();
        instead.artifacts.extend(self.deployments.open(stays).await?);
        needed(&self.pipeline, &instead)
    }

    /// Why what is newest doesn't run, if that is because the pipeline is pinned.
    pub(super) fn passed_over(&self, deployed: &Deployed) -> Option<String> {
        let other = |(name, digest): (&String, &String)| {
            let newest = deployed.artifacts.get(name)?.digest().to_string();
            (newest != *digest).then(|| format!("{name} {}", short(&newest)))
        };
        let newer: Vec<String> = self.deployments.pinned()?.iter().filter_map(other).collect();
        let name = self.status.name();
        (!newer.is_empty())
            .then(|| format!("the pipeline is pinned: {} waits until `sluice unpin {name}`", newer.join(", ")))
    }

    async fn pin(&mut self, operators: Operators, generation: u64) -> Answer {
        let (name, runs) = (self.status.name().to_owned(), shown(&operators));
        self.deployments.pin(Some(operators)).await?;
        Ok(format!(
            "{name} stays with generation {generation} ({runs}), whatever is deployed, until `sluice unpin {name}`"
        ))
    }

    async fn pin_what_ran(&mut self) -> Answer {
        let ran = self.deployments.running().map(|ran| (ran.operators.clone(), ran.generation));
        let (operators, generation) = ran.ok_or("nothing ran yet that the pipeline could stay with")?;
        self.pin(operators, generation).await
    }

    /// The files of its operators were just looked at.
    async fn deploy(&mut self, run: &Run, current: &mut Current) -> Answer {
        let (name, before) = (self.status.name().to_owned(), current.generation);
        if self.deployments.pinned().is_some() {
            return Err(format!("{name} is pinned: `sluice unpin {name}` takes what is newest"));
        }
        self.rollout.allow();
        self.swap(run, current).await;
        let (generation, runs) = (current.generation, shown(&restore::digests(&current.artifacts)));
        match self.status.snapshot().refused {
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
        self.rollout.allow();
        format!("{} starts from its checkpoint; `sluice status` says how that goes", self.status.name())
    }

    async fn unpin(&mut self, run: &Run, current: &mut Current) -> Answer {
        if self.deployments.pinned().is_none() && self.rollout.refused().is_some() {
            return self.deploy(run, current).await;
        }
        let before = current.generation;
        let answer = self.unpin_at_rest().await?;
        self.rollout.allow();
        self.swap(run, current).await;
        Ok(match self.status.snapshot().refused {
            Some(reason) => format!("{answer}; what is newest is refused: {reason}"),
            None if current.generation > before => {
                let runs = shown(&restore::digests(&current.artifacts));
                format!("{answer}; generation {} runs ({runs})", current.generation)
            }
            None => format!("{answer}; that is what runs"),
        })
    }

    async fn unpin_at_rest(&mut self) -> Answer {
        let name = self.status.name().to_owned();
        if self.deployments.pinned().is_none() {
            return Err(format!("{name} is not pinned"));
        }
        self.deployments.pin(None).await?;
        Ok(format!("{name} takes what is newest"))
    }

    /// Pinned to it as well: the newer file, which is still in the directory, would be taken over at once.
    async fn roll_back(&mut self, generation: Option<u64>, run: &Run, current: &mut Current) -> Answer {
        let running = restore::digests(&current.artifacts);
        let (back, artifacts) = self.deployments.roll_back_to(running, generation).await?;
        self.check_names(&back.operators)?;
        self.cut_over(run, current, artifacts, Some(back_to(back.generation))).await?;
        let name = self.status.name().to_owned();
        let pinned = self.deployments.pin(Some(back.operators.clone())).await;
        pinned.map_err(|reason| format!("{name} is rolled back, and can't be pinned to that: {reason}"))?;
        self.status.set_refused(self.passed_over(&self.operators.borrow()));
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

    async fn start_with(&mut self, generation: Option<u64>) -> Answer {
        let running = self.deployments.running().map(|running| running.operators.clone()).unwrap_or_default();
        let (back, _) = self.deployments.roll_back_to(running, generation).await?;
        self.check_names(&back.operators)?;
        let name = self.status.name().to_owned();
        self.deployments.pin(Some(back.operators.clone())).await?;
        Ok(format!(
            "{name} is pinned to the operators of generation {} ({}) and starts with them from its checkpoint; `sluice status` \
             says how that goes",
            back.generation,
            shown(&back.operators)
        ))
    }

    /// A pipeline whose file names other operators now can't go back to those.
    fn check_names(&self, operators: &Operators) -> Result<(), String> {
        let names: Vec<&str> = assemble::operator_names(&self.pipeline).collect();
        let missing: Vec<&str> = names.iter().copied().filter(|name| !operators.contains_key(*name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "that generation had no operator {}, which the pipeline's file names now: change the file back",
            missing.join(", ")
        ))
    }
}
