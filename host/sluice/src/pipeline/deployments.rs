//! Deployments of a pipeline: makes its history and its pin durable, and shows them.

use std::sync::Arc;

use sluice_clock::now_micros;
use sluice_core::checkpoint::StoreError;
use sluice_core::deploy::{Deployment, History, Operators, Outcome};

use tokio::sync::watch;

use super::assemble;
use super::restore;
use super::status::Status;
use super::trouble::{Trouble, blocking};
use crate::config::{Pipeline, unveiled};
use crate::kept::OperatorArchive;
use crate::operators::{Artifacts, Deployed};

mod newest;
mod pins;

/// A pipeline's history with the operators in it, and the operators that are deployed.
pub struct Deployments {
    kept: OperatorArchive,
    status: Arc<Status>,
    history: History,
    /// The operators that the pipeline's file names.
    names: Vec<String>,
    deployed: watch::Receiver<Deployed>,
}

impl Deployments {
    /// Returns the deployments of a pipeline whose history isn't read yet.
    pub fn new(
        kept: OperatorArchive,
        status: Arc<Status>,
        pipeline: &Pipeline,
        deployed: watch::Receiver<Deployed>,
    ) -> Deployments {
        let names = assemble::operator_names(pipeline).map(str::to_owned).collect();
        Deployments { kept, status, history: History::default(), names, deployed }
    }

    /// Reads the stored history.
    pub async fn load(&mut self) -> Result<(), Trouble> {
        let (kept, name) = (self.kept.clone(), self.name());
        let loaded = blocking(move || kept.histories().load(&name)).await?;
        self.history = loaded.map_err(|error| match error {
            StoreError::Unavailable(reason) => Trouble::Away(reason),
            error => Trouble::wrong(error.to_string()),
        })?;
        self.show();
        Ok(())
    }

    /// The operators that the pipeline stays with.
    pub fn pinned(&self) -> Option<&Operators> {
        self.history.pinned()
    }

    /// Returns the deployment that was applied last.
    pub fn running(&self) -> Option<&Deployment> {
        self.history.running()
    }

    /// Notes that these operators run now. The first time, keeps them and adds them to the history.
    pub async fn started(&mut self, generation: u64, artifacts: &Artifacts) {
        let operators = restore::digests(artifacts);
        let before = self.history.running();
        if before.is_some_and(|before| (before.generation, &before.operators) == (generation, &operators)) {
            return;
        }
        let same =
            |deployment: &&Deployment| deployment.outcome == Outcome::Applied && deployment.operators == operators;
        let pinned = self.pinned() == Some(&operators);
        let back = self.history.deployments().rfind(same).filter(|_| pinned).map(|back| back.generation);
        self.applied(generation, artifacts, back.map(back_to)).await;
    }

    /// Notes that these operators run from now on, and keeps them. The reason says who asked for them, if anybody did.
    pub async fn applied(&mut self, generation: u64, artifacts: &Artifacts, reason: Option<String>) {
        self.keep(generation, artifacts).await;
        self.record(Outcome::Applied, generation, restore::digests(artifacts), reason).await;
    }

    /// Writes down that these have passed their trial, before which they were kept.
    pub async fn passed(&mut self, generation: u64, operators: Operators) {
        self.record(Outcome::Applied, generation, operators, None).await;
    }

    /// Keeps operators that are about to run as this generation. They are durable before the first checkpoint of the generation
    /// is.
    pub async fn keep(&self, generation: u64, artifacts: &Artifacts) {
        let (kept, name, keeping) = (self.kept.clone(), self.name(), artifacts.clone());
        let keeping = blocking(move || kept.keep(&name, generation, &keeping)).await;
        self.complain("the operators can't be kept for a roll-back", keeping);
    }

    /// Notes that these operators failed as this generation, and that the ones before run again.
    pub async fn rolled_back(&mut self, generation: u64, operators: Operators, reason: String) {
        self.record(Outcome::RolledBack, generation, operators, Some(reason)).await;
    }

    /// Returns the deployment that was rolled back last, if nothing else ran since: it isn't tried again by itself.
    pub fn shunned(&self) -> Option<&Deployment> {
        let mut ran = self.history.deployments().rev().filter(|deployment| deployment.outcome != Outcome::Refused);
        ran.next().filter(|deployment| deployment.outcome == Outcome::RolledBack)
    }

    /// Notes that these operators were refused as the next generation. `operators` is empty where the files can't be read as
    /// operators.
    pub async fn refused(&mut self, operators: Operators, reason: String) {
        let next = self.history.running().map_or(0, |running| running.generation) + 1;
        self.record(Outcome::Refused, next, operators, Some(reason)).await;
    }

    /// Adds a deployment to the history. It has already happened, so this can't fail: a history that can't be written is written
    /// with the next deployment.
    async fn record(&mut self, outcome: Outcome, generation: u64, operators: Operators, reason: Option<String>) {
        let reason = reason.map(|reason| unveiled(&reason).into_owned());
        let pipeline = self.status.name();
        let said = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        match outcome {
            Outcome::Applied => {
                tracing::info!(pipeline, generation, operators = shown(&operators), "applied{said}");
            }
            Outcome::Refused => tracing::warn!(pipeline, "refused, what ran before runs on{said}"),
            Outcome::RolledBack => tracing::warn!(pipeline, "rolled back{said}"),
        }
        self.history.record(Deployment { outcome, generation, operators, reason, time: now_micros() });
        let saved = self.save(self.history.clone()).await;
        self.complain("the history of deployments can't be written", Ok(saved));
        self.show();
    }

    fn complain(&self, what: &str, done: Result<Result<(), StoreError>, Trouble>) {
        let error = match done {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(trouble) => trouble.to_string(),
        };
        tracing::warn!(pipeline = self.status.name(), "{what}: {error}");
    }

    /// Stays with these operators from now on, or with none. Durable when it answers.
    pub async fn pin(&mut self, operators: Option<Operators>) -> Result<(), String> {
        let mut history = self.history.clone();
        history.pin(operators);
        self.save(history.clone()).await.map_err(|error| error.to_string())?;
        self.history = history;
        self.show();
        Ok(())
    }

    /// Returns the deployment that a roll-back from `running` brings back, and its artifacts.
    pub async fn roll_back_to(
        &self,
        running: Operators,
        wanted: Option<u64>,
    ) -> Result<(Deployment, Artifacts), String> {
        let (kept, name, history) = (self.kept.clone(), self.name(), self.history.clone());
        let found = blocking(move || -> Result<(Deployment, Artifacts), String> {
            let digests = kept.digests(&name).map_err(|error| error.to_string())?;
            let all_kept = |operators: &Operators| operators.values().all(|digest| digests.contains(digest));
            let back = history.roll_back_to(&running, wanted, all_kept).map_err(|error| error.to_string())?;
            Ok((back.clone(), kept.open(&back.operators)?))
        });
        let (back, artifacts) = found.await.map_err(|trouble| trouble.to_string())??;
        self.check_names(&back.operators)?;
        Ok((back, artifacts))
    }

    /// Opens the artifacts that the pipeline is pinned to. It runs those of them that its file names.
    pub async fn open(&self, operators: Operators) -> Result<Artifacts, String> {
        let kept = self.kept.clone();
        blocking(move || kept.open(&operators)).await.map_err(|trouble| trouble.to_string())?
    }

    async fn save(&self, history: History) -> Result<(), StoreError> {
        let (kept, name) = (self.kept.clone(), self.name());
        let saved = blocking(move || kept.histories().save(&name, &history)).await;
        saved.map_err(|trouble| StoreError::Unusable(trouble.to_string())).flatten()
    }

    fn name(&self) -> String {
        self.status.name().to_owned()
    }

    fn show(&self) {
        self.status.set_history(&self.history);
    }
}

/// Returns the reason of a deployment that goes back to the operators of this generation.
pub fn back_to(generation: u64) -> String {
    format!("by hand, back to generation {generation}")
}

/// Operators as people know them, such as `gift_sum 1a2b3c4d`.
pub fn shown(operators: &Operators) -> String {
    let one = |(name, digest): (&String, &String)| format!("{name} {}", short(digest));
    operators.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Returns the first characters of a digest, enough to tell two apart.
pub fn short(digest: &str) -> &str {
    digest.get(..8).unwrap_or(digest)
}

/// An outcome as people read it.
pub fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "applied",
        Outcome::Refused => "refused",
        Outcome::RolledBack => "rolled back",
    }
}
