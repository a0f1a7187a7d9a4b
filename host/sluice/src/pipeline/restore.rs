//! Resumption of a pipeline from its checkpoint, if what it reads and runs still fits. The rest is in
//! [`sluice_core::run::resume`].

use std::collections::BTreeMap;

use sluice_connectors::source::Start;
use sluice_core::checkpoint::{Checkpoint, CheckpointStore, StoreError};
use sluice_core::deploy::Operators;
use sluice_core::fold::Keeping;
use sluice_core::run::{ResumeError, Resumption};
use sluice_runtime::Artifact;

use super::trouble::Trouble;
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

/// Returns the generation and the operators of a checkpoint, if it names all of these operators. A checkpoint that can't be read for now
/// is waited for: else others would run on it without a trial. Whoever opens the run says what else is wrong with it.
pub fn good<'a>(
    head: Result<Option<Checkpoint>, Trouble>,
    names: impl Iterator<Item = &'a str>,
) -> Result<Option<(u64, Operators)>, Trouble> {
    let head = match head {
        Err(away @ Trouble::Away(_)) => return Err(away),
        head => head.ok().flatten(),
    };
    let Some(head) = head else { return Ok(None) };
    let operators: Option<Operators> =
        names.map(|name| Some((name.to_owned(), head.operators.get(name)?.clone()))).collect();
    Ok(operators.map(|operators| (head.generation, operators)))
}

/// Returns the position at which the source starts; none without a checkpoint.
pub fn start(head: Option<&Checkpoint>) -> Option<Start> {
    head.map(|head| Start::At(head.intervals.ends()))
}

/// The facts of a run of the pipeline, beyond its chain.
pub fn resumption(pipeline: &Pipeline) -> Resumption {
    Resumption {
        pipeline: pipeline.name.clone(),
        topic: pipeline.source.topic.clone(),
        sinks: pipeline.sinks.iter().map(|sink| format!("{}.{}", sink.connection, sink.table)).collect(),
        transaction: pipeline.transaction().map(|sink| sink.connection.clone()),
        keeping: keeping(pipeline),
    }
}

/// The trouble of a pipeline whose run can't begin.
pub fn trouble(pipeline: &Pipeline, error: ResumeError) -> Trouble {
    match error {
        ResumeError::Away(reason) => Trouble::Away(reason),
        ResumeError::Misfit(reason) => Trouble::wrong(misfit(pipeline, &reason)),
        ResumeError::Wrong(reason) => Trouble::wrong(reason),
    }
}

/// Name and digest of each artifact.
pub fn digests(artifacts: &BTreeMap<String, Artifact>) -> BTreeMap<String, String> {
    artifacts.iter().map(|(name, artifact)| (name.clone(), artifact.digest().to_string())).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_that_can_not_be_read_for_now_is_waited_for_and_one_at_fault_is_no_good() {
        let operators: Operators = [("sum", "1a"), ("clean", "2b")].map(|(name, is)| (name.into(), is.into())).into();
        let head = Checkpoint { generation: 7, operators: operators.clone(), ..Checkpoint::default() };
        let away = || Trouble::Away("disk full".to_owned());
        assert_eq!(good(Err(away()), ["sum"].into_iter()), Err(away()));
        assert_eq!(good(Err(Trouble::wrong("damaged")), ["sum"].into_iter()), Ok(None));
        assert_eq!(good(Ok(None), ["sum"].into_iter()), Ok(None));
        assert_eq!(good(Ok(Some(head.clone())), ["sum", "clean"].into_iter()), Ok(Some((7, operators))));
        assert_eq!(good(Ok(Some(head)), ["sum", "new"].into_iter()), Ok(None));
    }
}
