//! `pipelines/*.toml`: one chain a file.

use std::path::{Path, PathBuf};

use sluice_core::Field;
use sluice_core::deploy::Bounds;

use super::declared::Declared;
use super::environment::Env;
use super::on_error::{self, Beside, DeadLetters, OnError};
use super::probation::{self, OnIncompatible};
use super::problem::Problem;
use super::reader::{self, Item, Section};
use super::sink::{self, Delivery, MAX_SINKS, Sink};
use super::source::{self, Source};
use super::state::{self, State};
use super::step::{self, MAX_STEPS, Step};
use super::{file, value};
use crate::connection::Place;

/// Pipeline: a source, steps, sinks.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Name of the pipeline: its file's name without `.toml`.
    pub name: String,
    /// File of the pipeline.
    pub file: PathBuf,
    /// Source of the records.
    pub source: Source,
    /// Steps that the rows pass, in this order.
    pub steps: Vec<Step>,
    /// Tables that the pipeline writes. At least one; no table twice.
    pub sinks: Vec<Sink>,
    /// Bounds of the fold's groups.
    pub state: State,
    /// Bounds of the trial of changed operators.
    pub probation: Bounds,
    /// Treatment of a checkpoint whose states don't fit.
    pub on_incompatible: OnIncompatible,
    /// Treatment of records at fault. If unset, the source's options decide about records that can't be decoded, and others
    /// become dead letters.
    pub on_error: Option<OnError>,
    /// Destination of dead letters; none if the pipeline makes none.
    pub dead_letters: Option<DeadLetters>,
}

impl Pipeline {
    /// The sink that is written in transactions, if there is one.
    pub fn transaction(&self) -> Option<&Sink> {
        self.sinks.iter().find(|sink| in_transactions(sink))
    }
}

/// Reads one pipeline's file.
pub fn load(path: &Path, declared: &Declared, env: Env<'_>) -> Result<Pipeline, Vec<Problem>> {
    parse(path, || file::read_text(path), declared, env)
}

/// Reads one pipeline's file, whose text this gives.
pub fn parse(
    path: &Path,
    text: impl FnOnce() -> Result<String, Problem>,
    declared: &Declared,
    env: Env<'_>,
) -> Result<Pipeline, Vec<Problem>> {
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if !value::is_name(name) {
        let want = format!("{} before .toml, since it names the pipeline", value::NAME);
        return Err(vec![Problem::of_file(path, "this file name", want)]);
    }
    let text = text().map_err(|problem| vec![problem])?;
    let reading = reader::read(path, &text, env, |section| pipeline(section, name, path, declared));
    match reading.value {
        Some(pipeline) if reading.problems.is_empty() => Ok(pipeline),
        _ => Err(reading.problems),
    }
}

fn pipeline(section: &Section<'_>, name: &str, file: &Path, declared: &Declared) -> Option<Pipeline> {
    let source = section.required("source", "a table [source]", |item| {
        item.table("a table [source]", |section| source::read(section, declared))
    });
    // What is known of the columns at each place; none where a problem or an operator hides them.
    let mut flow: Option<Vec<Field>> =
        source.as_ref().map(|source| source.columns.iter().map(|column| column.field.clone()).collect());
    let steps = section.or("step", Vec::new(), |item| {
        let items = item.list("tables [[step]]", MAX_STEPS);
        if items.is_none() {
            flow = None;
        }
        let steps: Vec<_> = items?.iter().map(|item| step::read(item, declared, &mut flow)).collect();
        steps.into_iter().collect()
    });
    let windowed = windowed(&steps);
    let sinks = section.required("sink", "at least one table [[sink]]", |item| {
        let sinks = read_sinks(&item, declared, flow.as_deref(), windowed);
        let reads = |sink: &Sink| source.as_ref().is_some_and(|source| is_read(source, sink));
        if sinks.iter().flatten().any(reads) {
            item.problem("a sink into the topic that this pipeline reads", "a topic of its own for the rows");
        }
        sinks
    });
    let state = section.or("state", State::default(), |item| read_state(&item, windowed));
    let once = sinks.iter().flatten().any(in_transactions);
    let probation = section
        .or("probation", if once { Bounds::NONE } else { Bounds::default() }, |item| read_probation(&item, once));
    let on_incompatible =
        section.or("on_incompatible", OnIncompatible::default(), |item| probation::read_policy(&item));
    let on_error = section.or("on_error", None, |item| on_error::read_policy(&item).map(Some));
    let policy = on_error.flatten();
    let beside = Beside { file, source: source.as_ref(), sinks: sinks.as_deref() };
    let dead_letters = on_error::read_letters(section, declared, policy, &beside);
    Some(Pipeline {
        name: name.to_owned(),
        file: file.to_owned(),
        source: source?,
        steps: steps?,
        sinks: sinks?,
        state: state?,
        probation: probation?,
        on_incompatible: on_incompatible?,
        on_error: on_error?,
        dead_letters: dead_letters?,
    })
}

fn read_sinks(item: &Item<'_>, declared: &Declared, columns: Option<&[Field]>, windowed: bool) -> Option<Vec<Sink>> {
    let items = item.list("tables [[sink]]", MAX_SINKS)?;
    let mut sinks: Vec<Option<Sink>> = Vec::new();
    for item in items {
        let sink = item.table("a table [[sink]]", |section| sink::read(section, declared, columns));
        if let Some(sink) = &sink {
            check_sink(&item, sink, &sinks, windowed);
        }
        sinks.push(sink);
    }
    sinks.into_iter().collect()
}

/// Notes problems of a sink together with the sinks before it.
fn check_sink(item: &Item<'_>, sink: &Sink, before: &[Option<Sink>], windowed: bool) {
    if windowed && !sink.key.iter().any(|key| key == "window_start") {
        item.problem("a key without `window_start`", "it in the key, since a window has rows of its own");
    }
    if before.iter().flatten().any(|other| same(sink, other)) {
        item.problem("a table or topic that another sink of this pipeline writes", "each once");
    }
    if in_transactions(sink) && before.iter().flatten().any(in_transactions) {
        let want = "one sink with delivery = \"transaction\", since only one database can say how far the rows are";
        item.problem("another sink with delivery = \"transaction\"", want);
    }
}

fn read_state(item: &Item<'_>, windowed: bool) -> Option<State> {
    let state = item.table(r#"a table [state] such as memory = "256MiB", ttl = "7d""#, state::read);
    if windowed && state.is_some_and(|state| state.ttl.is_some()) {
        item.problem("a `ttl` for groups of windows", "no `ttl`, since their windows say how long they are kept");
    }
    state
}

/// Reads the bounds of the trial. A trial's rows are written and may be written again; `once` says that rows are written once.
fn read_probation(item: &Item<'_>, once: bool) -> Option<Bounds> {
    let bounds = item.table(r#"a table such as { time = "60s", rows = 100000 }"#, probation::read);
    if once && bounds.is_some_and(|bounds| !bounds.is_none()) {
        item.problem(
            "a trial, with a sink of `delivery = \"transaction\"`",
            "no `probation`: rows that are written only once can't be taken back",
        );
    }
    bounds
}

fn windowed(steps: &Option<Vec<Step>>) -> bool {
    let windows = |step: &Step| matches!(step, Step::Operator(operator) if operator.window.is_some());
    steps.iter().flatten().any(windows)
}

fn in_transactions(sink: &Sink) -> bool {
    sink.delivery == Delivery::Transaction
}

fn is_read(source: &Source, sink: &Sink) -> bool {
    sink.place == Place::Topic && (&source.connection, &source.topic) == (&sink.connection, &sink.table)
}

fn same(one: &Sink, other: &Sink) -> bool {
    (&one.connection, &one.table) == (&other.connection, &other.table)
}
