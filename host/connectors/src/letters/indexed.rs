//! Letters of which an index is in memory, and the rest where they are kept: a topic, a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sluice_core::dead_letter::{DeadLetter, LetterId};
use sluice_core::{Offset, Partition};

use super::{Filter, Letter, LetterPlace, Letterbox, MAX_FOUND, PREVIEW_BYTES};
use crate::sink::SinkError;

/// The most letters that are looked through, of one pipeline if only its are asked for. More: memory, some 150 bytes for each,
/// also in the host, which looks for those to be retried. Fewer: a producer's bad day is too many.
pub(crate) const MAX_LETTERS: usize = 250_000;

/// Place of a letter in the storage, with the facts that are known without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// An offset of the topic, or a byte of the file.
    pub(crate) position: i64,
    /// A retry was asked for.
    pub(crate) retry: bool,
}

/// The latest letter of each place.
pub(crate) type Index = BTreeMap<LetterPlace, Entry>;

/// A place that has no index of its own. All calls block.
pub(crate) trait Storage: Send + 'static {
    /// Keeps others out until it is dropped; none where what others do meanwhile does no harm.
    fn lock(&mut self) -> Result<Option<File>, SinkError>;

    /// The letters that are there now: those of a pipeline, or all.
    fn index(&mut self, pipeline: Option<&str>) -> Result<&Index, SinkError>;

    /// Reads these letters in any order, with the first `bytes` bytes of their keys and values. A letter that has gone meanwhile
    /// is left out.
    fn read(&mut self, which: &[(LetterPlace, Entry)], bytes: usize) -> Result<Vec<Letter>, SinkError>;

    /// Adds letters; each is then the latest of its place.
    fn write(&mut self, pipeline: &str, letters: &[DeadLetter]) -> Result<(), SinkError>;

    /// Marks these letters for a retry.
    fn mark(&mut self, which: &[(LetterPlace, Entry)]) -> Result<(), SinkError>;

    /// Removes the letters of these places, if there are any.
    fn remove(&mut self, places: &[LetterPlace]) -> Result<(), SinkError>;

    /// Removes the letters of the topic's records at these offsets and after them.
    fn remove_from(&mut self, pipeline: &str, topic: &str, from: &BTreeMap<Partition, Offset>)
    -> Result<(), SinkError>;
}

/// A place that has more letters than are looked through.
pub(crate) fn too_many(place: &str) -> SinkError {
    SinkError::Unusable(format!(
        "{place} has more than {MAX_LETTERS} dead letters, and none is looked through: look at one pipeline at a time, if \
         several keep theirs there, and have pipelines with so many keep them in a table; to be rid of these, remove it while \
         no host runs"
    ))
}

/// A letterbox of what such a place can do. Calls run on tokio's threads for blocking work.
pub(crate) struct IndexedLetters<S>(Arc<Mutex<S>>);

impl<S: Storage> IndexedLetters<S> {
    pub(crate) fn new(storage: S) -> IndexedLetters<S> {
        IndexedLetters(Arc::new(Mutex::new(storage)))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut S) -> Result<T, SinkError> + Send + 'static,
    ) -> Result<T, SinkError> {
        let storage = Arc::clone(&self.0);
        let work = tokio::task::spawn_blocking(move || {
            let mut storage = storage.lock().unwrap_or_else(PoisonError::into_inner);
            let _lock = storage.lock()?;
            work(&mut storage)
        });
        work.await.unwrap_or_else(|error| Err(SinkError::Unusable(format!("{error}; this is a defect"))))
    }
}

#[async_trait]
impl<S: Storage> Letterbox for IndexedLetters<S> {
    async fn write(&mut self, pipeline: &str, letters: &[DeadLetter]) -> Result<(), SinkError> {
        let (pipeline, letters) = (pipeline.to_owned(), letters.to_vec());
        self.run(move |storage| storage.write(&pipeline, &letters)).await
    }

    async fn remove(&mut self, pipeline: &str, ids: &[LetterId]) -> Result<(), SinkError> {
        let places: Vec<LetterPlace> = ids.iter().map(|id| (pipeline.to_owned(), id.clone())).collect();
        if places.is_empty() {
            return Ok(());
        }
        self.run(move |storage| storage.remove(&places)).await
    }

    async fn remove_from(
        &mut self,
        pipeline: &str,
        topic: &str,
        from: &BTreeMap<Partition, Offset>,
    ) -> Result<(), SinkError> {
        let (pipeline, topic, from) = (pipeline.to_owned(), topic.to_owned(), from.clone());
        self.run(move |storage| storage.remove_from(&pipeline, &topic, &from)).await
    }

    async fn find(&mut self, filter: &Filter, after: Option<&LetterPlace>) -> Result<Vec<Letter>, SinkError> {
        let (filter, after) = (filter.clone(), after.cloned());
        self.run(move |storage| page(storage, &filter, after, PREVIEW_BYTES)).await
    }

    async fn read(&mut self, place: &LetterPlace) -> Result<Option<DeadLetter>, SinkError> {
        let place = place.clone();
        let read = self.run(move |storage| {
            let Some(entry) = storage.index(Some(&place.0))?.get(&place).copied() else { return Ok(None) };
            Ok(storage.read(&[(place, entry)], usize::MAX)?.pop())
        });
        Ok(read.await?.map(|found| found.letter))
    }

    async fn mark(&mut self, filter: &Filter) -> Result<u64, SinkError> {
        let filter = filter.clone();
        self.run(move |storage| {
            let mut which = all(storage, &filter)?;
            which.retain(|(place, entry)| place.1.has_record() && !entry.retry);
            if !which.is_empty() {
                storage.mark(&which)?;
            }
            Ok(which.len() as u64)
        })
        .await
    }

    async fn discard(&mut self, filter: &Filter) -> Result<u64, SinkError> {
        let filter = filter.clone();
        self.run(move |storage| {
            let places: Vec<LetterPlace> = all(storage, &filter)?.into_iter().map(|(place, _)| place).collect();
            if !places.is_empty() {
                storage.remove(&places)?;
            }
            Ok(places.len() as u64)
        })
        .await
    }
}

/// The next letters that fit, [`MAX_FOUND`] at most; none only at the end.
fn page(
    storage: &mut impl Storage,
    filter: &Filter,
    mut after: Option<LetterPlace>,
    bytes: usize,
) -> Result<Vec<Letter>, SinkError> {
    loop {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let index = storage.index(filter.pipeline.as_deref())?;
        let fits = |(place, entry): &(&LetterPlace, &Entry)| place_fits(filter, place, **entry);
        let next = index.range((from, Bound::Unbounded)).filter(fits).take(MAX_FOUND);
        let next: Vec<(LetterPlace, Entry)> = next.map(|(place, entry)| (place.clone(), *entry)).collect();
        let Some((last, _)) = next.last() else { return Ok(Vec::new()) };
        after = Some(last.clone());
        let mut letters = storage.read(&next, bytes)?;
        letters.retain(|letter| content_fits(filter, &letter.letter));
        if !letters.is_empty() {
            letters.sort_by_key(Letter::place);
            return Ok(letters);
        }
    }
}

/// Returns all letters that match the filter, by their places.
fn all(storage: &mut impl Storage, filter: &Filter) -> Result<Vec<(LetterPlace, Entry)>, SinkError> {
    let (mut places, mut after) = (Vec::new(), None);
    loop {
        let found = page(storage, filter, after, 0)?;
        let Some(last) = found.last() else { break };
        after = Some(last.place());
        places.extend(found.iter().map(Letter::place));
    }
    let index = storage.index(filter.pipeline.as_deref())?;
    Ok(places.into_iter().filter_map(|place| index.get(&place).copied().map(|entry| (place, entry))).collect())
}

/// Judges as much of the filter as can be judged without reading the letter.
fn place_fits(filter: &Filter, (pipeline, id): &LetterPlace, entry: Entry) -> bool {
    filter.pipeline.as_ref().is_none_or(|wanted| wanted == pipeline)
        && filter.topic.as_ref().is_none_or(|topic| *topic == id.topic)
        && filter.partition.is_none_or(|partition| partition == id.partition)
        && filter.offset.is_none_or(|offset| offset == id.offset)
        && filter.retry.is_none_or(|retry| retry == entry.retry)
}

fn content_fits(filter: &Filter, letter: &DeadLetter) -> bool {
    filter.reason.as_ref().is_none_or(|part| letter.reason.contains(part.as_str()))
        && filter.since.is_none_or(|since| letter.time >= since)
        && filter.until.is_none_or(|until| letter.time < until)
}

/// Says whether a letter of this place is at one of these offsets or after it.
pub(crate) fn is_from(place: &LetterPlace, pipeline: &str, topic: &str, from: &BTreeMap<Partition, Offset>) -> bool {
    let (of, id) = place;
    of == pipeline && id.topic == topic && from.get(&id.partition).is_some_and(|offset| id.offset >= *offset)
}
