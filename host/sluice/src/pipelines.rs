//! The directory of pipelines: the newest valid file of each name is what runs.
//!
//! A file that appears starts a pipeline, one that says something else restarts it, one that is gone ends it; one that isn't
//! valid changes nothing, and everything that is wrong with it is in the log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use crate::changes::{Changes, Stamp};
use crate::config::{self, Config, Connection, MAX_PIPELINES, Pipeline, Problem, Problems};

/// Watches a service's pipelines.
pub struct Directory {
    path: PathBuf,
    connections: BTreeMap<String, Connection>,
    /// Files that were good when they were last read.
    seen: BTreeMap<PathBuf, Stamp>,
    pipelines: BTreeMap<String, Pipeline>,
    /// What was last said of a file that isn't good.
    refused: BTreeMap<PathBuf, String>,
}

impl Directory {
    /// Of a configuration that was just loaded.
    pub fn new(config: &Config) -> Directory {
        let pipelines = config.pipelines.iter().map(|pipeline| (pipeline.name.clone(), pipeline.clone()));
        Directory {
            path: config.pipelines_dir.clone(),
            connections: config.connections.clone(),
            // Nothing is seen yet: what changed since the configuration was loaded is found by the first look.
            seen: BTreeMap::new(),
            pipelines: pipelines.collect(),
            refused: BTreeMap::new(),
        }
    }

    /// Looks at the files that changed since the last look. Blocks. Says whether any pipeline is other than before.
    fn look(&mut self) -> bool {
        let files = match config::pipeline_files(&self.path) {
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
        for file in &files {
            changed |= self.look_at(file);
        }
        changed
    }

    fn forget_all_but(&mut self, files: &[PathBuf]) -> bool {
        let before = self.pipelines.len();
        self.seen.retain(|file, _| files.contains(file));
        self.refused.retain(|file, _| files.contains(file));
        self.pipelines.retain(|_, pipeline| files.contains(&pipeline.file));
        self.pipelines.len() < before
    }

    fn look_at(&mut self, file: &Path) -> bool {
        let stamp = Stamp::of(file).ok();
        if stamp.is_some() && self.seen.get(file) == stamp.as_ref() {
            return false;
        }
        match self.load(file) {
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

    fn load(&self, file: &Path) -> Result<Pipeline, Problems> {
        let pipeline = config::load_pipeline(file, &self.connections, &|name| std::env::var(name).ok())?;
        let mut all: Vec<_> = self.pipelines.values().filter(|other| other.name != pipeline.name).cloned().collect();
        all.push(pipeline.clone());
        let mut problems = config::shared_groups(&all);
        problems.extend(config::shared_tables(&all, &self.connections));
        if all.len() > MAX_PIPELINES {
            problems.push(Problem::of_file(file, "one more pipeline", format!("at most {MAX_PIPELINES}")));
        }
        if problems.is_empty() { Ok(pipeline) } else { Err(Problems(problems)) }
    }

    /// Says what is wrong, unless it was said.
    fn refuse(&mut self, file: &Path, problems: &[Problem]) {
        let said = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        if self.refused.get(file) != Some(&said) {
            for problem in problems {
                tracing::error!("refused, what ran before runs on: {problem}");
            }
            self.refused.insert(file.to_owned(), said);
        }
    }
}

/// Watches until nobody listens any more; publishes all pipelines that are to run.
pub async fn watch(mut directory: Directory, publish: watch::Sender<Vec<Pipeline>>) {
    let mut changes = Changes::in_directory(&directory.path);
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let changed = directory.look();
            (directory, changed)
        });
        let Ok((back, changed)) = looked.await else { return };
        directory = back;
        if changed {
            publish.send_replace(directory.pipelines.values().cloned().collect());
        }
        tokio::select! {
            () = publish.closed() => return,
            () = changes.next() => {}
        }
    }
}
