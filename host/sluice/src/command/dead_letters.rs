//! `sluice dead-letters`: what was left out, and what becomes of it.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use sluice_connectors::letters::{Filter, Letter, Letterbox};
use sluice_core::{Offset, Partition, printable, printable_json, time};

use super::answer::Output;
use super::{ConfigFile, block_on};
use crate::config::{Config, DeadLetters as Destination};
use crate::connections::Connections;

/// Look at records that were left out, drive them through their pipelines again, or forget them.
#[derive(Debug, clap::Args)]
pub struct DeadLetters {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// A line for each letter: pipeline, place of the record, time, stage, reason.
    List(Look),
    /// Show everything that is known of each letter, with the record's key and value.
    Show(Look),
    /// Ask for the records to be driven through their pipelines as these are now. A running host takes them in within seconds,
    /// another one when it starts; each counts once.
    Retry(Change),
    /// Forget the letters.
    Drop(Change),
}

#[derive(Debug, clap::Args)]
struct Look {
    #[command(flatten)]
    which: Which,
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Change {
    #[command(flatten)]
    which: Which,
    /// Don't ask.
    #[arg(long)]
    yes: bool,
}

/// Filter for letters: only those that match every option.
#[derive(Debug, clap::Args)]
struct Which {
    #[command(flatten)]
    file: ConfigFile,
    /// Name of the letters' pipeline.
    #[arg(long)]
    pipeline: Option<String>,
    /// Text that the letters' reason contains.
    #[arg(long)]
    reason: Option<String>,
    /// Earliest time at which the records were left out, UTC: `2026-01-31` or `2026-01-31 12:30:00`.
    #[arg(long, value_parser = moment)]
    since: Option<i64>,
    /// Time before which the records were left out.
    #[arg(long, value_parser = moment)]
    until: Option<i64>,
    /// Topic of the letters' records.
    #[arg(long)]
    topic: Option<String>,
    /// Partition of the letters' records.
    #[arg(long)]
    partition: Option<i32>,
    /// Offset of the letters' records.
    #[arg(long)]
    offset: Option<i64>,
}

fn moment(text: &str) -> Result<i64, String> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let time = time::parse(text).or_else(|| time::parse(&format!("{text} 00:00:00")));
    time.ok_or_else(|| "want a time in UTC such as 2026-01-31 or \"2026-01-31 12:30:00\"".to_owned())
}

impl Which {
    fn filter(&self) -> Filter {
        Filter {
            pipeline: self.pipeline.clone(),
            reason: self.reason.clone(),
            since: self.since,
            until: self.until,
            topic: self.topic.clone(),
            partition: self.partition.map(Partition),
            offset: self.offset.map(Offset),
            retry: None,
        }
    }

    /// Opens every place where a pipeline of the service keeps letters, each once.
    fn boxes(&self) -> anyhow::Result<Vec<Box<dyn Letterbox>>> {
        let config = self.file.load()?;
        let connections = Connections::new(&config.connections);
        let boxes = destinations(&config).into_iter().map(|destination| {
            let opened = connections.letters(destination);
            opened.with_context(|| format!("the dead letters in {destination}"))
        });
        boxes.collect()
    }
}

fn destinations(config: &Config) -> Vec<&Destination> {
    let mut destinations: Vec<&Destination> = Vec::new();
    for destination in config.pipelines.iter().filter_map(|pipeline| pipeline.dead_letters.as_ref()) {
        if !destinations.iter().any(|other| other.is_same_place(destination)) {
            destinations.push(destination);
        }
    }
    destinations
}

impl DeadLetters {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        block_on(async {
            match self.verb {
                Verb::List(look) => look.print(false).await,
                Verb::Show(look) => look.print(true).await,
                Verb::Retry(change) => change.make("retry", "to be driven through again").await,
                Verb::Drop(change) => change.make("drop", "dropped").await,
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Look {
    async fn print(&self, whole: bool) -> anyhow::Result<()> {
        let mut out = Output::new();
        let mut printed = 0;
        for letters in &mut self.which.boxes()? {
            let (filter, mut after) = (self.which.filter(), None);
            loop {
                let page = letters.find(&filter, after.as_ref()).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.place());
                for mut found in page {
                    if whole
                        && !found.is_whole()
                        && let Some(letter) = letters.read(&found.place()).await?
                    {
                        found.letter = letter;
                    }
                    let before = if printed == 0 { "[\n" } else { ",\n" };
                    match (self.json, whole) {
                        (true, _) => write!(out, "{before}{}", printable_json(&as_json(&found).to_string()))?,
                        (false, false) => writeln!(out, "{}", line(&found))?,
                        (false, true) => write!(out, "{}", page_of(&found))?,
                    }
                    printed += 1;
                }
            }
        }
        match (self.json, printed) {
            (true, 0) => writeln!(out, "[]")?,
            (true, _) => writeln!(out, "\n]")?,
            (false, 0) => writeln!(out, "no dead letters")?,
            (false, _) => {}
        }
        Ok(())
    }
}

impl Change {
    /// Makes the change. `verb` names it in the question, `done` says in the answer what happened to the letters.
    async fn make(&self, verb: &str, done: &str) -> anyhow::Result<()> {
        let filter = self.which.filter();
        let mut boxes = self.which.boxes()?;
        let mut fit = 0;
        for letters in &mut boxes {
            fit += count(&mut **letters, &filter).await?;
        }
        if fit > 0 && !self.yes && !agreed(verb, fit)? {
            return Ok(());
        }
        let mut changed = 0;
        for letters in &mut boxes {
            changed += if verb == "drop" { letters.discard(&filter).await? } else { letters.mark(&filter).await? };
        }
        writeln!(Output::new(), "{changed} {done}")?;
        Ok(())
    }
}

async fn count(letters: &mut dyn Letterbox, filter: &Filter) -> anyhow::Result<u64> {
    let (mut fit, mut after) = (0, None);
    loop {
        let page = letters.find(filter, after.as_ref()).await?;
        let Some(last) = page.last() else { return Ok(fit) };
        fit += page.len() as u64;
        after = Some(last.place());
    }
}

fn agreed(verb: &str, fit: u64) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("{verb} {fit} dead letters? Confirm with --yes");
    }
    let mut out = Output::new();
    write!(out, "{verb} {fit} dead letters? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The place of the letter's record, as `topic/partition/offset`.
fn place(found: &Letter) -> String {
    let id = &found.letter.id;
    if id.has_record() { format!("{}/{}/{}", id.topic, id.partition, id.offset) } else { "-".to_owned() }
}

fn line(found: &Letter) -> String {
    let letter = &found.letter;
    let retry = if letter.retry { " (retry asked for)" } else { "" };
    let (pipeline, place, time) = (&found.pipeline, place(found), shown(letter.time));
    printable(&format!("{pipeline} {place} {time} {}{retry}: {}", letter.stage, letter.reason)).into_owned()
}

fn page_of(found: &Letter) -> String {
    let letter = &found.letter;
    let optional = |text: Option<String>| text.map_or_else(|| "none".to_owned(), |text| printable(&text).into_owned());
    let bytes = |bytes: &Option<Vec<u8>>| optional(bytes.as_deref().map(|b| String::from_utf8_lossy(b).into_owned()));
    format!(
        "{}\n  record time: {}\n  operator: {}\n  key: {}\n  value: {}\n",
        line(found),
        optional(letter.timestamp.map(shown)),
        optional(letter.operator.clone()),
        bytes(&letter.key),
        bytes(&letter.value),
    )
}

/// Bytes that are no text are hexadecimal, under another name.
fn as_json(found: &Letter) -> Value {
    let letter = &found.letter;
    let mut shown = json!({
        "pipeline": found.pipeline,
        "topic": letter.id.topic,
        "partition": letter.id.partition.0,
        "offset": letter.id.offset.0,
        "record_time": letter.timestamp.map(shown),
        "stage": letter.stage.to_string(),
        "reason": letter.reason,
        "operator": letter.operator,
        "rejected_at": self::shown(letter.time),
        "retry": letter.retry,
    });
    for (name, bytes) in [("key", &letter.key), ("value", &letter.value)] {
        match bytes.as_deref().map(std::str::from_utf8) {
            Some(Err(_)) => shown[format!("{name}_hex")] = hex(bytes.as_deref().unwrap_or_default()).into(),
            text => shown[name] = text.and_then(Result::ok).into(),
        }
    }
    shown
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shown(micros: i64) -> String {
    time::shown(micros).unwrap_or_else(|| format!("{micros} µs"))
}

#[cfg(test)]
mod tests {
    use sluice_core::dead_letter::{DeadLetter, LetterId};
    use sluice_core::rejected::Stage;

    use super::*;

    #[test]
    fn a_record_can_do_nothing_to_a_terminal_and_is_exact_as_json() {
        let hostile = "a\u{1b}]0;title\u{7}\u{9b}2J\u{202e}b\nforged 1 2 3";
        let found = Letter {
            pipeline: "p".into(),
            letter: DeadLetter {
                id: LetterId { topic: "t".into(), partition: Partition(0), offset: Offset(7) },
                key: Some(hostile.into()),
                value: Some(hostile.into()),
                reason: hostile.into(),
                operator: Some(hostile.into()),
                timestamp: None,
                stage: Stage::Decode,
                time: 0,
                retry: false,
            },
        };
        let page = page_of(&found);
        assert!(!page.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{page:?}");
        assert_eq!(page.lines().count(), 5, "{page}");
        let json = printable_json(&as_json(&found).to_string()).into_owned();
        assert!(!json.contains(|c: char| c.is_control() || c == '\u{202e}'), "{json:?}");
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["value"], hostile);
    }
}
