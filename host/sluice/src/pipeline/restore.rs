//! Where a pipeline goes on: its checkpoint, if what it reads and runs still fits.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_connectors::source::{Source, Start};
use sluice_core::chain::{Chain, ProcessError};
use sluice_core::checkpoint::{Checkpoint, CheckpointStore, StateForm, StoreError};
use sluice_core::fold::{Backing, Fold, Keeping, fit};
use sluice_runtime::Artifact;

use super::assemble::Trouble;
use super::fresh;
use crate::config::Pipeline;

/// The pipeline's last checkpoint. Blocks.
pub fn load(pipeline: &Pipeline, store: &dyn CheckpointStore) -> Result<Option<Checkpoint>, Trouble> {
    let head = store.head(&pipeline.name).map_err(|error| match error {
        StoreError::Unavailable(reason) => Trouble::Away(reason),
        error => Trouble::wrong(error.to_string()),
    })?;
    let head = head.filter(|head| !head.is_mark());
    if let Some(head) = head.as_ref().filter(|head| head.topic != pipeline.source.topic) {
        return Err(Trouble::wrong(misfit(
            pipeline,
            &format!("is of the topic `{}`, not of `{}`", head.topic, pipeline.source.topic),
        )));
    }
    Ok(head)
}

/// Where its source starts.
pub fn start(head: Option<&Checkpoint>) -> Option<Start> {
    head.map(|head| Start::At(head.intervals.ends()))
}

/// Gives the chain its groups back; answers the checkpoint that the run goes on from. Operators or sinks other than the
/// checkpoint's write every group again, also where a crash came before that was done.
pub fn resume(
    pipeline: &Pipeline,
    store: &Arc<dyn CheckpointStore>,
    head: Option<Checkpoint>,
    source: &dyn Source,
    chain: &mut Chain,
    operators: BTreeMap<String, String>,
) -> Result<Checkpoint, Trouble> {
    let empty = head.is_none();
    let sinks: Vec<String> = pipeline.sinks.iter().map(|sink| format!("{}.{}", sink.connection, sink.table)).collect();
    let form = chain.fold().map(|fold| fold.form().clone());
    let mut head = head.unwrap_or_else(|| Checkpoint {
        topic: pipeline.source.topic.clone(),
        form: form.clone(),
        ..Checkpoint::default()
    });
    let stored: Vec<StateForm> = head.form.iter().chain(&head.older).cloned().collect();
    check_forms(form.as_ref(), &stored).map_err(|reason| Trouble::wrong(misfit(pipeline, &reason)))?;
    let changed = head.operators != operators;
    let show_all = head.refreshing || !empty && (changed || head.sinks != sinks);
    if let Some(fold) = chain.fold_mut() {
        fold.keep(keeping(pipeline), Backing::new(Arc::clone(store), &pipeline.name, empty));
        fold.set_older(&stored);
        fold.set_committed(head.commits);
    }
    chain.resume(&head.event_times).map_err(|error| match error {
        ProcessError::Store(StoreError::Unavailable(reason)) => Trouble::Away(reason),
        error => Trouble::wrong(error.to_string()),
    })?;
    if let Some(fold) = chain.fold_mut().filter(|_| show_all) {
        fold.touch_all();
    }
    head.generation += u64::from(changed);
    (head.operators, head.sinks) = (operators, sinks);
    source.identity().keep_in(&mut head);
    fresh::keep_group(pipeline, &mut head);
    head.transaction = pipeline.transaction().map(|sink| sink.connection.clone());
    for (partition, offset) in source.positions() {
        if let Some(windows) = chain.fold_mut().and_then(Fold::windows) {
            windows.watermark().expect(partition);
        }
        let resumed = head.intervals.resume(partition, offset);
        resumed.map_err(|misfit| Trouble::wrong(format!("{misfit}; this is a defect of the source's connector")))?;
    }
    Ok(head)
}

/// Name and digest of each artifact.
pub fn digests(artifacts: &BTreeMap<String, Artifact>) -> BTreeMap<String, String> {
    artifacts.iter().map(|(name, artifact)| (name.clone(), artifact.digest().to_string())).collect()
}

/// Whether a fold of this form can go on with states of those forms, if its operator migrates them.
pub fn check_forms(new: Option<&StateForm>, stored: &[StateForm]) -> Result<(), String> {
    match (new, stored) {
        (None, []) => Ok(()),
        (Some(_), []) => Err("is of a transformer, and the pipeline now ends in an aggregator".to_owned()),
        (None, _) => Err("has an aggregator's states, and the pipeline now has none".to_owned()),
        (Some(new), stored) => stored
            .iter()
            .try_for_each(|old| fit(new, old).map(drop))
            .map_err(|difference| format!("doesn't fit the operator: {difference}")),
    }
}

fn misfit(pipeline: &Pipeline, reason: &str) -> String {
    format!(
        "the checkpoint {reason}; undo the change, name the pipeline otherwise, or start it over with `sluice state reset {}`",
        pipeline.name
    )
}

fn keeping(pipeline: &Pipeline) -> Keeping {
    let state = &pipeline.state;
    Keeping {
        memory: usize::try_from(state.memory).unwrap_or(usize::MAX),
        ttl: state.ttl.map(|ttl| i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX)),
    }
}
