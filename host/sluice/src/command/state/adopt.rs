//! `sluice state adopt`: the topic, the databases and the tables that are there are what the checkpoint is of from now on.

use anyhow::{anyhow, bail};
use clap::ValueEnum;
use sluice_connectors::source::{Source, Start};
use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore, SOURCE};
use sluice_core::identity::Identity;
use sluice_core::interval::Intervals;
use sluice_core::{Interval, Offset, Partition};

use super::{head_of, places};
use crate::command::block_on;
use crate::config::{Config, Pipeline};
use crate::connections::Connections;
use crate::pipeline::{letters, tables};

/// Position at which the pipeline goes on in the topic that it adopts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum From {
    /// Go on at the checkpoint's offsets, which must be there: the data are the same in another place.
    Checkpoint,
    /// Go on at the topic's oldest record: all of its records are added to the states.
    Earliest,
    /// Go on at the topic's end: its records so far are left out.
    Latest,
}

/// Gives the pipeline's checkpoint the identity, and the name, of the topic that its file names. The states stay. Says what it was.
pub(super) fn adopt(
    config: &Config,
    store: &dyn CheckpointStore,
    pipeline: &str,
    from: From,
) -> anyhow::Result<String> {
    let mut head = head_of(store, pipeline)?;
    let known = config.pipelines.iter().find(|known| known.name == pipeline);
    let known = known.ok_or_else(|| anyhow!("there is no file of the pipeline {pipeline}, which names its topic"))?;
    if let (Some(connection), true) = (&head.transaction, from != From::Checkpoint) {
        bail!(
            "the offsets of its rows are in the database of `{connection}`, and count there: only a checkpoint's own offsets can be \
             adopted; to read the new topic, name the pipeline otherwise, or start it over with `sluice state reset {pipeline}`"
        );
    }
    let source = open(config, known, &head, from)?;
    let before = (head.topic.clone(), Identity::of_source(&head), places(&head));
    if let (Some(place), true) = (&known.dead_letters, from != From::Checkpoint) {
        let (was, is) = (&before.1, source.identity());
        let connections = Connections::new(&config.connections);
        block_on(async {
            let mut letters = connections.open_letters(place).await?;
            // Those that are counted already, of which a crash kept the removal.
            letters.remove(pipeline, &head.retried).await?;
            Ok(letters::set_aside(letters.as_mut(), pipeline, &head.topic, was, &is).await?)
        })?;
    }
    head.identities.remove(SOURCE);
    tables::forget(&mut head);
    source.identity().keep_in(&mut head);
    head.topic.clone_from(&known.source.topic);
    if from != From::Checkpoint {
        head.intervals = beginning_at(source.positions())?;
        // Letters of the topic before: they stay where they are.
        head.retried.clear();
    }
    head.commits += 1;
    store.commit(pipeline, &head, &Changes::default())?;
    let (topic, was, at) = before;
    let (now, is) = (&head.topic, Identity::of_source(&head));
    Ok(format!(
        "was of the topic {topic} ({was}), {at}; is of the topic {now} ({is}), {}, and of the databases and tables that are there",
        places(&head)
    ))
}

/// Opens the source where the pipeline is to go on; an error if the records to go on from aren't there.
fn open(config: &Config, pipeline: &Pipeline, head: &Checkpoint, from: From) -> anyhow::Result<Box<dyn Source>> {
    let start = match from {
        From::Checkpoint => Start::At(head.intervals.ends()),
        From::Earliest => Start::Earliest,
        From::Latest => Start::Latest,
    };
    let connections = Connections::new(&config.connections);
    Ok(connections.open_source(&pipeline.source, Some(start), Identity::default(), None)?)
}

fn beginning_at(starts: impl IntoIterator<Item = (Partition, Offset)>) -> anyhow::Result<Intervals> {
    let mut intervals = Intervals::default();
    for (partition, start) in starts {
        let nothing = Interval::new(start, start).ok_or_else(|| anyhow!("{partition}:{start} is no place"))?;
        intervals.extend(partition, nothing)?;
    }
    Ok(intervals)
}
