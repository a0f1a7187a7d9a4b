//! `sluice status`: what a running service's pipelines are doing.

mod figures;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context;
use sluice_core::deploy::Outcome;
use sluice_core::{printable, printable_json};

use super::answer::Output;
use super::{ConfigFile, block_on};
use crate::admin::answers::ServiceStatus;
use crate::admin::client::Client;
use crate::numbers::{bytes, grouped};
use crate::pipeline::Snapshot;
use crate::pipeline::deployments::{outcome, short, shown};

/// Show what a running service's pipelines are doing.
#[derive(Debug, clap::Args)]
pub struct Status {
    #[command(flatten)]
    file: ConfigFile,
    /// Print a JSON object, as the admin API answers it.
    #[arg(long)]
    json: bool,
    /// Print every figure of each pipeline, with its meaning.
    #[arg(long, conflicts_with = "json")]
    figures: bool,
}

impl Status {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let client = Client::new(&self.file.load_admin()?)?;
        let answer = block_on(async { Ok(client.get("/status").await?) })?;
        let mut out = Output::new();
        if self.json {
            writeln!(out, "{}", printable_json(&serde_json::to_string_pretty(&answer)?))?;
        } else {
            let status: ServiceStatus =
                serde_json::from_value(answer).context("the service is of another version than this command")?;
            let text = if self.figures { figures::text(&status.pipelines) } else { text(&status) };
            out.write_all(text.as_bytes())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes a line for each pipeline, and notes under it.
fn text(status: &ServiceStatus) -> String {
    let width = status.pipelines.iter().map(|pipeline| pipeline.name.len()).max().unwrap_or(0).max(8);
    let mut text = format!(
        "{:<width$}  {:<9}{:>10}  {:<10}{:<20}{:>11}{:>10}{:>10}{:>10}{:>11}\n",
        "pipeline", "state", "generation", "digest", "since (UTC)", "records/s", "lag", "rejected", "groups", "on disk"
    );
    for pipeline in &status.pipelines {
        line(&mut text, pipeline, width);
        notes(&mut text, pipeline);
    }
    for problem in status.refused.iter().flat_map(|refused| &refused.problems) {
        let _ = writeln!(text, "refused: {problem}");
    }
    if status.log_lines_lost > 0 {
        let _ = writeln!(text, "{} lines of the log are lost: they could not be written", status.log_lines_lost);
    }
    text
}

fn line(text: &mut String, s: &Snapshot, width: usize) {
    let unknown = || "-".to_owned();
    let (generation, digest) = s.deployed.operator.as_ref().map_or_else(
        || (unknown(), unknown()),
        |operator| (operator.generation.to_string(), short(&operator.digest).to_owned()),
    );
    let since = s.deployed.since.as_deref().map_or("-", |since| since.get(..19).unwrap_or(since));
    let [lag, groups] = [s.figures.lag, s.figures.groups_in_memory].map(|n| n.map_or_else(unknown, grouped));
    let on_disk = s.figures.checkpoint_bytes.map_or_else(unknown, bytes);
    let (rate, rejected) = (grouped(s.rate.round() as u64), grouped(s.figures.rejected));
    let state = format!("{:?}", s.activity.state).to_lowercase();
    let _ = writeln!(
        text,
        "{:<width$}  {state:<9}{generation:>10}  {digest:<10}{since:<20}{rate:>11}{lag:>10}{rejected:>10}{groups:>10}{on_disk:>11}",
        s.name
    );
}

fn notes(text: &mut String, s: &Snapshot) {
    let mut note = |said: String| {
        let _ = writeln!(text, "    {}", printable(&said));
    };
    if let Some(reason) = &s.activity.reason {
        note(reason.clone());
    }
    if s.activity.refreshing {
        note("refreshing: groups are still to be written again".to_owned());
    }
    if let Some(tables) = &s.activity.tables {
        note(tables.clone());
    }
    for (reason, times) in &s.figures.dropped {
        note(format!("dropped: {} × {reason}", grouped(*times)));
    }
    if s.deployed.on_trial {
        note(format!("on trial: `sluice rollback {}` goes back as if it had never been", s.name));
    }
    if s.deployed.pinned && s.deployed.refused.is_none() {
        note(format!("pinned: takes nothing newer until `sluice unpin {}`", s.name));
    }
    if let Some(refused) = &s.deployed.refused {
        note(format!("not taken over: {refused}"));
    }
    let runs = s.deployed.operator.as_ref().map(|operator| operator.generation);
    for deployment in &s.deployed.deployments {
        if (deployment.outcome, deployment.reason.is_none()) == (Outcome::Applied, true)
            && runs == Some(deployment.generation)
        {
            // The line above says it.
            continue;
        }
        let time = sluice_core::time::shown(deployment.time).unwrap_or_default();
        let reason = deployment.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        note(format!(
            "{} generation {} {} {}{reason}",
            time.get(..19).unwrap_or(&time),
            deployment.generation,
            outcome(deployment.outcome),
            shown(&deployment.operators)
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_status_shows_what_runs_and_why_it_is_not_the_newest() {
        let pipeline = |refused: Value| {
            json!({
                "name": "gift_sum", "state": "running", "reason": null, "rate": 1234.5, "rejected": 3, "lag": null,
                "operator": { "name": "gift_sum", "digest": "0123456789abcdef", "generation": 2 },
                "refused": refused, "pinned": true, "since": "2026-11-26 07:01:02.000001",
                "deployments": [{ "outcome": "rolled_back", "generation": 3, "operators": { "gift_sum": "fedcba9876543210" },
                                  "reason": "it trapped", "time": "2026-11-26 07:02:03" }],
                "groups": { "groups": 12, "bytes": 5000 }, "groups_in_memory": 12, "checkpoint_bytes": 2048,
                "partitions": [0, 2], "on_trial": true, "dropped": { "field `a`: a text is not an int64": 1200 },
            })
        };
        let status = json!({
            "version": "1",
            "pipelines": [pipeline(json!("it is empty")), pipeline(Value::Null)],
            "refused": [{ "file": "pipelines/q.toml", "problems": ["pipelines/q.toml:3: found this, want that"] }],
        });
        let text = text(&serde_json::from_value(status).unwrap());
        for shown in [
            "gift_sum  running           2  01234567  2026-11-26 07:01:02       1,235         -         3        12    2.0 KiB\n",
            "    dropped: 1,200 × field `a`: a text is not an int64\n",
            "    on trial: `sluice rollback gift_sum` goes back as if it had never been\n",
            "    pinned: takes nothing newer until `sluice unpin gift_sum`\n",
            "    not taken over: it is empty\n",
            "\nrefused: pipelines/q.toml:3: found this, want that\n",
            "    2026-11-26 07:02:03 generation 3 rolled back gift_sum fedcba98: it trapped\n",
        ] {
            assert!(text.contains(shown), "{shown} in {text}");
        }
        assert!(!text.contains("of the log"), "{text}");
    }
}
