//! Where a pipeline goes on: its checkpoint, if what it reads and runs still fits.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_connectors::source::{Source, Start};
use sluice_core::chain::Chain;
use sluice_core::checkpoint::{Checkpoint, CheckpointStore, StateForm, StoreError};
use sluice_core::fold::{Backing, Fold, FoldError, Keeping, difference};
use sluice_runtime::Artifact;

use super::assemble::Trouble;
use crate::config::Pipeline;

/// The pipeline's last checkpoint. Blocks.
pub fn load(pipeline: &Pipeline, store: &dyn CheckpointStore) -> Result<Option<Checkpoint>, Trouble> {
    let head = store.head(&pipeline.name).map_err(|error| match error {
        StoreError::Unavailable(reason) => Trouble::Away(reason),
        error => Trouble::wrong(error.to_string()),
    })?;
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
    check_form(pipeline, form.as_ref(), head.form.as_ref())?;
    let changed = head.operators != operators;
    let show_all = head.refreshing || !empty && (changed || head.sinks != sinks);
    if let Some(fold) = chain.fold_mut() {
        fold.keep(keeping(pipeline), Backing::new(Arc::clone(store), &pipeline.name, empty));
        fold.set_committed(head.commits);
        fold.resume(&head.event_times).map_err(|error| match error {
            FoldError::Store(StoreError::Unavailable(reason)) => Trouble::Away(reason),
            error => Trouble::wrong(error.to_string()),
        })?;
        if show_all {
            fold.touch_all();
        }
    }
    head.generation += u64::from(changed);
    (head.operators, head.sinks) = (operators, sinks);
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

fn check_form(pipeline: &Pipeline, new: Option<&StateForm>, old: Option<&StateForm>) -> Result<(), Trouble> {
    let reason = match (new, old) {
        (None, None) => return Ok(()),
        (Some(new), Some(old)) => match difference(new, old) {
            None => return Ok(()),
            Some(difference) => format!("doesn't fit the operator: {difference}"),
        },
        (Some(_), None) => "is of a transformer, and the pipeline now ends in an aggregator".to_owned(),
        (None, Some(_)) => "has an aggregator's states, and the pipeline now has none".to_owned(),
    };
    Err(Trouble::wrong(misfit(pipeline, &reason)))
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
