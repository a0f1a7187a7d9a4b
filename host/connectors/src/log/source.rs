//! Reading a topic's files.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sluice_clock::Stopwatch;
use sluice_core::identity::Identity;
use sluice_core::records::Records;
use sluice_core::{Offset, Partition};

use super::commits::Commits;
use super::file::PartitionFile;
use super::records::LogRecords;
use super::{LogConnection, partition_files, source_error};
use crate::asking;
use crate::source::{Committer, Source, SourceError, Start, Subscription, check_identity};

/// The interval at which an idle source looks at its files: what an appended line waits at most, against a `stat` for each file.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The interval at which the directory is read for new partitions.
const SEARCH_EVERY: Duration = Duration::from_secs(1);

/// The most records of one answer, whatever is asked for: the index of the lines stays below a MiB.
const MAX_RECORDS: usize = 65_536;

/// A topic of an embedded log, read in order of its lines.
///
/// It keeps the promises of [`Source`] by line numbers alone: they are counted when it is opened and from then on files may
/// only grow. Ahead of `poll` it holds at most a block for each partition.
pub struct LogSource {
    topic: Arc<str>,
    directory: PathBuf,
    /// The identity that the files had when they were read before.
    known: Identity,
    files: Vec<PartitionFile>,
    /// The file that is asked first: each in turn, so that none waits for the others' backlog.
    turn: usize,
    starts: BTreeMap<Partition, Offset>,
    commits: Arc<Commits>,
    searched: Stopwatch,
}

impl LogSource {
    /// Opens all partitions of the topic at their start; a start other than the earliest reads the lines before it once.
    ///
    /// # Errors
    /// `Unusable` if the topic's directory is missing, a name can't be one, or a commit is beyond its file's end.
    pub fn open(connection: &LogConnection, subscription: &Subscription) -> Result<LogSource, SourceError> {
        let directory = connection.topic_directory(&subscription.topic).map_err(SourceError::Unusable)?;
        let commits = Commits::fresh(connection, &subscription.group, &subscription.topic)?;
        let commits = if subscription.start == Start::Committed { commits.load()? } else { commits };
        let mut source = LogSource {
            topic: subscription.topic.as_str().into(),
            directory,
            known: subscription.known.clone(),
            files: Vec::new(),
            turn: 0,
            starts: BTreeMap::new(),
            commits: Arc::new(commits),
            searched: Stopwatch::start(),
        };
        source.check_that_files_answer()?;
        for (partition, path) in source.partition_files()? {
            source.add(partition, path, &subscription.start)?;
        }
        source.known = source.known.clone().with(source.found());
        if let Start::At(ends) = &subscription.start
            && let Some((partition, end)) = ends.iter().find(|(partition, _)| !source.starts.contains_key(partition))
        {
            return Err(SourceError::Unusable(format!(
                "the checkpoint is at line {end} of partition {partition}, whose file {} doesn't have: put it back, or start \
                 over with `sluice state reset`",
                source.directory.display()
            )));
        }
        Ok(source)
    }

    /// Opens and reads the files, so that a file system that doesn't answer is noticed before anything waits for it. Other faults
    /// are found by the reader that follows.
    fn check_that_files_answer(&self) -> Result<(), SourceError> {
        let asked = asking::ask(&self.directory, |directory| {
            let files = partition_files(directory)?.unwrap_or_default();
            for (partition, path) in files {
                let _ = PartitionFile::open(partition, path).and_then(|file| file.first_line());
            }
            Ok(())
        });
        match asked {
            Err(error) if error.kind() == ErrorKind::TimedOut => Err(source_error(&self.directory, &error)),
            _ => Ok(()),
        }
    }

    fn partition_files(&self) -> Result<Vec<(Partition, PathBuf)>, SourceError> {
        let files = partition_files(&self.directory).map_err(|error| source_error(&self.directory, &error))?;
        files.ok_or_else(|| {
            SourceError::Unusable(format!(
                "the topic `{}` has no directory {}; create it, or start the generator, which does",
                self.topic,
                self.directory.display()
            ))
        })
    }

    fn add(&mut self, partition: Partition, path: PathBuf, start: &Start) -> Result<(), SourceError> {
        let mut file = PartitionFile::open(partition, path)?;
        // Before its lines are looked at: those of another file say nothing.
        check_identity(&self.topic, &self.known, &Identity::of(file.first_line()?))?;
        match start {
            Start::Earliest => {}
            Start::Latest => file.skip_to(Offset(i64::MAX))?,
            Start::Committed => {
                let committed = self.commits.next(partition).unwrap_or(Offset(0));
                let remedy = format!("remove {} to start from the beginning", self.commits.path().display());
                resume(&mut file, committed, "the group is committed", &remedy)?;
            }
            Start::At(ends) => {
                let end = ends.get(&partition).copied().unwrap_or(Offset(0));
                resume(&mut file, end, "the checkpoint is", "put it back, or start over with `sluice state reset`")?;
            }
        }
        self.starts.insert(partition, file.position());
        self.files.push(file);
        Ok(())
    }

    fn search_when_due(&mut self) -> Result<(), SourceError> {
        if self.searched.elapsed() < SEARCH_EVERY {
            return Ok(());
        }
        self.searched = Stopwatch::start();
        self.check_first_lines()?;
        for (partition, path) in self.partition_files()? {
            if !self.starts.contains_key(&partition) {
                self.add(partition, path, &Start::Earliest)?;
            }
        }
        Ok(())
    }

    /// Checks that the files begin as they did before, and remembers the beginnings of new ones.
    fn check_first_lines(&mut self) -> Result<(), SourceError> {
        let found = self.found();
        check_identity(&self.topic, &self.known, &found)?;
        self.known = self.known.clone().with(found);
        Ok(())
    }

    /// The first line of each file, by its hash, as it is now.
    fn found(&self) -> Identity {
        // What can't be read now is said by the next poll.
        let lines = self.files.iter().filter_map(|file| file.first_line().ok().flatten());
        Identity::of(lines)
    }

    fn take(&mut self, max_records: usize) -> Result<LogRecords, SourceError> {
        let mut records = LogRecords::new(Arc::clone(&self.topic));
        let files = self.files.len();
        for i in 0..files {
            let file = &mut self.files[(self.turn + i) % files];
            let taken = file.take(max_records - records.len(), &mut records);
            match taken {
                Ok(()) if records.len() < max_records => {}
                Ok(()) => break,
                // The same error comes again at the next call: the records of the other files go first.
                Err(_) if !records.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        self.turn = (self.turn + 1) % files.max(1);
        Ok(records)
    }
}

/// Goes on at this line, if the file has that many lines.
fn resume(file: &mut PartitionFile, at: Offset, who: &str, remedy: &str) -> Result<(), SourceError> {
    file.skip_to(at)?;
    if file.position() == at {
        return Ok(());
    }
    Err(SourceError::Unusable(format!(
        "{who} at line {at} of {}, which has only {}: it isn't the file that was read; {remedy}",
        file.path().display(),
        file.position()
    )))
}

impl Source for LogSource {
    fn poll(&mut self, max_records: usize, max_wait: Duration) -> Result<Option<Box<dyn Records>>, SourceError> {
        let asked = Stopwatch::start();
        loop {
            self.search_when_due()?;
            let records = self.take(max_records.clamp(1, MAX_RECORDS))?;
            if !records.is_empty() {
                return Ok(Some(Box::new(records)));
            }
            let left = max_wait.saturating_sub(asked.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            sluice_clock::sleep(left.min(LOOK_EVERY));
        }
    }

    fn ends(&mut self) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        self.files.iter_mut().map(|file| Ok((file.partition(), file.end()?))).collect()
    }

    fn last_ends(&mut self) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        self.files.iter_mut().map(|file| Ok((file.partition(), file.last_end()?))).collect()
    }

    fn positions(&self) -> BTreeMap<Partition, Offset> {
        self.starts.clone()
    }

    /// The identity that the files had when they were last compared: a checkpoint must not take a file for known whose lines weren't read.
    fn identity(&self) -> Identity {
        self.known.clone()
    }

    fn committed(&mut self) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        self.commits.committed()
    }

    fn committer(&self) -> Arc<dyn Committer> {
        Arc::clone(&self.commits) as Arc<dyn Committer>
    }
}
