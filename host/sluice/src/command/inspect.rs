//! `sluice inspect`: what an operator is, before it is deployed.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use sluice_core::operator::{FoldPlan, Operator, Origin, TransformPlan};
use sluice_core::{Field, Kind, printable, printable_json};
use sluice_runtime::inspect::Description;
use sluice_runtime::{CompileLimits, Limits, PROBE_ROWS, Runtime, RuntimeConfig, inspect, probe};
use tempfile::TempDir;

use super::answer::Output;
use super::compile;

/// Show what an operator is, what it imports and, given input columns, its plan.
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// The component.
    file: PathBuf,
    /// The operator's configuration, as the pipeline's file would give it.
    #[arg(long, default_value = "{}")]
    config: String,
    /// The columns that come in, such as `user_id:int64,ip:utf8`.
    #[arg(long, value_delimiter = ',')]
    input: Vec<String>,
    /// Try the operator on rows that are made up for the columns that come in: in other batches, by other instances, and by the
    /// fold's laws.
    #[arg(long, requires = "input")]
    probe: bool,
    /// Seed that the rows are made from.
    #[arg(long, default_value_t = 0, requires = "probe")]
    seed: u64,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let shown = self.file.display().to_string();
        let bytes = super::read(&self.file)?;
        let description = inspect::describe(&bytes).with_context(|| shown.clone())?;
        let (runtime, _cache) = runtime()?;
        let refusal = runtime.compile(&bytes);
        let mut kept = true;
        let mut answer = serde_json::to_value(&description)?;
        answer["capabilities"] = json!(capabilities(&description));
        answer["refused"] = refusal.as_ref().err().map_or(Value::Null, |error| json!(error.to_string()));
        if let (Ok(artifact), false) = (&refusal, self.input.is_empty()) {
            let fields = fields(&self.input)?;
            serde_json::from_str::<Value>(&self.config).context("--config is not JSON")?;
            let instance = artifact.open(&self.config, &fields, &Limits::default(), &shown);
            let instance = instance.with_context(|| format!("{shown} refuses these columns"))?;
            answer["plan"] = plan(instance.transform_plan(), instance.fold_plan(), &fields);
            drop(instance);
            if self.probe {
                let findings = probe(artifact, &self.config, &fields, &Limits::default(), self.seed)?;
                kept = findings.is_empty();
                answer["probe"] = json!({ "rows": 2 * PROBE_ROWS, "seed": self.seed, "findings": findings });
            }
        }
        self.print(&answer)?;
        Ok(if refusal.is_ok() && kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn print(&self, answer: &Value) -> anyhow::Result<()> {
        let mut out = Output::new();
        if self.json {
            writeln!(out, "{}", printable_json(&serde_json::to_string_pretty(answer)?))?;
        } else if let Some(object) = answer.as_object() {
            for (name, value) in object {
                print_entry(&mut out, name, value, 0)?;
            }
        }
        Ok(())
    }
}

/// Makes a runtime like the service's, so that a file which no service would compile is refused here too. The compiled code is
/// removed with the directory.
fn runtime() -> anyhow::Result<(Runtime, TempDir)> {
    let cache = tempfile::tempdir().context("a directory for the compiled code can't be made")?;
    let helper = compile::helper(cache.path(), CompileLimits::default());
    let config = RuntimeConfig { cache_dir: Some(cache.path().to_owned()), helper, ..RuntimeConfig::default() };
    Ok((Runtime::new(config)?, cache))
}

/// Says what the operator could do to the world outside. This follows from its imports: a component has no other way out.
fn capabilities(description: &Description) -> String {
    if !description.component {
        return "unknown: it is a core module, which no host of components runs".to_owned();
    }
    if !description.foreign_imports.is_empty() {
        return format!("it wants {}, which no operator is given", description.foreign_imports.join(", "));
    }
    let given =
        if description.imports.is_empty() { "nothing at all".to_owned() } else { description.imports.join(", ") };
    format!(
        "none: no wasi, and no host function besides those of what it imports, which is {given}; so no file, network, clock, \
         environment or randomness, only a line in the host's log and conversions of text"
    )
}

fn print_entry(out: &mut impl Write, name: &str, value: &Value, depth: usize) -> io::Result<()> {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(object) => {
            writeln!(out, "{indent}{}:", printable(name))?;
            object.iter().try_for_each(|(name, value)| print_entry(out, name, value, depth + 1))
        }
        Value::Array(values) if values.is_empty() => writeln!(out, "{indent}{name}: none"),
        Value::Array(values) => {
            writeln!(out, "{indent}{name}:")?;
            values.iter().try_for_each(|value| writeln!(out, "{indent}  - {}", printable(&plain(value))))
        }
        value => writeln!(out, "{indent}{}: {}", printable(name), printable(&plain(value))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "no".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn fields(input: &[String]) -> anyhow::Result<Vec<Field>> {
    let field = |text: &String| {
        let Some((name, kind)) = text.split_once(':') else { bail!("--input {text}: want name:kind") };
        let kind: Kind = kind.parse().map_err(|reason| anyhow::anyhow!("--input {text}: {reason}"))?;
        Ok(Field::new(name, kind))
    };
    columns(input).iter().map(field).collect()
}

/// The columns of a list that was cut at every comma, also those between the parameters of a kind.
fn columns(cut: &[String]) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for part in cut {
        match columns.last_mut() {
            Some(last) if last.contains('(') && !last.contains(')') => *last = format!("{last},{part}"),
            _ => columns.push(part.clone()),
        }
    }
    columns
}

fn plan(transform: &TransformPlan, fold: Option<&FoldPlan>, input: &[Field]) -> Value {
    let after = transform.output_fields(input);
    let names = |indices: &[usize], fields: &[Field]| -> Vec<String> {
        indices.iter().filter_map(|i| fields.get(*i)).map(ToString::to_string).collect()
    };
    let outputs = transform.outputs.iter().zip(&after).map(|((_, origin), field)| match origin {
        Origin::Input(_) => format!("{field} (untouched)"),
        Origin::Computed(_) => field.to_string(),
    });
    let show = |fields: &[Field]| fields.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut plan = json!({ "reads": names(&transform.reads, input), "outputs": outputs.collect::<Vec<_>>() });
    if let Some(fold) = fold {
        plan["fold"] = json!({
            "keys": names(&fold.keys, &after),
            "values": names(&fold.values, &after),
            "state": show(&fold.state),
            "state_version": fold.state_version,
            "outputs": show(&fold.outputs),
        });
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_with_parameters_is_one_column_of_the_list() {
        let cut: Vec<String> = "a:int64,amount:decimal(18, 2),b:utf8".split(',').map(str::to_owned).collect();
        let shown: Vec<String> = fields(&cut).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["a:int64", "amount:decimal(18, 2)", "b:utf8"]);
        assert!(fields(&["a:decimal(18".to_owned()]).is_err());
    }
}
