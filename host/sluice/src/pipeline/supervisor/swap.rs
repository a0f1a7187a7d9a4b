//! What a supervisor does about other operators: the effects of [`Rollout`](sluice_core::deploy::Rollout).

use std::sync::Arc;

use sluice_core::checkpoint::{CheckpointStore, StateForm, begin_anew};
use sluice_core::deploy::{Bounds, Deployment, Effect, Event, Operators, Outcome, Rollout};
use sluice_core::fold::{FoldError, try_migration};
use sluice_core::run::End;
use sluice_core::run::resume::check_forms;

use super::{Current, Supervisor, prepare};
use crate::config::OnIncompatible;
use crate::operators::{Artifacts, Deployed};
use crate::pipeline::assemble;
use crate::pipeline::clock::now_micros;
use crate::pipeline::giving_up::asked_to_end;
use crate::pipeline::restore;
use crate::pipeline::run::{Prepared, Run};
use crate::pipeline::trouble::{Trouble, blocking};

/// Why operators don't take over.
struct Refusal {
    reason: String,
    /// Because of the states that are stored.
    states: bool,
    /// What is mended outside their files may help.
    again: Option<Again>,
}

/// Why they are tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// A server is away.
    Away,
    /// Somebody must change something.
    Mended,
}

impl From<String> for Refusal {
    fn from(reason: String) -> Refusal {
        Refusal { reason, states: false, again: None }
    }
}

impl Supervisor {
    /// What is opened first: the checkpoint's generation, or the newest where there is none or that one is at fault.
    pub(super) async fn first(&mut self, deployed: &Deployed) -> Result<Artifacts, String> {
        let newest = self.wanted(deployed).await;
        let mut chosen = false;
        loop {
            let Some(operators) = self.rollout.opening().cloned() else {
                if std::mem::replace(&mut chosen, true) {
                    return Err(newest.err().unwrap_or_else(|| "no generation can be run".to_owned()));
                }
                self.choose(newest.as_ref().ok()).await?;
                continue;
            };
            if let Ok(newest) = &newest
                && restore::digests(newest) == operators
            {
                return Ok(newest.clone());
            }
            match self.deployments.open(operators).await {
                Ok(artifacts) => return Ok(artifacts),
                Err(reason) => {
                    tracing::warn!(pipeline = self.status.name(), "the last good generation can't be run: {reason}");
                    self.rollout.on(Event::NotOpened, now_micros());
                }
            }
        }
    }

    async fn choose(&mut self, newest: Option<&Artifacts>) -> Result<(), String> {
        let (pipeline, store) = (self.pipeline.clone(), Arc::clone(&self.store));
        // What is wrong with it is said by whoever opens the run.
        let head = blocking(move || restore::load(&pipeline, store.as_ref()).ok().flatten()).await;
        let head = head.map_err(|trouble| trouble.to_string())?;
        let good = head.and_then(|head| {
            let named = |name: &str| Some((name.to_owned(), head.operators.get(name)?.clone()));
            let operators: Option<Operators> = assemble::operator_names(&self.pipeline).map(named).collect();
            Some((head.generation, operators?))
        });
        self.rollout.resume(good);
        self.rollout.shun(self.deployments.shunned().map(|shunned| shunned.operators.clone()));
        let event = match newest {
            Some(newest) => Event::Wanted(restore::digests(newest)),
            None => Event::Again,
        };
        self.rollout.on(event, now_micros());
        Ok(())
    }

    /// What was to be opened can't be; whether others are to be opened instead.
    pub(super) fn others_instead(&mut self, trouble: &Trouble) -> bool {
        self.rollout.on(Event::NotOpened, now_micros());
        let others = self.rollout.opening().is_some();
        if others {
            tracing::warn!(
                pipeline = self.status.name(),
                "the last good generation can't be opened, the newest is tried: {trouble}"
            );
        }
        others
    }

    /// A run is open.
    pub(super) async fn opened(&mut self, run: &Run, current: &mut Current) {
        let deployed = self.operators.borrow().clone();
        let newest = self.wanted(&deployed).await;
        if let Ok(newest) = &newest {
            self.rollout.on(Event::Wanted(restore::digests(newest)), now_micros());
        }
        let effects = self.rollout.on(Event::Opened(current.generation), now_micros());
        let unread = assemble::operator_names(&self.pipeline).find_map(|name| deployed.refused.get(name)).cloned();
        let unseen = deployed.unseen(assemble::operator_names(&self.pipeline)).is_some();
        if let Some(reason) = unread.or_else(|| newest.as_ref().err().filter(|_| !unseen).cloned()) {
            self.status.set_refused(Some(reason));
        }
        if let Ok(newest) = newest {
            self.follow(effects, run, current, newest).await;
        }
        self.show_passed_over();
    }

    /// A trial is over.
    pub(super) async fn passed(&mut self, operators: Operators, run: &Run, current: &mut Current) {
        let effects = self.rollout.on(Event::Passed(operators), now_micros());
        self.say(effects).await;
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
                    effects.extend(self.rollout.on(Event::Refused, now_micros()));
                }
                Effect::Close => run.stop(),
                said @ Effect::Say(_) => drop(self.say(vec![said]).await),
                // The answer to `Prepared`, which is told where they are prepared; and what is opened once no run is.
                Effect::CutOver { .. } | Effect::Open(_) => {}
            }
        }
    }

    /// Writes down what became of operators that ran; answers why they were rolled back, if they were.
    async fn say(&mut self, effects: Vec<Effect>) -> Option<String> {
        let mut rolled_back = None;
        for effect in effects {
            let Effect::Say(Deployment { outcome, generation, operators, reason, .. }) = effect else { continue };
            match outcome {
                Outcome::Applied => self.deployments.passed(generation, operators).await,
                Outcome::RolledBack => {
                    let reason = reason.unwrap_or_default();
                    self.deployments.rolled_back(generation, operators, reason.clone()).await;
                    rolled_back = Some(reason);
                }
                // Whoever prepares them says so, with the reason.
                Outcome::Refused => {}
            }
        }
        rolled_back
    }

    /// Lets these take over at a person's order, without a trial.
    pub(super) async fn cut_over(
        &mut self,
        run: &Run,
        current: &mut Current,
        artifacts: Artifacts,
        asked: Option<String>,
    ) -> Result<(), String> {
        let effects = self.rollout.on(Event::Asked(restore::digests(&artifacts)), now_micros());
        match effects.first() {
            Some(Effect::Prepare(_)) => self.take_over(run, current, artifacts, asked).await,
            Some(Effect::Close) => {
                run.stop();
                Ok(())
            }
            _ => Err("these run already".to_owned()),
        }
    }

    /// Prepares these beside the run, and lets them take over at a batch boundary, or says why those before run on. With `asked`,
    /// somebody wants it, and why.
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
        self.rollout.on(Event::CutOver, now_micros());
        let generation = self.rollout.running().map_or(0, |(generation, _)| generation);
        *current = Current { artifacts, generation };
        if probation.is_none() {
            self.rollout.on(Event::Passed(operators), now_micros());
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

    /// Says why these don't take over; answers the reason.
    async fn refused(&mut self, refusal: Refusal, operators: Operators, run: &Run, asked: Option<String>) -> String {
        let Refusal { reason, states, again } = refusal;
        self.rollout.on(Event::Refused, now_micros());
        if states && self.pipeline.on_incompatible == OnIncompatible::Reset {
            self.begins_anew = true;
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

    /// Answers how long those that took over are on trial.
    async fn try_to_take_over(&mut self, run: &Run, artifacts: &Artifacts) -> Result<Bounds, Refusal> {
        // Whoever waited here for a server would hear nothing of the run meanwhile.
        let prepared =
            prepare(&self.pipeline, &self.connections, artifacts).await.map_err(|trouble| match trouble {
                Trouble::Away(reason) => Refusal { again: Some(Again::Away), ..format!("waits: {reason}").into() },
                wrong @ Trouble::Wrong(_) => Refusal { again: Some(Again::Mended), ..wrong.to_string().into() },
                other => other.to_string().into(),
            })?;
        let prepared = self.try_states(prepared).await?;
        let effects = self.rollout.on(Event::Prepared, now_micros());
        let Some(Effect::CutOver { trial, .. }) = effects.first() else {
            return Err("others are wanted by now".to_owned().into());
        };
        let probation = if *trial { self.pipeline.probation } else { Bounds::NONE };
        let generation =
            self.rollout.running().map_or(0, |(generation, _)| generation) + u64::from(!self.rollout.is_on_trial());
        self.deployments.keep(generation, artifacts).await;
        run.swap(prepared, restore::digests(artifacts), probation).await?;
        Ok(probation)
    }

    /// Whether they go on with the states that are stored: all of another version are migrated, and the answers thrown away.
    async fn try_states(&self, mut prepared: Prepared) -> Result<Prepared, Refusal> {
        let (store, name) = (Arc::clone(&self.store), self.pipeline.name.clone());
        let tried = blocking(move || try_states(store.as_ref(), &name, &mut prepared).map(|()| prepared));
        let tried = tried.await.map_err(|trouble| trouble.to_string())?;
        tried.map_err(|reason| Refusal { states: true, ..reason.into() })
    }

    /// The run has ended: well, at fault, or to be rolled back, which a fault during a trial is. `passed` are operators whose trial
    /// was over before.
    pub(super) async fn ended(&mut self, end: End, passed: Option<Operators>) -> End {
        let now = now_micros();
        if let Some(operators) = passed {
            let effects = self.rollout.on(Event::Passed(operators), now);
            self.say(effects).await;
        }
        if let Some(head) = self.head().await {
            let effects = self.rollout.found(head.generation, &head.operators, now);
            self.say(effects).await;
        }
        if *self.ending.borrow() {
            self.rollout.on(Event::Stop, now);
        }
        let how = match &end {
            End::Done | End::Moved(_) | End::Replaced(_) => Ok(()),
            End::Fault(reason) | End::Disabled(reason) | End::Died(reason) => Err(reason.clone()),
        };
        let effects = self.rollout.on(Event::Ended(how), now);
        let mut end = end;
        if let Some(reason) = self.say(effects).await {
            end = End::Fault(reason);
        }
        self.status.set_on_trial(false);
        if self.begins_anew && end == End::Done {
            let (store, name) = (Arc::clone(&self.store), self.pipeline.name.clone());
            tracing::warn!(pipeline = name, "begins anew: its states are forgotten, as `on_incompatible` says");
            let reset = blocking(move || begin_anew(store.as_ref(), &name)).await;
            self.rollout = Rollout::default();
            if let Err(reason) =
                reset.map_err(|trouble| trouble.to_string()).and_then(|reset| reset.map_err(|error| error.to_string()))
            {
                self.begins_anew = false;
                return End::Fault(reason);
            }
            end = End::Fault("it begins anew".to_owned());
        }
        end
    }

    /// Whether a run that has ended is followed by another at once.
    pub(super) fn goes_on(&mut self) -> bool {
        std::mem::take(&mut self.begins_anew) || self.rollout.opening().is_some()
    }

    /// Why the newest don't run although they could.
    pub(super) fn show_passed_over(&self) {
        let shunned = self.rollout.shunned().is_some() && !self.rollout.is_on_trial();
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
