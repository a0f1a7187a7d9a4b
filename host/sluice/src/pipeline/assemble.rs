//! A pipeline's file and the deployed operators into something that runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_connectors::sink::SinkError;
use sluice_core::chain::{Chain, FoldWindow, Join, Step};
use sluice_core::checkpoint::StateForm;
use sluice_core::constraint::Constraints;
use sluice_core::decode::AtFault;
use sluice_core::lookup::LookupError;
use sluice_core::run::FlushPolicy;
use sluice_core::window::Emit;
use sluice_core::{Field, Kind};
use sluice_runtime::{Artifact, CallTimer, OpenError};

use super::flush::{OpenSink, Table};
use super::keys;
use super::provenance;
use super::transaction;
use super::trouble::Trouble;
use crate::config;
use crate::connections::Connections;

/// Opens every step with the columns of the step before it; `timer` hears of the operators' calls. Blocks: operators are instantiated.
pub fn chain(
    pipeline: &config::Pipeline,
    artifacts: &BTreeMap<String, Artifact>,
    connections: &Connections,
    timer: Option<&CallTimer>,
) -> Result<Chain, Trouble> {
    let config::Source { columns, decode, .. } = &pipeline.source;
    let mut fields: Vec<Field> = columns.iter().map(|column| column.field.clone()).collect();
    let mut steps = Vec::with_capacity(pipeline.steps.len());
    for (index, step) in pipeline.steps.iter().enumerate() {
        let step = match step {
            config::Step::Operator(operator) => open_operator(operator, artifacts, &fields, timer),
            config::Step::Lookup(lookup) => open_lookup(lookup, connections, &fields),
        };
        let step = step.map_err(|trouble| at(index, trouble))?;
        fields = step.output_fields(&fields);
        steps.push(step);
    }
    let chain = Chain::windowed(columns, decode.clone(), steps, window(pipeline)?.as_ref());
    let mut chain = chain.map_err(|error| Trouble::wrong(error.to_string()))?;
    let (record, row) = at_fault(pipeline.on_error);
    chain.when_bad(record, row);
    Ok(chain)
}

/// Returns the treatment of records that can't be decoded, and of records with a row at fault.
fn at_fault(on_error: Option<config::OnError>) -> (AtFault, AtFault) {
    match on_error {
        None => (AtFault::Stops, AtFault::IsLeftOut),
        Some(config::OnError::Stop) => (AtFault::Stops, AtFault::Stops),
        Some(config::OnError::Skip | config::OnError::DeadLetter) => (AtFault::IsLeftOut, AtFault::IsLeftOut),
    }
}

/// The window of the last step; no other step may have one.
fn window(pipeline: &config::Pipeline) -> Result<Option<FoldWindow>, Trouble> {
    let mut windows = pipeline.steps.iter().map(|step| match step {
        config::Step::Operator(operator) => operator.window.as_ref(),
        config::Step::Lookup(_) => None,
    });
    let last = windows.next_back().flatten();
    match windows.position(|window| window.is_some()) {
        None => Ok(last.map(|window| FoldWindow { time: window.time.clone(), options: window.options })),
        Some(index) => Err(at(index, Trouble::wrong("a window belongs to the last step, an aggregator"))),
    }
}

fn at(index: usize, trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Wrong(reasons) => {
            Trouble::Wrong(reasons.into_iter().map(|reason| format!("step[{index}]: {reason}")).collect())
        }
        Trouble::Operator(reason) => Trouble::Operator(format!("step[{index}]: {reason}")),
        other @ (Trouble::Away(_) | Trouble::Held(_)) => other,
    }
}

fn open_operator(
    operator: &config::OperatorStep,
    artifacts: &BTreeMap<String, Artifact>,
    fields: &[Field],
    timer: Option<&CallTimer>,
) -> Result<Step, Trouble> {
    let name = operator.name.clone();
    let artifact = artifacts
        .get(&name)
        .ok_or_else(|| Trouble::wrong(format!("there is no operator `{name}` in the directory of operators")))?;
    let mut instance =
        artifact.open(&operator.config.to_string(), fields, &operator.limits, &name).map_err(|error| {
            let reason = format!("operator `{name}`: {error}");
            match error {
                OpenError::Trap(_) | OpenError::Limit(_) | OpenError::Contract(_) => Trouble::Operator(reason),
                OpenError::Refused(_) | OpenError::NoRoom(_) | OpenError::Interrupted => Trouble::wrong(reason),
            }
        })?;
    timer.inspect(|timer| instance.timed_by(timer));
    Ok(Step::Operator { name, instance: Box::new(instance) })
}

fn open_lookup(lookup: &config::Lookup, connections: &Connections, fields: &[Field]) -> Result<Step, Trouble> {
    let key = position(fields, &lookup.key)
        .ok_or_else(|| Trouble::wrong(format!("the lookup's key `{}` is not among {}", lookup.key, list(fields))))?;
    if !matches!(fields[key].kind, Kind::Int64 | Kind::Utf8) {
        return Err(Trouble::wrong(format!("the lookup's key {} must be int64 or utf8", fields[key])));
    }
    if lookup.table.key.encoding.is_some() && fields[key].kind != Kind::Int64 {
        return Err(Trouble::wrong(format!(
            "the lookup's key {} must be int64, as its encoding is a number's",
            fields[key]
        )));
    }
    if let Some(twice) = lookup.fields.iter().find(|column| position(fields, &column.name).is_some()) {
        return Err(Trouble::wrong(format!(
            "the lookup's column `{}` is there already; name it otherwise",
            twice.name
        )));
    }
    let columns = lookup.fields.clone();
    let join = match lookup.join {
        config::Join::Inner => Join::Inner,
        config::Join::Left => Join::Left,
        config::Join::Required => Join::Required,
    };
    let lookup = connections.open_lookup(lookup).map_err(lookup_trouble)?;
    Ok(Step::Lookup { key, columns, join, lookup })
}

fn lookup_trouble(error: LookupError) -> Trouble {
    match error {
        LookupError::Unavailable(reason) => Trouble::Away(reason),
        LookupError::Unusable(reason) => Trouble::wrong(reason),
    }
}

/// Checks that every lookup's table is there. Done at the start, since a server takes minutes to refuse a batch. Blocks.
pub fn check_lookups(pipeline: &config::Pipeline, connections: &Connections) -> Result<(), Trouble> {
    for step in &pipeline.steps {
        if let config::Step::Lookup(lookup) = step {
            connections.check_lookup(lookup).map_err(lookup_trouble)?;
        }
    }
    Ok(())
}

/// Opens every sink for these rows, of a fold whose groups have this form or of none; all that is wrong with all of them is
/// said at once.
pub async fn sinks(
    pipeline: &config::Pipeline,
    connections: &Arc<Connections>,
    fields: &[Field],
    groups: Option<&StateForm>,
) -> Result<(Vec<OpenSink>, Constraints), Trouble> {
    let mut open = Vec::with_capacity(pipeline.sinks.len());
    let mut wrong = Vec::new();
    for settings in &pipeline.sinks {
        match sink(pipeline, connections, settings, (fields, groups)).await {
            Ok(sink) => open.push(sink),
            Err(Trouble::Wrong(reasons)) => wrong.extend(reasons),
            Err(trouble) => return Err(trouble),
        }
    }
    if !wrong.is_empty() {
        return Err(Trouble::Wrong(wrong));
    }
    let each: Vec<_> = open.iter().map(|open| open.table.constraints()).collect();
    let constraints = Constraints::new(fields, &each);
    Ok((open, constraints))
}

async fn sink(
    pipeline: &config::Pipeline,
    connections: &Arc<Connections>,
    settings: &config::Sink,
    (fields, groups): (&[Field], Option<&StateForm>),
) -> Result<OpenSink, Trouble> {
    let key = key_columns(settings, fields).map_err(Trouble::wrong)?;
    let written = provenance::written(settings, fields).map_err(Trouble::wrong)?;
    // Before a table is made for it.
    if let Some(reason) = key_problem(settings, groups).or_else(|| tombstones_problem(pipeline, settings, groups)) {
        return Err(Trouble::wrong(reason));
    }
    let folds = groups.is_some();
    let table = match settings.delivery {
        config::Delivery::Upsert => connections.open_sink(settings, &written, folds).await.map(Table::Upserts),
        config::Delivery::Transaction => {
            connections.open_transactions(pipeline, settings, &written, folds).await.map(Table::Transactions)
        }
    };
    let mut table = table.map_err(|error| match error {
        SinkError::Unavailable(reason) | SinkError::Replaced(reason) => Trouble::Away(reason),
        SinkError::Unusable(reason) | SinkError::Rows(reason) => Trouble::wrong(reason),
        SinkError::Mismatch(reasons) => Trouble::Wrong(reasons),
    })?;
    if folds && !shows_closed_windows(pipeline) {
        table.expect_rows();
    }
    let name = format!("{}.{}", settings.connection, settings.table);
    let config::Sink { generation, tombstones, flush, .. } = settings;
    Ok(OpenSink { table, name, key, generation: *generation, tombstones: *tombstones, retries: flush.retries })
}

/// Returns the positions of the key's columns in the result.
pub fn key_columns(sink: &config::Sink, fields: &[Field]) -> Result<Vec<usize>, String> {
    let missing = |name: &String| format!("the sink's key `{name}` is not a column of the result ({})", list(fields));
    sink.key.iter().map(|name| position(fields, name).ok_or_else(|| missing(name))).collect()
}

/// Returns the reason why a sink's key doesn't fit the rows of a fold; none if it does.
pub fn key_problem(sink: &config::Sink, groups: Option<&StateForm>) -> Option<String> {
    let groups = groups?;
    transaction::keyless(sink, true).or_else(|| keys::misfit(sink, groups))
}

/// Returns the reason why a sink waits for tombstones in vain; none if it doesn't.
pub fn tombstones_problem(
    pipeline: &config::Pipeline,
    sink: &config::Sink,
    groups: Option<&StateForm>,
) -> Option<String> {
    let ends = groups.is_some_and(|form| form.window.is_some()) || groups.is_some() && pipeline.state.ttl.is_some();
    (sink.tombstones && !ends).then(|| {
        let topic = &sink.table;
        format!(
            "the sink of topic `{topic}` has `tombstones`, and no group of this pipeline ends: that takes an aggregator with a window,              or with `state.ttl`"
        )
    })
}

/// Returns the policy by which the pipeline flushes: as soon as any of its sinks wants it.
pub fn flush_policy(pipeline: &config::Pipeline) -> FlushPolicy {
    let flushes = || pipeline.sinks.iter().map(|sink| &sink.flush);
    FlushPolicy {
        rows: flushes().map(|flush| flush.rows as usize).min().unwrap_or(1),
        interval: flushes().map(|flush| flush.interval).min().unwrap_or_default(),
    }
}

/// The operators that a pipeline names.
pub fn operator_names(pipeline: &config::Pipeline) -> impl Iterator<Item = &str> {
    pipeline.steps.iter().filter_map(|step| match step {
        config::Step::Operator(operator) => Some(operator.name.as_str()),
        config::Step::Lookup(_) => None,
    })
}

/// Returns true if groups have rows only once their windows are over: until then an empty table lacks no row.
pub fn shows_closed_windows(pipeline: &config::Pipeline) -> bool {
    pipeline.steps.iter().any(|step| match step {
        config::Step::Operator(operator) => {
            operator.window.as_ref().is_some_and(|window| window.options.emit == Emit::Closed)
        }
        config::Step::Lookup(_) => false,
    })
}

fn position(fields: &[Field], name: &str) -> Option<usize> {
    fields.iter().position(|field| field.name == name)
}

fn list(fields: &[Field]) -> String {
    fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
