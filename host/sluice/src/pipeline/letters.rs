//! Dead letters in the order of effects, and driving them through again.
//!
//! A flush's letters are written after its rows and before its checkpoint, in which their records count as consumed: a
//! crash between the two writes the same letters again, in the place of the first. Where a crash came before the
//! checkpoint, its records are read again, perhaps by another operator, which may take them: so a start first removes
//! the letters of records at or after the checkpoint's ends.
//!
//! **A retry counts once.** People mark letters; nothing else happens until the pipeline's own host sees that.
//!
//! ```text
//! marked letters ──Retrier──▶ lane: through the chain, at a batch boundary ──▶ flush ──▶ checkpoint ──▶ letters removed
//!        ▲                                                                  rows, letters anew │ with their ids in `retried`
//!        └────────────────────── the next ones, once those are removed ────────────────────────┘
//! ```
//!
//! | crash                          | the next start finds                                                           |
//! |--------------------------------|--------------------------------------------------------------------------------|
//! | before the checkpoint          | states without the records, letters still marked: they are driven through again |
//! | checkpoint made, letters there | states with the records, their ids in the checkpoint: their letters are removed |
//!
//! A record that is left out again has its letter written anew, unmarked, and is not in `retried`. Either way there is
//! no moment at which a record is both counted and free to be counted again.

mod retrier;

use std::collections::BTreeSet;
use std::sync::Arc;

use sluice_connectors::letters::{Filter, LetterPlace, Letterbox};
use sluice_connectors::sink::SinkError;
use sluice_core::Partition;
use sluice_core::checkpoint::Checkpoint;
use sluice_core::dead_letter::DeadLetter;
use sluice_core::identity::Identity;
use sluice_core::run::resume::stale_letters;
use tokio::sync::watch;

pub use retrier::{AnyLetters, Retrier};

use super::trouble::Trouble;
use crate::config::Pipeline;
use crate::connections::Connections;

/// A place for letters, open.
pub struct OpenLetters {
    pub letters: Box<dyn Letterbox>,
    /// `connection.table` or the like, for messages.
    pub name: String,
}

/// Numbers of the last retry that was done, and of the last retry that must be asked for again later. The lane and the flusher
/// set them.
#[derive(Debug, Clone)]
pub struct RetryState(Arc<watch::Sender<(u64, u64)>>);

impl RetryState {
    /// Makes the state before any retry, and the receiver of its changes.
    pub fn new() -> (RetryState, watch::Receiver<(u64, u64)>) {
        let (state, heard) = watch::channel((0, 0));
        (RetryState(Arc::new(state)), heard)
    }

    /// Notes that this retry is done: its letters are removed, or written anew.
    pub fn done(&self, retry: u64) {
        self.0.send_modify(|(done, _)| *done = retry);
    }

    /// Notes that the lane couldn't take this retry now.
    pub fn later(&self, retry: u64) {
        self.0.send_modify(|(_, later)| *later = retry);
    }
}

/// Opens the pipeline's place for letters, if it has one, and removes the letters of records that the run will read again, only
/// in the partitions that this host reads. Letters of an earlier topic of the same name, with the identity `before`, are renamed.
/// The place is opened twice: for the flusher and for the [`Retrier`].
pub async fn open(
    pipeline: &Pipeline,
    connections: &Connections,
    head: &Checkpoint,
    read: &BTreeSet<Partition>,
    before: &Identity,
) -> Result<Option<(OpenLetters, Box<dyn Letterbox>)>, Trouble> {
    let Some(destination) = &pipeline.dead_letters else { return Ok(None) };
    let name = destination.to_string();
    let trouble = |error| match error {
        SinkError::Unavailable(reason) => Trouble::Away(reason),
        error => Trouble::wrong(format!("dead letters: {error}")),
    };
    let mut letters = connections.open_letters(destination).await.map_err(trouble)?;
    let (retried, from) = stale_letters(head, |partition| read.contains(&partition));
    letters.remove(&pipeline.name, retried).await.map_err(trouble)?;
    set_aside(letters.as_mut(), &pipeline.name, &head.topic, before, &Identity::of_source(head))
        .await
        .map_err(trouble)?;
    letters.remove_from(&pipeline.name, &head.topic, &from).await.map_err(trouble)?;
    let marked = connections.letters(destination).map_err(trouble)?;
    Ok(Some((OpenLetters { letters, name }, marked)))
}

/// Renames the letters whose places now belong to other records, so that these letters are neither removed nor written over. Of a
/// log, only the letters of the files that were replaced.
pub async fn set_aside(
    letters: &mut dyn Letterbox,
    pipeline: &str,
    topic: &str,
    before: &Identity,
    now: &Identity,
) -> Result<(), SinkError> {
    let Some((was, _)) = before.differs(now) else { return Ok(()) };
    for (part, told) in was.parts() {
        let partition = part.strip_suffix(".jsonl").and_then(|number| number.parse().ok()).map(Partition);
        let (pipeline, topic) = (Some(pipeline.to_owned()), Some(topic.to_owned()));
        let filter = Filter { pipeline, topic, partition, ..Filter::default() };
        rename(letters, &filter, |(pipeline, id)| (pipeline.clone(), id.set_aside(told))).await?;
    }
    Ok(())
}

/// Moves the letters that match the filter to other places, which must not match it; returns their number. Each letter is written
/// to the new place before it is removed from the old one, so that after a crash the same call goes on.
pub async fn rename(
    letters: &mut dyn Letterbox,
    filter: &Filter,
    place: impl Fn(&LetterPlace) -> LetterPlace,
) -> Result<usize, SinkError> {
    let mut renamed = 0;
    loop {
        let found = letters.find(filter, None).await?;
        if found.is_empty() {
            return Ok(renamed);
        }
        for found in found {
            let old = found.place();
            let whole = if found.is_whole() { Some(found.letter) } else { letters.read(&old).await? };
            let Some(letter) = whole else { continue };
            let (pipeline, id) = place(&old);
            letters.write(&pipeline, &[DeadLetter { id, ..letter }]).await?;
            letters.remove(&old.0, &[old.1]).await?;
            renamed += 1;
        }
    }
}
