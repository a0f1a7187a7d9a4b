//! The directory of operators: the newest valid file of each name is what runs.
//!
//! A file that appears, is overwritten, renamed over or linked otherwise is compiled in the background and published;
//! one that isn't valid changes nothing, and the reason is kept beside what still runs. Each file is looked at by a task of its
//! own, so that one that hangs or takes its time keeps only itself.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use sluice_connectors::asking::{PATIENCE, no_answer};
use sluice_connectors::regular;
use sluice_runtime::{Artifact, ArtifactError, MAX_ARTIFACT_BYTES, Runtime};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::changes::{Changes, Stamp};

/// Number of files that are read and compiled at one time. Fewer: heavy ones keep light ones waiting. More: each is in memory,
/// and has a thread.
const AT_ONCE: usize = 32;

/// First and longest wait before another look at a file that was refused for a reason which may not be its own, as the machine
/// had no room for the compiler; the wait doubles each time. Shorter: bad files cost more. Longer: people who made room wait.
const AGAIN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(640));

/// Number of requests to look at files that may wait.
const ASKED: usize = 4;

/// The artifacts of a pipeline's operators, by name.
pub type Artifacts = BTreeMap<String, Artifact>;

/// Operators of the directory, of the names that pipelines use. A name that is in neither map wasn't looked at yet.
#[derive(Clone, Default)]
pub struct Deployed {
    /// The newest valid artifact of each name.
    pub artifacts: Artifacts,
    /// Reason why the newest file of a name is not among the artifacts.
    pub refused: BTreeMap<String, String>,
    /// Number of times that a file of each name was put there, even with the same content.
    puts: BTreeMap<String, u64>,
}

impl Deployed {
    /// Returns the first of these names of which nothing is known yet.
    pub fn unseen<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        names.find(|name| !self.artifacts.contains_key(*name) && !self.refused.contains_key(*name))
    }

    /// Returns the number of times that files of these names were put there.
    pub fn puts<'a>(&self, names: impl Iterator<Item = &'a str>) -> u64 {
        names.filter_map(|name| self.puts.get(name)).sum()
    }
}

/// Handle that requests another look at files, whatever was refused before.
#[derive(Clone)]
pub struct Looker(mpsc::Sender<Asked>);

/// An order to look at files.
pub struct Asked {
    names: BTreeSet<String>,
    done: oneshot::Sender<()>,
}

impl Looker {
    /// Returns once these files have been looked at and the result is published.
    pub async fn look_at(&self, names: BTreeSet<String>) {
        let (done, looked) = oneshot::channel();
        if self.0.send(Asked { names, done }).await.is_ok() {
            // Nobody looks any more: the service ends.
            let _ = looked.await;
        }
    }
}

/// Watches a directory for some operators.
pub struct Directory {
    path: PathBuf,
    runtime: Arc<Runtime>,
    files: BTreeMap<String, File>,
    deployed: Deployed,
    at_once: Arc<Semaphore>,
    answers: (mpsc::UnboundedSender<Answer>, mpsc::UnboundedReceiver<Answer>),
    asked: Vec<Asked>,
}

/// Knowledge about one operator's file.
#[derive(Default)]
struct File {
    seen: Option<Seen>,
    under_way: Option<Look>,
    /// Look that is to follow the one under way.
    next: Option<Look>,
    again: Option<(Instant, Duration)>,
    /// True if the file system was reported not to answer.
    hung: bool,
}

/// The last bytes that were read.
#[derive(Clone, PartialEq, Eq)]
struct Seen {
    stamp: Stamp,
    /// True if any later writing will have another stamp.
    settled: bool,
    digest: [u8; 32],
}

/// Thoroughness of a look at a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Look {
    /// Reads the file only if it was put there again.
    IfChanged,
    /// Reads the file even if it is unchanged.
    Anyway,
    /// Reads the file because somebody asks for it: a compilation that was given up is tried again, too.
    Asked,
}

/// Report of a task.
enum Answer {
    Unchanged(String, Option<Seen>),
    /// The file system doesn't answer; the task waits on.
    Hangs(String),
    Unreadable(String, String),
    Compiled(String, Seen, Result<Artifact, ArtifactError>),
}

impl Directory {
    pub fn new(path: &Path, names: &BTreeSet<String>, runtime: Arc<Runtime>) -> Directory {
        let mut directory = Directory {
            path: path.to_owned(),
            runtime,
            files: BTreeMap::new(),
            deployed: Deployed::default(),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            // At most two answers wait for each name.
            answers: mpsc::unbounded_channel(),
            asked: Vec::new(),
        };
        directory.set_names(names);
        directory
    }

    /// Looks at each file once: what there is, and what is wrong with the others.
    pub async fn look_once(mut self) -> Deployed {
        self.look_at_all(Look::IfChanged);
        while self.deployed.unseen(self.files.keys().map(String::as_str)).is_some() {
            // This object has a sender, too.
            let Some(answer) = self.answers.1.recv().await else { break };
            self.hear(answer);
        }
        self.deployed
    }

    fn set_names(&mut self, names: &BTreeSet<String>) {
        self.files.retain(|name, _| names.contains(name));
        self.deployed.artifacts.retain(|name, _| names.contains(name));
        self.deployed.refused.retain(|name, _| names.contains(name));
        self.deployed.puts.retain(|name, _| names.contains(name));
        for name in names {
            self.files.entry(name.clone()).or_default();
        }
    }

    fn look_at_all(&mut self, look: Look) {
        let names: Vec<String> = self.files.keys().cloned().collect();
        names.iter().for_each(|name| self.look_at(name, look));
    }

    /// Looks again at the files whose time for that has come.
    fn look_again(&mut self) {
        let now = sluice_clock::now();
        let due = |file: &File| file.again.is_some_and(|(at, _)| at <= now);
        let names: Vec<String> =
            self.files.iter().filter(|(_, file)| due(file)).map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.look_at(name, Look::Anyway));
    }

    /// Returns the time of the next such look.
    fn next_again(&self) -> Option<Instant> {
        self.files.values().filter(|file| file.under_way.is_none()).filter_map(|file| Some(file.again?.0)).min()
    }

    fn look_at(&mut self, name: &str, look: Look) {
        let Some(file) = self.files.get_mut(name) else { return };
        if file.under_way.is_some() {
            file.next = file.next.max(Some(look));
            return;
        }
        file.under_way = Some(look);
        let task = Task {
            name: name.to_owned(),
            path: self.path.join(format!("{name}.wasm")),
            look,
            before: file.seen.clone(),
            runtime: Arc::clone(&self.runtime),
            at_once: Arc::clone(&self.at_once),
            answers: self.answers.0.clone(),
        };
        tokio::spawn(task.run());
    }

    fn ask(&mut self, asked: Asked) {
        let names: Vec<String> = asked.names.iter().filter(|name| self.files.contains_key(*name)).cloned().collect();
        self.asked.push(Asked { names: names.iter().cloned().collect(), done: asked.done });
        names.iter().for_each(|name| self.look_at(name, Look::Asked));
    }

    /// Takes a task's report; returns true if the result should be published.
    fn hear(&mut self, answer: Answer) -> bool {
        match answer {
            Answer::Hangs(name) => {
                self.is_asked_no_more(&name);
                if let Some(file) = self.files.get_mut(&name) {
                    file.hung = true;
                }
                let path = self.path.join(format!("{name}.wasm"));
                let reason = format!("{}: {}", path.display(), no_answer());
                self.files.contains_key(&name) && self.refuse(&name, reason)
            }
            Answer::Unchanged(name, seen) => {
                let Some(file) = self.ended(&name) else { return false };
                if std::mem::take(&mut file.hung) {
                    // What it is was no longer said.
                    file.seen = None;
                    self.look_at(&name, Look::IfChanged);
                } else if seen.is_some() {
                    file.seen = seen;
                }
                false
            }
            Answer::Unreadable(name, reason) => {
                let Some(file) = self.ended(&name) else { return false };
                (file.seen, file.again, file.hung) = (None, None, false);
                self.refuse(&name, reason)
            }
            Answer::Compiled(name, seen, compiled) => {
                let Some(file) = self.ended(&name) else { return false };
                let put_again = file.seen.as_ref().is_none_or(|before| before.stamp != seen.stamp);
                (file.seen, file.hung) = (Some(seen), false);
                file.plan_again(compiled.as_ref().err(), put_again);
                let path = self.path.join(format!("{name}.wasm"));
                // What was put there again unchanged may have been refused for what is otherwise by now.
                *self.deployed.puts.entry(name.clone()).or_default() += u64::from(put_again);
                put_again
                    | match compiled {
                        Ok(artifact) => self.deploy(&name, artifact),
                        Err(error) => self.refuse(&name, format!("{}: {error}", path.display())),
                    }
            }
        }
    }

    /// Ends the look at this file and begins the next one, if it was requested. None if no pipeline names the file any more.
    fn ended(&mut self, name: &str) -> Option<&mut File> {
        let file = self.files.get_mut(name)?;
        let (ended, next) = (file.under_way.take(), file.next.take());
        if ended == Some(Look::Asked) {
            self.is_asked_no_more(name);
        }
        if let Some(next) = next {
            self.look_at(name, next);
        }
        self.files.get_mut(name)
    }

    fn is_asked_no_more(&mut self, name: &str) {
        for asked in &mut self.asked {
            asked.names.remove(name);
        }
    }

    /// Answers the requests that are done, after the results were published.
    fn answer(&mut self) {
        for asked in self.asked.extract_if(.., |asked| asked.names.is_empty()) {
            // Who asked may have gone.
            let _ = asked.done.send(());
        }
    }

    fn deploy(&mut self, name: &str, artifact: Artifact) -> bool {
        let was_refused = self.deployed.refused.remove(name).is_some();
        let old = self.deployed.artifacts.insert(name.to_owned(), artifact.clone());
        let same = old.is_some_and(|old| old.digest() == artifact.digest());
        if !same {
            tracing::info!(operator = name, digest = %artifact.digest(), "operator found");
        }
        !same || was_refused
    }

    fn refuse(&mut self, name: &str, reason: String) -> bool {
        if self.deployed.refused.get(name) == Some(&reason) {
            return false;
        }
        let instead = if self.deployed.artifacts.contains_key(name) { "the one before runs on" } else { "none runs" };
        tracing::warn!(operator = name, "operator refused, {instead}: {reason}");
        self.deployed.refused.insert(name.to_owned(), reason);
        true
    }
}

impl File {
    fn plan_again(&mut self, error: Option<&ArtifactError>, put_again: bool) {
        let passing = matches!(error, Some(ArtifactError::Uncompilable(_) | ArtifactError::Unstartable(_)));
        let last = self.again.filter(|_| !put_again).map(|(_, wait)| wait);
        let wait = last.map_or(AGAIN.0, |wait| (wait * 2).min(AGAIN.1));
        self.again = passing.then(|| (sluice_clock::now() + wait, wait));
    }
}

/// Task that looks at one file once.
struct Task {
    name: String,
    path: PathBuf,
    look: Look,
    before: Option<Seen>,
    runtime: Arc<Runtime>,
    at_once: Arc<Semaphore>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Task {
    async fn run(self) {
        let answer = self.answer().await;
        // Nobody listens once the service ends.
        let _ = self.answers.send(answer);
    }

    async fn answer(&self) -> Answer {
        let defect = |error| Answer::Unreadable(self.name.clone(), format!("{error}; this is a defect"));
        let (path, before) = (self.path.clone(), self.before.clone().filter(|_| self.look == Look::IfChanged));
        let unchanged = tokio::task::spawn_blocking(move || {
            before.is_some_and(|seen| seen.settled && Stamp::of(&path).is_ok_and(|stamp| stamp == seen.stamp))
        });
        match self.patiently(unchanged).await {
            Ok(true) => return Answer::Unchanged(self.name.clone(), None),
            Ok(false) => {}
            Err(error) => return defect(error),
        }
        // What is read is in memory until it is compiled. One that hangs has nothing there, and gives its place to others.
        let Ok(place) = self.at_once.acquire().await else {
            return Answer::Unchanged(self.name.clone(), None);
        };
        let path = self.path.clone();
        let mut reading = tokio::task::spawn_blocking(move || read(&path));
        let read = tokio::time::timeout(PATIENCE, &mut reading).await;
        let (read, _place) = match read {
            Ok(read) => (read, Some(place)),
            Err(_) => {
                drop(place);
                let _ = self.answers.send(Answer::Hangs(self.name.clone()));
                (reading.await, self.at_once.acquire().await.ok())
            }
        };
        let (seen, bytes) = match read {
            Ok(Ok(read)) => read,
            Ok(Err(reason)) => {
                return Answer::Unreadable(self.name.clone(), format!("{}: {reason}", self.path.display()));
            }
            Err(error) => return defect(error),
        };
        if self.look == Look::IfChanged
            && self.before.as_ref().is_some_and(|before| (before.stamp, before.digest) == (seen.stamp, seen.digest))
        {
            return Answer::Unchanged(self.name.clone(), Some(seen));
        }
        let (runtime, asked) = (Arc::clone(&self.runtime), self.look == Look::Asked);
        let compiled = tokio::task::spawn_blocking(move || {
            if asked {
                runtime.forget_refusal(&bytes);
            }
            runtime.compile(&bytes)
        });
        match compiled.await {
            Ok(compiled) => Answer::Compiled(self.name.clone(), seen, compiled),
            Err(error) => defect(error),
        }
    }

    /// Says so if it takes long.
    async fn patiently<T>(&self, mut work: JoinHandle<T>) -> Result<T, tokio::task::JoinError> {
        match tokio::time::timeout(PATIENCE, &mut work).await {
            Ok(done) => done,
            Err(_) => {
                let _ = self.answers.send(Answer::Hangs(self.name.clone()));
                work.await
            }
        }
    }
}

/// Watches until nobody listens any more, for the names that there are at the time.
pub async fn watch(
    mut directory: Directory,
    mut names: watch::Receiver<BTreeSet<String>>,
    publish: watch::Sender<Deployed>,
    asked: Arc<Mutex<mpsc::Receiver<Asked>>>,
) {
    let mut asked = asked.lock().await;
    let mut changes = Changes::in_directory(&directory.path);
    directory.look_at_all(Look::IfChanged);
    loop {
        let again = directory.next_again();
        tokio::select! {
            () = publish.closed() => return,
            Some(answer) = directory.answers.1.recv() => {
                if directory.hear(answer) {
                    publish.send_replace(directory.deployed.clone());
                }
            }
            Ok(()) = names.changed() => {
                let wanted = names.borrow_and_update().clone();
                directory.set_names(&wanted);
                directory.look_at_all(Look::IfChanged);
            }
            Some(asked) = asked.recv() => directory.ask(asked),
            () = changes.next() => directory.look_at_all(Look::IfChanged),
            () = until(again) => directory.look_again(),
        }
        directory.answer();
    }
}

/// Makes a looker and the receiver of its requests.
pub fn looker() -> (Looker, mpsc::Receiver<Asked>) {
    let (sender, asked) = mpsc::channel(ASKED);
    (Looker(sender), asked)
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => pending().await,
    }
}

/// Reads at most one byte more than an artifact may have, so that the runtime says that it is too large.
fn read(path: &Path) -> Result<(Seen, Vec<u8>), String> {
    let read = || {
        let file = regular::open(path)?;
        // Before the reading: a change meanwhile is then seen as one.
        let stamp = Stamp::of_file(&file)?;
        let settled = stamp.is_settled();
        let mut bytes = Vec::new();
        file.take(MAX_ARTIFACT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok((Seen { stamp, settled, digest: Sha256::digest(&bytes).into() }, bytes))
    };
    read().map_err(|error: std::io::Error| error.to_string())
}
