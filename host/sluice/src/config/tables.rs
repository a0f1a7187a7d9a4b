//! Tables that are written twice: two writers would replace each other's rows.

use std::collections::BTreeMap;

use sluice_connectors::roles::TableName;

use super::pipeline::Pipeline;
use super::problem::Problem;
use super::sink::Sink;
use crate::connection::ByName;

/// A problem for each sink that writes a table which a sink before it writes, unless both say that they share it, or both only
/// add rows.
pub fn shared_tables(pipelines: &[Pipeline], connections: &ByName) -> Vec<Problem> {
    let mut first: BTreeMap<TableName, (&Pipeline, &Sink)> = BTreeMap::new();
    let mut problems = Vec::new();
    for pipeline in pipelines {
        for (index, sink) in pipeline.sinks.iter().enumerate() {
            let on = connections.get(&sink.connection).and_then(|on| on.sink());
            let Some(place) = on.map(|on| on.place(&sink.table)) else { continue };
            let Some((other, before)) = first.get(&place) else {
                first.insert(place, (pipeline, sink));
                continue;
            };
            // That its own file names a table twice is said where the file is read.
            let same_words = other.name == pipeline.name && before.connection == sink.connection;
            if !same_words && !may_both_write(before, sink) {
                problems.push(problem(pipeline, index, other));
            }
        }
    }
    problems
}

fn may_both_write(one: &Sink, other: &Sink) -> bool {
    (one.shared && other.shared) || (one.key.is_empty() && other.key.is_empty())
}

fn problem(pipeline: &Pipeline, index: usize, other: &Pipeline) -> Problem {
    let who = match other.name == pipeline.name {
        true => "another sink of this pipeline".to_owned(),
        false => format!("pipeline {}", other.name),
    };
    let found = format!("{:?}, which {who} writes", pipeline.sinks[index].table);
    let key = pipeline.sinks[index].place.key();
    let want = format!("a {key} of its own for each, or `shared = true` in both sinks if no key is ever both's");
    Problem::new(&pipeline.file, format!("sink[{index}].{key}"), found, want)
}
