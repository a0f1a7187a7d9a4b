//! A table's rows for a pipeline's lane: those that are remembered, and those that are asked for.

use std::sync::Arc;
use std::time::Duration;

use sluice_core::Kind;
use sluice_core::lookup::{Found, Lookup, LookupError};

use super::InstantSource;
use super::cache::RowCache;
use super::row::{self, Answer, Row};

/// The time that a batch waits for a server that is away before the pipeline is told. Longer hides short restarts and delays
/// the word that something is wrong, and a stop.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pause before a server that is away is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// A table that is asked for rows by their keys. Blocks while the server answers.
pub(crate) trait Asked: Send {
    /// The most keys in a call.
    fn keys_per_call(&self) -> usize;

    /// Returns true if no row of such a table can have the key, which then isn't asked for.
    fn is_impossible(&self, _key: &[u8]) -> bool {
        false
    }

    /// Answers of the table to these distinct keys, in their order.
    fn ask(&mut self, keys: &[&[u8]]) -> Result<Vec<Answer>, Unanswered>;

    /// The table, as a sentence names it.
    fn name(&self) -> String;
}

/// The reason why there are no rows.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// The rows are more than is read of one answer: a call with fewer keys may be answered.
    TooLarge(String),
    /// The call failed, and would fail with fewer keys too.
    Failed(LookupError),
}

impl From<LookupError> for Unanswered {
    fn from(error: LookupError) -> Unanswered {
        Unanswered::Failed(error)
    }
}

/// Columns of a table, by key.
pub(crate) struct CachedLookup<T> {
    table: T,
    kinds: Vec<Kind>,
    /// Cache of rows; with none, every batch asks the server.
    cache: Option<Arc<RowCache>>,
    clock: InstantSource,
}

impl<T: Asked> CachedLookup<T> {
    pub(super) fn new(
        table: T,
        kinds: Vec<Kind>,
        cache: Option<Arc<RowCache>>,
        clock: InstantSource,
    ) -> CachedLookup<T> {
        CachedLookup { table, kinds, cache, clock }
    }

    /// Asks for the rows of these keys, and waits while the server is away. If an answer is too large, asks for each half of
    /// the keys, down to a single row that is too large by itself.
    fn ask(&mut self, keys: &[&[u8]]) -> Result<Vec<Answer>, LookupError> {
        let patient_until = (self.clock)() + PATIENCE;
        loop {
            match self.table.ask(keys) {
                Err(Unanswered::Failed(LookupError::Unavailable(_))) if (self.clock)() < patient_until => {
                    sluice_clock::sleep(PAUSE);
                }
                Err(Unanswered::Failed(error)) => return Err(error),
                Err(Unanswered::TooLarge(why)) if keys.len() > 1 => {
                    tracing::debug!("{}: {why}; asking for half of {} rows", self.table.name(), keys.len());
                    let (first, second) = keys.split_at(keys.len() / 2);
                    return Ok([self.ask(first)?, self.ask(second)?].concat());
                }
                Err(Unanswered::TooLarge(why)) => return Ok(vec![self.too_large(keys, &why)]),
                Ok(answers) => return Ok(answers),
            }
        }
    }

    fn too_large(&self, keys: &[&[u8]], why: &str) -> Answer {
        let key = keys.first().map(|key| String::from_utf8_lossy(key).into_owned()).unwrap_or_default();
        Answer::Unfit(format!("{}, row {key:?}, is too large to be read: {why}", self.table.name()).into())
    }

    /// The rows that needn't be asked for.
    fn known(&self, keys: &[&[u8]]) -> Vec<Option<Arc<Row>>> {
        let now = (self.clock)();
        let absent = |key: &[u8]| {
            let absent = Row { until: now, answer: Answer::Absent };
            self.table.is_impossible(key).then(|| Arc::new(absent))
        };
        let known = |key: &&[u8]| self.cache.as_ref().and_then(|cache| cache.get(key, now)).or_else(|| absent(key));
        keys.iter().map(known).collect()
    }

    fn remembered(&self, keys: &[&[u8]], answers: Vec<Answer>) -> Vec<Arc<Row>> {
        let now = (self.clock)();
        let until = self.cache.as_ref().map_or(now, |cache| cache.until(now));
        let rows: Vec<_> = answers.into_iter().map(|answer| Arc::new(Row { until, answer })).collect();
        if let Some(cache) = &self.cache {
            keys.iter().zip(&rows).for_each(|(key, row)| cache.insert(key, Arc::clone(row)));
        }
        rows
    }
}

impl<T: Asked> Lookup for CachedLookup<T> {
    fn get(&mut self, keys: &[&[u8]]) -> Result<Found, LookupError> {
        let known = self.known(keys);
        let missing: Vec<_> = keys.iter().zip(&known).filter(|(_, row)| row.is_none()).map(|(key, _)| *key).collect();
        let mut asked = Vec::with_capacity(missing.len());
        for chunk in missing.chunks(self.table.keys_per_call()) {
            let answers = self.ask(chunk)?;
            asked.extend(self.remembered(chunk, answers));
        }
        let mut asked = asked.into_iter();
        // As many were asked for as were not known.
        let rows: Vec<_> = known.into_iter().filter_map(|row| row.or_else(|| asked.next())).collect();
        row::found(&rows, &self.kinds)
    }
}
