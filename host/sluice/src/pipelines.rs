//! The directory of pipelines: the newest valid file of each name is what runs.
//!
//! A file that appears starts a pipeline, one that says something else restarts it, one that is gone ends it; one that isn't
//! valid changes nothing, and everything that is wrong with it is in the log and the status. The first look, before anything runs,
//! is like all others.

use std::collections::BTreeMap;
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sluice_connectors::asking::{PATIENCE, Question, no_answer};
use tokio::sync::watch;

use crate::changes::{Changes, Stamp};
use crate::config::{self, Config, MAX_PIPELINES, Pipeline, Problem, Problems};
use crate::connection::ByName;

/// File with problems, which therefore doesn't run as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The file, or the directory if that can't be listed.
    pub file: String,
    /// A sentence for each problem.
    pub problems: Vec<String>,
}

/// Watches a service's pipelines.
pub struct Directory {
    path: PathBuf,
    connections: ByName,
    /// Files that were good when they were last read.
    seen: BTreeMap<PathBuf, Stamp>,
    pipelines: BTreeMap<String, Pipeline>,
    /// Problems that were last reported for each file that isn't good.
    refused: BTreeMap<PathBuf, Vec<String>>,
    listing: Option<Question<io::Result<Vec<PathBuf>>>>,
    readings: BTreeMap<PathBuf, Question<Reading>>,
}

/// Result of a look at a file.
enum Reading {
    Unchanged,
    /// The stamp is of before; none if a later writing may have the same.
    Read(io::Result<Vec<u8>>, Option<Stamp>),
}

impl Directory {
    /// Makes the directory of a service's configuration; its pipelines are not read yet.
    pub fn new(config: &Config) -> Directory {
        Directory {
            path: config.pipelines_dir.clone(),
            connections: config.connections.clone(),
            seen: BTreeMap::new(),
            pipelines: BTreeMap::new(),
            refused: BTreeMap::new(),
            listing: None,
            readings: BTreeMap::new(),
        }
    }

    /// The pipelines that are to run.
    pub fn pipelines(&self) -> Vec<Pipeline> {
        self.pipelines.values().cloned().collect()
    }

    /// Returns the files with problems, which therefore don't run as they are.
    pub fn refused(&self) -> Vec<Refused> {
        let refused = |(file, problems): (&PathBuf, &Vec<String>)| Refused {
            file: config::shown(file),
            problems: problems.clone(),
        };
        self.refused.iter().map(refused).collect()
    }

    /// Looks at the files that changed since the last look. Blocks, but never longer than [`PATIENCE`] for all that hang. Says
    /// whether any pipeline is other than before. Of two that can't both run, the one that runs or `ran` before does.
    pub fn look(&mut self, ran: impl Fn(&str) -> bool) -> bool {
        let mut files = match self.list() {
            Ok(files) => files,
            Err(error) => {
                let want = "a directory; all pipelines run on";
                let problem = Problem::of_file(&self.path, format!("nothing that can be listed ({error})"), want);
                self.refuse(&self.path.clone(), &[problem]);
                return false;
            }
        };
        self.refused.remove(&self.path);
        let mut changed = self.forget_all_but(&files);
        let by = sluice_clock::now() + PATIENCE;
        files.iter().for_each(|file| self.begin(file));
        files.sort_by_cached_key(|file| !file.file_stem().and_then(|stem| stem.to_str()).is_some_and(&ran));
        for file in &files {
            changed |= self.look_at(file, by);
        }
        changed
    }

    fn list(&mut self) -> io::Result<Vec<PathBuf>> {
        if self.listing.is_none() {
            let path = self.path.clone();
            self.listing = Some(Question::ask(move || config::pipeline_files(&path))?);
        }
        let by = sluice_clock::now() + PATIENCE;
        let listed = self.listing.as_ref().map_or(Ok(None), |listing| listing.answer(by));
        if !matches!(listed, Ok(None)) {
            self.listing = None;
        }
        listed?.unwrap_or_else(|| Err(no_answer()))
    }

    fn forget_all_but(&mut self, files: &[PathBuf]) -> bool {
        let before = self.pipelines.len();
        self.seen.retain(|file, _| files.contains(file));
        self.refused.retain(|file, _| files.contains(file));
        self.readings.retain(|file, _| files.contains(file));
        self.pipelines.retain(|_, pipeline| files.contains(&pipeline.file));
        self.pipelines.len() < before
    }

    /// Begins to read a file, unless that is still under way.
    fn begin(&mut self, file: &Path) {
        if self.readings.contains_key(file) {
            return;
        }
        let (path, seen) = (file.to_owned(), self.seen.get(file).copied());
        let reading = Question::ask(move || {
            let stamp = Stamp::of(&path).ok();
            if stamp.is_some() && stamp == seen {
                return Reading::Unchanged;
            }
            let settled = stamp.filter(Stamp::is_settled);
            Reading::Read(config::read_file(&path), settled)
        });
        // Without a thread for it, it is read at the next look.
        self.readings.extend(reading.ok().map(|reading| (file.to_owned(), reading)));
    }

    fn look_at(&mut self, file: &Path, by: Instant) -> bool {
        let Some(reading) = self.readings.remove(file) else { return false };
        let (read, stamp) = match reading.answer(by) {
            Ok(Some(Reading::Unchanged)) => {
                // It may have hung in between.
                self.refused.remove(file);
                return false;
            }
            Ok(Some(Reading::Read(read, stamp))) => (read, stamp),
            Ok(None) => {
                self.readings.insert(file.to_owned(), reading);
                (Err(no_answer()), None)
            }
            Err(error) => (Err(error), None),
        };
        match self.parse(file, read) {
            Ok(pipeline) => {
                self.refused.remove(file);
                self.seen.extend(stamp.map(|stamp| (file.to_owned(), stamp)));
                let old = self.pipelines.insert(pipeline.name.clone(), pipeline.clone());
                old != Some(pipeline)
            }
            Err(Problems(problems)) => {
                // Read again at the next look: what is wrong may be another file's doing.
                self.seen.remove(file);
                self.refuse(file, &problems);
                false
            }
        }
    }

    fn parse(&self, file: &Path, read: io::Result<Vec<u8>>) -> Result<Pipeline, Problems> {
        let pipeline = config::parse_pipeline(file, read, &self.connections, &|name| std::env::var(name).ok())?;
        let mut all: Vec<_> = self.pipelines.values().filter(|other| other.name != pipeline.name).cloned().collect();
        all.push(pipeline.clone());
        let mut problems = config::shared_groups(&all);
        problems.extend(config::shared_tables(&all, &self.connections));
        if all.len() > MAX_PIPELINES {
            problems.push(Problem::of_file(file, "one more pipeline", format!("at most {MAX_PIPELINES}")));
        }
        if problems.is_empty() { Ok(pipeline) } else { Err(Problems(problems)) }
    }

    /// Reports the problems of a file, unless they were reported before.
    fn refuse(&mut self, file: &Path, problems: &[Problem]) {
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        if self.refused.get(file) == Some(&said) {
            return;
        }
        let runs = file == self.path || self.pipelines.values().any(|pipeline| pipeline.file == file);
        let instead = if runs { "what ran before runs on" } else { "nothing runs of it, and others run" };
        for problem in &said {
            tracing::error!("refused, {instead}: {problem}");
        }
        self.refused.insert(file.to_owned(), said);
    }
}

/// Watches until nobody listens any more; publishes all pipelines that are to run, and what is refused.
pub async fn watch(
    mut directory: Directory,
    publish: watch::Sender<Vec<Pipeline>>,
    publish_refused: watch::Sender<Vec<Refused>>,
) {
    let mut changes = Changes::in_directory(&directory.path);
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let changed = directory.look(|_| false);
            (directory, changed)
        });
        // A panic in there goes on here, for whoever keeps this alive.
        let (back, changed) = match looked.await {
            Ok(looked) => looked,
            Err(died) => match died.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime ends.
                Err(_) => return,
            },
        };
        directory = back;
        publish_refused.send_if_modified(|refused| {
            let before = std::mem::replace(refused, directory.refused());
            before != *refused
        });
        if changed {
            publish.send_replace(directory.pipelines());
        }
        tokio::select! {
            () = publish.closed() => return,
            () = changes.next() => {}
        }
    }
}
