//! Health of a panel: whether its figures are as new as they should be, and why not. A frozen board must not look healthy.
//!
//! | state | when |
//! | --- | --- |
//! | `stopped`, `disabled`, `held` | a pipeline behind it is |
//! | `lagging` | the data are older than they may be, and a pipeline has records before it |
//! | `stale` | the data, or the last answer of the database, are older than they may be |
//! | `unknown` | no pipeline of this service is behind it, or one has not caught up with its source yet |
//! | `ok` | none of these |

use std::time::Duration;

use serde::Serialize;
use sluice_core::printable;

use super::file::{Panel, Question};
use super::observer::Observed;
use crate::config::{Pipeline, Step, quantity};
use crate::connection::ByName;
use crate::numbers::grouped;
use crate::pipeline::status::PipelineState;

/// The most partitions that a source's text names.
const SHOWN_PARTITIONS: usize = 8;

/// State of a panel, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    Unknown,
    Lagging,
    Stale,
    Held,
    Disabled,
    Stopped,
}

/// Health of a panel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    pub state: State,
    /// The reason, as a sentence.
    pub why: String,
    /// The time at which the source had what the figures contain, in milliseconds since 1970-01-01T00:00:00 UTC.
    pub data_at: Option<i64>,
    pub stale_after_ms: u64,
    pub pipelines: Vec<Origin>,
}

impl Health {
    /// Says whether two are the same but for their age.
    pub fn is_as(&self, other: &Health) -> bool {
        let told = |health: &Health| {
            let origins: Vec<_> =
                health.pipelines.iter().map(|of| (of.name.clone(), of.phase, of.digest.clone())).collect();
            (health.state, origins)
        };
        told(self) == told(other)
    }
}

/// A pipeline that a figure comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Origin {
    pub name: String,
    pub phase: PipelineState,
    pub generation: Option<u64>,
    pub digest: Option<String>,
    pub lag: Option<u64>,
    pub source: String,
    pub operators: Vec<String>,
}

/// The health of a panel at `now`, whose last answer is of `queried_at`.
pub fn of(panel: &Panel, connections: &ByName, all: &[Observed], queried_at: Option<i64>, now: i64) -> Health {
    let behind: Vec<&Observed> = match (&panel.pipelines, &panel.question) {
        (Some(names), _) => all.iter().filter(|of| names.contains(&of.snapshot.name)).collect(),
        (None, Ok(question)) => all.iter().filter(|of| writes(of, question, connections)).collect(),
        (None, Err(_)) => Vec::new(),
    };
    let limit = i64::try_from(panel.stale_after.as_millis()).unwrap_or(i64::MAX);
    let missing = panel.pipelines.iter().flatten().find(|name| behind.iter().all(|of| of.snapshot.name != **name));
    let mut states: Vec<(State, String)> = behind.iter().map(|of| state(of, panel.stale_after, limit, now)).collect();
    states.extend(missing.map(|name| (State::Unknown, format!("no pipeline {name} runs here"))));
    if behind.is_empty() && missing.is_none() {
        states.push((State::Unknown, "no pipeline of this service writes what it shows".to_owned()));
    }
    if queried_at.is_some_and(|at| now - at > limit) {
        let words =
            format!("the database has not answered for more than {}", quantity::show_duration(panel.stale_after));
        states.push((State::Stale, words));
    }
    // The first of the worst.
    let (state, why) = states
        .into_iter()
        .reduce(|worst, next| if next.0 > worst.0 { next } else { worst })
        .unwrap_or((State::Unknown, String::new()));
    let ages: Option<Vec<i64>> = behind.iter().map(|of| of.data_at).collect();
    Health {
        state,
        why,
        data_at: ages.and_then(|ages| ages.into_iter().min()),
        stale_after_ms: u64::try_from(panel.stale_after.as_millis()).unwrap_or(u64::MAX),
        pipelines: behind.into_iter().map(origin).collect(),
    }
}

/// Says whether a pipeline writes a table that the statement names.
fn writes(of: &Observed, question: &Question, connections: &ByName) -> bool {
    let sinks = of.pipeline.iter().flat_map(|pipeline| &pipeline.sinks);
    let place = |connection: &str, table: &str| {
        let sink = connections.get(connection).and_then(|connection| connection.sink());
        sink.map(|sink| sink.place(table))
    };
    sinks.into_iter().any(|sink| {
        let own = sink.table.rsplit('.').next().unwrap_or_default().to_lowercase();
        question.words.contains(&own)
            && (sink.connection == question.connection
                // A board may have an account of its own to the same database.
                || place(&sink.connection, &sink.table) == place(&question.connection, &sink.table))
    })
}

fn state(of: &Observed, stale_after: Duration, limit: i64, now: i64) -> (State, String) {
    let (name, activity) = (&of.snapshot.name, &of.snapshot.activity);
    let because = |what: &str| {
        let reason = activity.reason.as_deref().map(|reason| format!(": {}", printable(reason))).unwrap_or_default();
        format!("{name} {what}{reason}")
    };
    match activity.state {
        PipelineState::Stopped => return (State::Stopped, because("is stopped")),
        PipelineState::Finished => return (State::Stopped, because("has ended")),
        PipelineState::Disabled => return (State::Disabled, because("is disabled")),
        PipelineState::Holding => return (State::Held, because("holds")),
        PipelineState::Waiting if activity.reason.is_some() => return (State::Held, because("waits")),
        PipelineState::Waiting => return (State::Unknown, because("begins")),
        PipelineState::Running => {}
    }
    let Some(data_at) = of.data_at else {
        return (State::Unknown, format!("{name} has not caught up with its source yet"));
    };
    if now - data_at <= limit {
        return (State::Ok, "up to date".to_owned());
    }
    match of.snapshot.figures.lag {
        Some(lag) if lag > 0 => (State::Lagging, format!("{name} has {} records before it", grouped(lag))),
        _ => {
            let limit = quantity::show_duration(stale_after);
            (State::Stale, format!("the tables of {name} have had nothing new for more than {limit}"))
        }
    }
}

fn origin(of: &Observed) -> Origin {
    let operator = of.snapshot.deployed.operator.as_ref();
    Origin {
        name: of.snapshot.name.clone(),
        phase: of.snapshot.activity.state,
        generation: operator.map(|operator| operator.generation),
        digest: operator.map(|operator| operator.digest.clone()),
        lag: of.snapshot.figures.lag,
        source: source(of),
        operators: of.pipeline.as_deref().map(operators).unwrap_or_default(),
    }
}

/// How far the source is in the tables, in words.
pub fn source(of: &Observed) -> String {
    let topic = of.pipeline.as_ref().map_or("?", |pipeline| pipeline.source.topic.as_str());
    let mut places: Vec<String> = of
        .read_to
        .iter()
        .take(SHOWN_PARTITIONS)
        .map(|(partition, offset)| format!("partition {partition} to {offset}"))
        .collect();
    if of.read_to.len() > SHOWN_PARTITIONS {
        places.push(format!("and {} more partitions", of.read_to.len() - SHOWN_PARTITIONS));
    }
    let read = if places.is_empty() { "nothing read yet".to_owned() } else { places.join(", ") };
    format!("topic {topic}, {read}")
}

fn operators(pipeline: &Pipeline) -> Vec<String> {
    let name = |step: &Step| match step {
        Step::Operator(operator) => Some(operator.name.clone()),
        Step::Lookup(_) => None,
    };
    pipeline.steps.iter().filter_map(name).collect()
}
