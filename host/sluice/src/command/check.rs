//! `sluice check`: everything that can be wrong, at once.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use sluice_connectors::sink::SinkError;
use sluice_core::Field;
use sluice_core::chain::Chain;
use sluice_core::identity::Identity;
use sluice_core::{printable, printable_json};
use sluice_runtime::Artifact;

use super::answer::Output;
use super::{ConfigFile, block_on};
use crate::board;
use crate::config::{Config, Pipeline, Problem, Step, unveiled};
use crate::connection::Place;
use crate::connections::Connections;
use crate::operators::{Deployed, Directory};
use crate::pipeline::{assemble, provenance};
use crate::service;

/// Say everything that is wrong: files, operators and, unless offline, servers, topics and tables.
#[derive(Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    file: ConfigFile,
    /// Ask no server.
    #[arg(long)]
    offline: bool,
    /// Print the problems as a JSON array.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let problems = match self.file.load_whole() {
            Ok(config) => block_on(check(&config, self.offline))?,
            Err(problems) => problems.0,
        };
        self.print(&problems)?;
        Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn print(&self, problems: &[Problem]) -> anyhow::Result<()> {
        let mut out = Output::new();
        if self.json {
            writeln!(out, "{}", printable_json(&serde_json::to_string_pretty(problems)?))?;
            return Ok(());
        }
        for problem in problems {
            writeln!(out, "{}", printable(&problem.to_string()))?;
        }
        match problems.len() {
            0 => writeln!(out, "all is well")?,
            1 => writeln!(out, "1 problem")?,
            n => writeln!(out, "{n} problems")?,
        }
        Ok(())
    }
}

/// Finds the problems that remain although every file can be read.
async fn check(config: &Config, offline: bool) -> anyhow::Result<Vec<Problem>> {
    let connections = Arc::new(Connections::new(&config.connections));
    let deployed = deployed(config).await?;
    let mut problems = Vec::new();
    if config.pipelines.is_empty() {
        problems.push(Problem::of_file(&config.pipelines_dir, "no pipeline", "a file <name>.toml for each pipeline"));
    }
    problems.extend(config.board.iter().flat_map(|board| board::problems(board, &config.connections)));
    for pipeline in &config.pipelines {
        let checked = check_operators(pipeline, &deployed, &connections);
        if !offline {
            let rows = checked.as_ref().ok().map(|chain| (chain.output_fields(), chain.fold().is_some()));
            check_servers(pipeline, &connections, rows, &mut problems).await;
        }
        if let Err(found) = checked {
            problems.extend(found);
        }
    }
    Ok(problems)
}

async fn deployed(config: &Config) -> anyhow::Result<Deployed> {
    let names = config.pipelines.iter().flat_map(assemble::operator_names).map(str::to_owned).collect();
    let directory = Directory::new(&config.operators, &names, Arc::new(service::runtime(config)?));
    Ok(directory.look_once().await)
}

fn check_operators(pipeline: &Pipeline, deployed: &Deployed, connections: &Connections) -> Result<Chain, Vec<Problem>> {
    let mut problems = Vec::new();
    for (index, step) in pipeline.steps.iter().enumerate() {
        if let Step::Operator(operator) = step
            && let Some(reason) = deployed.refused.get(&operator.name)
        {
            let key = format!("step[{index}].operator");
            problems.push(problem(pipeline, key, reason.clone(), "an operator that can run"));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let artifacts: &BTreeMap<String, Artifact> = &deployed.artifacts;
    let chain = assemble::chain(pipeline, artifacts, connections, None).map_err(|trouble| {
        vec![problem(pipeline, "step".to_owned(), trouble.to_string(), "steps whose columns fit together")]
    })?;
    for (index, sink) in pipeline.sinks.iter().enumerate() {
        if let Err(reason) = assemble::key_columns(sink, chain.output_fields()) {
            problems.push(problem(pipeline, format!("sink[{index}].key"), reason, "columns of the result"));
        }
        if let Some(reason) = assemble::key_problem(sink, chain.fold().map(|fold| fold.form())) {
            let want = "the columns that identify a group";
            problems.push(problem(pipeline, format!("sink[{index}].key"), reason, want));
        }
        if let Some(reason) = assemble::tombstones_problem(pipeline, sink, chain.fold().map(|fold| fold.form())) {
            problems.push(problem(pipeline, format!("sink[{index}].tombstones"), reason, "groups that end"));
        }
    }
    if problems.is_empty() { Ok(chain) } else { Err(problems) }
}

/// Checks the servers. `rows` are the rows' columns and whether a fold makes them, if the operators tell.
async fn check_servers(
    pipeline: &Pipeline,
    connections: &Arc<Connections>,
    rows: Option<(&[Field], bool)>,
    problems: &mut Vec<Problem>,
) {
    let (shared, source) = (Arc::clone(connections), pipeline.source.clone());
    let opened = tokio::task::spawn_blocking(move || {
        shared.open_source(&source, None, Identity::default(), None).err().map(|e| e.to_string())
    })
    .await;
    if let Ok(Some(reason)) = opened {
        problems.push(problem(pipeline, "source.topic".to_owned(), reason, "a topic that can be read"));
    }
    for (index, step) in pipeline.steps.iter().enumerate() {
        let Step::Lookup(lookup) = step else { continue };
        let (shared, lookup) = (Arc::clone(connections), lookup.clone());
        let checked = tokio::task::spawn_blocking(move || shared.check_lookup(&lookup).err().map(|e| e.to_string()));
        if let Ok(Some(reason)) = checked.await {
            let key = format!("step[{index}].lookup.table");
            problems.push(problem(pipeline, key, reason, "a table in which rows can be looked up"));
        }
    }
    if let Some(letters) = &pipeline.dead_letters {
        let reasons = reasons(connections.check_letters(letters).await);
        let found = |reason| problem(pipeline, "dead_letters".to_owned(), reason, "a place that takes dead letters");
        problems.extend(reasons.into_iter().map(found));
    }
    let Some((fields, folds)) = rows else { return };
    for (index, sink) in pipeline.sinks.iter().enumerate() {
        let reasons = match provenance::written(sink, fields) {
            Ok(written) => reasons(connections.check_sink(pipeline, sink, &written, folds).await),
            Err(reason) => vec![reason],
        };
        let (key, want) = match sink.place {
            Place::Table => ("table", "a table that takes the rows"),
            Place::Topic => ("topic", "a topic that takes the rows"),
        };
        let found = |reason| problem(pipeline, format!("sink[{index}].{key}"), reason, want);
        problems.extend(reasons.into_iter().map(found));
    }
}

fn reasons(answer: Result<(), SinkError>) -> Vec<String> {
    match answer {
        Ok(()) => Vec::new(),
        Err(SinkError::Mismatch(reasons)) => reasons,
        Err(error) => vec![error.to_string()],
    }
}

fn problem(pipeline: &Pipeline, key: String, found: String, want: &str) -> Problem {
    let found = unveiled(&found).into_owned();
    Problem { file: pipeline.file.clone(), line: None, key, found, want: want.to_owned() }
}
