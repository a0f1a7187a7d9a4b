//! Swaps of operators: a supervisor performs the effects of [`Rollout`](sluice_core::deploy::Rollout).

use std::sync::Arc;

use sluice_clock::now_micros;
use sluice_core::checkpoint::{CheckpointStore, StateForm};
use sluice_core::deploy::{Bounds, Deployment, Effect, Event, Operators, Outcome};
use sluice_core::fold::{FoldError, try_migration};
use sluice_core::run::LifeEvent;
use sluice_core::run::resume::check_forms;

use super::{Current, Supervisor};
use crate::config::OnIncompatible;
use crate::operators::Artifacts;
use crate::pipeline::giving_up::asked_to_end;
use crate::pipeline::restore;
use crate::pipeline::run::{Prepared, Run};
use crate::pipeline::trouble::{Trouble, blocking};

/// Refusal of operators, which don't take over.
struct Refusal {
    reason: String,
    /// True if the states that are stored are the reason.
    states: bool,
    /// Reason to try them again, if there is one: something outside their files may be mended.
    again: Option<Again>,
}

/// Reason why refused operators are tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// A server is away.
    Away,
    /// Something is wrong, and a person must change it.
    Mended,
}

impl From<String> for Refusal {
    fn from(reason: String) -> Refusal {
        Refusal { reason, states: false, again: None }
    }
}

impl Supervisor {
    /// Begins to follow the newest operators, once a run is open.
    pub(super) async fn opened(&mut self, run: &Run, current: &mut Current) {
        let deployed = self.deployments.glance();
        let newest = self.deployments.wanted(&deployed).await;
        if let Ok(newest) = &newest {
            self.life.rollout.on(Event::Wanted(restore::digests(newest)), now_micros());
        }
        let effects = self.life.rollout.on(Event::Opened(current.generation), now_micros());
        let unread = self.deployments.unread(&deployed).is_some();
        let refused = || newest.as_ref().err().filter(|_| !unread).cloned();
        if let Some(reason) = self.deployments.unusable(&deployed).or_else(refused) {
            self.status.set_refused(Some(reason));
        }
        if let Ok(newest) = newest {
            self.follow(effects, run, current, newest).await;
        }
        self.show_passed_over();
    }

    /// Lets a changed operator take over, unless the pipeline is pinned.
    pub(super) async fn swap(&mut self, run: &Run, current: &mut Current) {
        let deployed = self.deployments.look();
        if let Some(reason) = self.deployments.passed_over(&deployed) {
            self.status.set_refused(Some(reason));
            return;
        }
        let unusable = self.deployments.unusable(&deployed);
        if let Some(reason) = &unusable
            && self.status.set_refused(Some(reason.clone()))
        {
            self.deployments.refused(Default::default(), reason.clone()).await;
        }
        let Ok(artifacts) = self.deployments.wanted(&deployed).await else { return };
        let wanted = restore::digests(&artifacts);
        let effects = self.life.rollout.on(Event::Wanted(wanted.clone()), now_micros());
        // What is tried again stays refused until it isn't.
        if unusable.is_none() && effects.is_empty() && self.life.rollout.refused() != Some(&wanted) {
            self.again.nothing_refused();
            self.status.set_refused(None);
        }
        self.follow(effects, run, current, artifacts).await;
        self.show_passed_over();
    }

    /// Takes the end of a trial, which these operators passed.
    pub(super) async fn passed(&mut self, operators: Operators, run: &Run, current: &mut Current) {
        let effects = self.life.rollout.on(Event::Passed(operators), now_micros());
        for effect in effects {
            if let Effect::Say(deployment) = effect {
                self.record(deployment).await;
            }
        }
        self.show_operator(current);
        // What came meanwhile.
        self.swap(run, current).await;
    }

    /// Does what the machine says while a run is open; `newest` are the operators that it may speak of.
    pub(super) async fn follow(&mut self, effects: Vec<Effect>, run: &Run, current: &mut Current, newest: Artifacts) {
        let mut effects = std::collections::VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Prepare(operators) if operators == restore::digests(&newest) => {
                    // The reason is shown.
                    let _ = self.take_over(run, current, newest.clone(), None).await;
                }
                Effect::Prepare(_) => {
                    effects.extend(self.life.rollout.on(Event::Refused, now_micros()));
                }
                Effect::Close => run.stop(),
                Effect::Say(deployment) => self.record(deployment).await,
                // The answer to `Prepared`, which is told where they are prepared; and what is opened once no run is.
                Effect::CutOver { .. } | Effect::Open(_) => {}
            }
        }
    }

    /// Writes down what became of operators that ran.
    pub(super) async fn record(&mut self, deployment: Deployment) {
        let Deployment { outcome, generation, operators, reason, .. } = deployment;
        match outcome {
            Outcome::Applied => self.deployments.passed(generation, operators).await,
            Outcome::RolledBack => {
                self.deployments.rolled_back(generation, operators, reason.unwrap_or_default()).await;
            }
            // Whoever prepares them says so, with the reason.
            Outcome::Refused => {}
        }
    }

    /// Lets these take over at a person's order, without a trial.
    pub(super) async fn cut_over(
        &mut self,
        run: &Run,
        current: &mut Current,
        artifacts: Artifacts,
        asked: Option<String>,
    ) -> Result<(), String> {
        let effects = self.life.rollout.on(Event::Asked(restore::digests(&artifacts)), now_micros());
        match effects.first() {
            Some(Effect::Prepare(_)) => self.take_over(run, current, artifacts, asked).await,
            Some(Effect::Close) => {
                run.stop();
                Ok(())
            }
            _ => Err("these run already".to_owned()),
        }
    }

    /// Prepares these operators beside the run, and lets them take over at a batch boundary, or says why those before run on. `asked` is
    /// the reason of a person who wants them, if one does.
    async fn take_over(
        &mut self,
        run: &Run,
        current: &mut Current,
        artifacts: Artifacts,
        asked: Option<String>,
    ) -> Result<(), String> {
        let operators = restore::digests(&artifacts);
        let mut ending = self.ending.clone();
        let outcome = tokio::select! {
            outcome = self.try_to_take_over(run, &artifacts) => outcome,
            () = asked_to_end(&mut ending) => Err("the host ends".to_owned().into()),
        };
        let probation = match outcome {
            Ok(probation) => probation,
            Err(refusal) => return Err(self.refused(refusal, operators, run, asked).await),
        };
        self.again.nothing_refused();
        self.life.rollout.on(Event::CutOver, now_micros());
        let generation = self.life.rollout.running().map_or(0, |(generation, _)| generation);
        *current = Current { artifacts, generation };
        if probation.is_none() {
            self.life.rollout.on(Event::Passed(operators), now_micros());
            self.deployments.applied(generation, &current.artifacts, asked).await;
        } else {
            tracing::info!(
                pipeline = self.status.name(),
                generation,
                "on trial for {:?} or {} records",
                probation.time,
                probation.rows
            );
            self.status.begin_trial(now_micros());
        }
        self.show_operator(current);
        Ok(())
    }

    /// Says why these operators don't take over. Returns the reason.
    async fn refused(&mut self, refusal: Refusal, operators: Operators, run: &Run, asked: Option<String>) -> String {
        let Refusal { reason, states, again } = refusal;
        self.life.rollout.on(Event::Refused, now_micros());
        if states && self.opener.pipeline.on_incompatible == OnIncompatible::Reset {
            self.hear(LifeEvent::StatesRefused);
            run.stop();
        }
        let said = asked.as_ref().map_or_else(|| reason.clone(), |asked| format!("{asked}: {reason}"));
        let news = self.again.refused(&operators, &reason, again.is_some() && asked.is_none());
        if asked.is_some() || news && again != Some(Again::Away) {
            self.deployments.refused(operators, said).await;
        }
        if asked.is_none() {
            self.status.set_refused(Some(reason.clone()));
        }
        reason
    }

    /// Returns the length of the trial of the operators that took over.
    async fn try_to_take_over(&mut self, run: &Run, artifacts: &Artifacts) -> Result<Bounds, Refusal> {
        // Whoever waited here for a server would hear nothing of the run meanwhile.
        let prepared = self.opener.prepare(artifacts).await.map_err(|trouble| match trouble {
            Trouble::Away(reason) => Refusal { again: Some(Again::Away), ..format!("waits: {reason}").into() },
            wrong @ Trouble::Wrong(_) => Refusal { again: Some(Again::Mended), ..wrong.to_string().into() },
            other => other.to_string().into(),
        })?;
        let prepared = self.try_states(prepared).await?;
        let effects = self.life.rollout.on(Event::Prepared, now_micros());
        let Some(Effect::CutOver { trial, .. }) = effects.first() else {
            return Err("others are wanted by now".to_owned().into());
        };
        let probation = if *trial { self.opener.pipeline.probation } else { Bounds::NONE };
        let generation = self.life.rollout.running().map_or(0, |(generation, _)| generation)
            + u64::from(!self.life.rollout.is_on_trial());
        self.deployments.keep(generation, artifacts).await;
        run.swap(prepared, restore::digests(artifacts), probation).await?;
        Ok(probation)
    }

    /// Tries whether the operators can go on with the states that are stored: all states of another version are migrated, and the answers
    /// thrown away.
    async fn try_states(&self, mut prepared: Prepared) -> Result<Prepared, Refusal> {
        let (store, name) = (Arc::clone(&self.opener.store), self.opener.pipeline.name.clone());
        let tried = blocking(move || try_states(store.as_ref(), &name, &mut prepared).map(|()| prepared));
        let tried = tried.await.map_err(|trouble| trouble.to_string())?;
        tried.map_err(|reason| Refusal { states: true, ..reason.into() })
    }

    /// Shows in the status why the newest operators don't run although they could, if they were rolled back.
    pub(super) fn show_passed_over(&self) {
        let shunned = self.life.rollout.shunned().is_some() && !self.life.rollout.is_on_trial();
        if let Some(deployment) = self.deployments.shunned().filter(|_| shunned) {
            let reason = deployment.reason.clone().unwrap_or_default();
            self.status.set_refused(Some(format!(
                "rolled back: {reason}; it is tried again once another file was there in between"
            )));
        }
    }
}

fn try_states(store: &dyn CheckpointStore, name: &str, prepared: &mut Prepared) -> Result<(), String> {
    let Some(head) = store.head(name).map_err(|error| error.to_string())? else { return Ok(()) };
    let stored: Vec<StateForm> = head.form.into_iter().chain(head.older).collect();
    let own = prepared.chain.fold().map(|fold| fold.form().clone());
    check_forms(own.as_ref(), &stored).map_err(|reason| format!("the checkpoint {reason}"))?;
    let (Some(own), Some((_, operator, _))) = (own, prepared.chain.with_operator()) else { return Ok(()) };
    if stored.iter().all(|form| form.version == own.version) {
        return Ok(());
    }
    match try_migration(store, name, (&own, &stored), operator) {
        Ok(groups) => {
            tracing::info!(pipeline = name, groups, "all states can be migrated to version {}", own.version);
            Ok(())
        }
        Err(FoldError::Operator(error)) => {
            let versions: Vec<String> = stored.iter().map(|form| form.version.to_string()).collect();
            let (own, stored) = (own.version, versions.join(", "));
            Err(format!("its state version is {own}, that of the states {stored}, and it can't migrate them: {error}"))
        }
        Err(error) => Err(error.to_string()),
    }
}
