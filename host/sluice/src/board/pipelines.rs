//! Pipelines for people: what each does, how fast, and what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Value, json};
use sluice_clock::Stopwatch;
use sluice_connectors::letters::{Filter, Letter, MAX_FOUND};
use sluice_core::deploy::History;
use sluice_core::{printable, time};

use super::health;
use super::observer::{Observed, Pipelines, now_ms};
use crate::config::{Pipeline, Step, unveiled};
use crate::connections::Connections;
use crate::log::recent;

/// The longest sample of a record, in characters.
const SAMPLE: usize = 400;

/// Lines of the log that are shown of a pipeline.
const LINES: usize = 50;

/// Reasons of rejections that are shown.
const REASONS: usize = 50;

/// Age up to which a look at a pipeline's letters counts for the next. Shorter: each viewer of a pipeline is one more that looks through
/// letters. Longer: letters that are driven through again stay in sight.
const LETTERS_FOR: Duration = Duration::from_secs(5);

/// The longest wait for letters. Shorter: a slow database has none. Longer: people wait for all else.
const LETTERS_WITHIN: Duration = Duration::from_secs(3);

/// The list's JSON, made once for each look.
#[derive(Default)]
pub struct List(Mutex<Option<(Pipelines, Bytes)>>);

impl List {
    /// The JSON of all.
    pub fn of(&self, pipelines: &Pipelines) -> Bytes {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((of, json)) if Arc::ptr_eq(of, pipelines) => json.clone(),
            _ => {
                let now = now_ms();
                let items: Vec<Value> = pipelines.iter().map(|of| item(of, now)).collect();
                let json = Bytes::from(json!({ "now": now, "pipelines": items }).to_string());
                *last = Some((Arc::clone(pipelines), json.clone()));
                json
            }
        }
    }
}

/// A pipeline in the list.
fn item(of: &Observed, now: i64) -> Value {
    let (snapshot, figures) = (&of.snapshot, &of.snapshot.figures);
    let deployed = &snapshot.deployed;
    let operator = deployed.operator.as_ref();
    let text = |text: &String| printable(text).into_owned();
    json!({
        "name": snapshot.name,
        "phase": snapshot.activity.state,
        "why": snapshot.activity.reason.as_ref().map(text),
        "records_per_s": snapshot.rate,
        "lag": figures.lag,
        "batch_ms": of.batch_ms,
        "delay_ms": of.data_at.map(|at| (now - at).max(0)),
        "state_bytes": figures.checkpoint_bytes,
        "groups": figures.groups_in_memory,
        "generation": operator.map(|operator| operator.generation),
        "digest": operator.map(|operator| &operator.digest),
        "swapped_at": deployed.since.as_deref().and_then(time::parse).map(|micros| micros / 1_000),
        "rejected": figures.rejected,
        "dead_letters": figures.dead_letters,
        "refused": deployed.refused.as_ref().map(text),
        "pinned": deployed.pinned,
        "on_trial": deployed.on_trial,
        "source": health::source(of),
        "chain": of.pipeline.as_deref().map(|pipeline| chain(pipeline, figures.groups_in_memory.is_some())).unwrap_or_default(),
    })
}

fn chain(pipeline: &Pipeline, folds: bool) -> Vec<Value> {
    let part = |kind: &str, name: &str, detail: String| json!({ "kind": kind, "name": name, "detail": detail });
    let source = &pipeline.source;
    let mut chain = vec![part("source", &source.topic, format!("{}, as {}", source.connection, source.group))];
    let last = pipeline.steps.iter().rposition(|step| matches!(step, Step::Operator(_)));
    for (index, step) in pipeline.steps.iter().enumerate() {
        chain.push(match step {
            Step::Lookup(lookup) => {
                part("lookup", &lookup.table.table, format!("{}, by {}", lookup.connection, lookup.key))
            }
            Step::Operator(operator) => {
                let kind = if folds && Some(index) == last { "fold" } else { "transform" };
                let detail = if operator.window.is_some() { "in windows" } else { "" };
                part(kind, &operator.name, detail.to_owned())
            }
        });
    }
    chain.extend(
        pipeline
            .sinks
            .iter()
            .map(|sink| part("sink", &sink.table, format!("{}, by {}", sink.connection, sink.key.join(", ")))),
    );
    chain
}

/// Everything of one pipeline.
pub fn detail(of: &Observed, history: &History, letters: &Letters) -> Value {
    let now = now_ms();
    let deployed = &of.snapshot.deployed;
    let generations = history.deployments().rev().map(|deployment| {
        let operators = deployment.operators.iter().map(|(name, digest)| json!({ "name": name, "digest": digest }));
        json!({
            "generation": deployment.generation,
            "at": deployment.time / 1_000,
            "outcome": deployment.outcome,
            "operators": operators.collect::<Vec<_>>(),
            "why": deployment.reason.as_ref().map(|reason| shown(reason)),
        })
    });
    let mut reasons: Vec<(&String, &u64)> = of.snapshot.figures.reasons.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let rejected = reasons.into_iter().take(REASONS).map(|(reason, count)| {
        let sample =
            letters.samples.iter().find(|(of, _)| of.contains(reason.as_str()) || reason.contains(of.as_str()));
        json!({ "reason": shown(reason), "count": count, "sample": sample.map(|(_, sample)| sample) })
    });
    let mut keys = BTreeSet::from([of.snapshot.name.as_str()]);
    let operators: Vec<&str> = of
        .pipeline
        .iter()
        .flat_map(|pipeline| &pipeline.steps)
        .filter_map(|step| match step {
            Step::Operator(operator) => Some(operator.name.as_str()),
            Step::Lookup(_) => None,
        })
        .collect();
    keys.extend(&operators);
    json!({
        "now": now,
        "pipeline": item(of, now),
        "pinned": deployed.pinned,
        "on_trial": deployed.on_trial,
        "refused": deployed.refused.as_ref().map(|reason| shown(reason)),
        "generations": generations.collect::<Vec<_>>(),
        "rates": &*of.points,
        "rejected": rejected.collect::<Vec<_>>(),
        "dead_letters": { "place": letters.place, "count": letters.count, "sample": letters.samples.first().map(|(_, sample)| sample) },
        "log": recent::lines(keys, LINES),
    })
}

/// A text that comes from outside, as it may be shown.
fn shown(text: &str) -> String {
    printable(&unveiled(text)).into_owned()
}

/// Dead letters of a pipeline.
#[derive(Debug, Clone, Default)]
pub struct Letters {
    place: Option<String>,
    /// The number of letters; none where there are more than a search finds, or nobody answers.
    count: Option<usize>,
    /// Reasons, and a record of each.
    samples: Vec<(String, String)>,
}

/// Looks at letters, each of which counts for a while.
#[derive(Default)]
pub struct LettersSeen(tokio::sync::Mutex<BTreeMap<String, (Stopwatch, Letters)>>);

impl LettersSeen {
    /// The letters of a pipeline, for all who ask for them at about this time.
    pub async fn of(&self, pipeline: &Pipeline, connections: &Connections) -> Letters {
        let mut seen = self.0.lock().await;
        seen.retain(|_, (since, _)| since.elapsed() < LETTERS_FOR);
        if let Some((_, letters)) = seen.get(&pipeline.name) {
            return letters.clone();
        }
        let looked = tokio::time::timeout(LETTERS_WITHIN, look(pipeline, connections)).await.unwrap_or_default();
        seen.insert(pipeline.name.clone(), (Stopwatch::start(), looked.clone()));
        looked
    }
}

async fn look(pipeline: &Pipeline, connections: &Connections) -> Letters {
    let Some(place) = &pipeline.dead_letters else { return Letters::default() };
    let none = Letters { place: Some(place.to_string()), ..Letters::default() };
    let Ok(mut letterbox) = connections.letters(place) else { return none };
    let filter = Filter { pipeline: Some(pipeline.name.clone()), ..Filter::default() };
    let Ok(found) = letterbox.find(&filter, None).await else { return none };
    let count = (found.len() < MAX_FOUND).then_some(found.len());
    let mut samples: Vec<(String, String)> = Vec::new();
    for letter in found {
        let reason = &letter.letter.reason;
        if samples.len() < REASONS && samples.iter().all(|(of, _)| of != reason) {
            samples.push((reason.clone(), sample(&letter)));
        }
    }
    Letters { count, samples, ..none }
}

/// The letter's record, in short.
fn sample(letter: &Letter) -> String {
    let (id, value) = (&letter.letter.id, letter.letter.value.as_deref().unwrap_or_default());
    let value = shown(&String::from_utf8_lossy(value));
    let end = value.char_indices().nth(SAMPLE).map_or(value.len(), |(end, _)| end);
    let cut = if end < value.len() { "…" } else { "" };
    format!("{}/{}/{}: {}{cut}", id.topic, id.partition, id.offset, &value[..end])
}

/// Asks for a retry of all letters of a pipeline; answers a sentence.
pub async fn retry(pipeline: &Pipeline, connections: &Connections) -> Result<String, String> {
    let place = pipeline.dead_letters.as_ref().ok_or_else(|| format!("{} keeps no dead letters", pipeline.name))?;
    let filter = Filter { pipeline: Some(pipeline.name.clone()), ..Filter::default() };
    let mut letterbox = connections.letters(place).map_err(|error| error.to_string())?;
    let marked = letterbox.mark(&filter).await.map_err(|error| error.to_string())?;
    Ok(format!("{marked} to be driven through again"))
}
