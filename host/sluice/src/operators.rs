//! The directory of operators: the newest valid file of each name is what runs.
//!
//! A file that appears, is overwritten, renamed over or linked otherwise is compiled in the background and published;
//! one that isn't valid changes nothing, and the reason is kept beside what still runs. The directory is watched by the
//! operating system's notices, with a look every few seconds as a net.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecursiveMode, Watcher};
use sluice_runtime::{Artifact, MAX_ARTIFACT_BYTES, Runtime};
use tokio::sync::{mpsc, watch};

/// How often the directory is looked at without a notice. Shorter: idle work. Longer: later swaps on file systems that give
/// no notices.
const NET: Duration = Duration::from_secs(2);

/// How long the directory must be quiet before files are read. Shorter: half-written files are compiled for nothing. Longer: later
/// swaps.
const QUIET: Duration = Duration::from_millis(30);

/// The longest that notices put reading off, in quiet periods. A writer that never pauses must not stop others' swaps.
const MAX_PUT_OFF: u32 = 10;

/// What the directory holds, of the names that pipelines use.
#[derive(Clone, Default)]
pub struct Deployed {
    /// The newest valid artifact of each name.
    pub artifacts: BTreeMap<String, Artifact>,
    /// Why a name's newest file is not among them.
    pub refused: BTreeMap<String, String>,
}

/// Watches a directory for some operators.
pub struct Directory {
    path: PathBuf,
    names: BTreeSet<String>,
    runtime: Arc<Runtime>,
    seen: BTreeMap<String, Stamp>,
    deployed: Deployed,
}

/// What changes when a file is written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    file: u64,
}

impl Directory {
    pub fn new(path: &Path, names: BTreeSet<String>, runtime: Arc<Runtime>) -> Directory {
        Directory { path: path.to_owned(), names, runtime, seen: BTreeMap::new(), deployed: Deployed::default() }
    }

    /// Looks at the files that changed since the last look, compiling those that are new. Blocks. Says whether anything is other
    /// than before.
    pub fn look(&mut self) -> bool {
        let mut changed = false;
        for name in self.names.clone() {
            changed |= self.look_at(&name);
        }
        changed
    }

    /// What there is, as of the last look.
    pub fn deployed(&self) -> &Deployed {
        &self.deployed
    }

    fn look_at(&mut self, name: &str) -> bool {
        let path = self.path.join(format!("{name}.wasm"));
        let stamp = match stamp(&path) {
            Ok(stamp) => stamp,
            Err(reason) => {
                self.seen.remove(name);
                return self.refuse(name, reason);
            }
        };
        if self.seen.get(name) == Some(&stamp) {
            return false;
        }
        self.seen.insert(name.to_owned(), stamp);
        let compiled = read(&path).and_then(|bytes| self.runtime.compile(&bytes).map_err(|error| error.to_string()));
        match compiled {
            Ok(artifact) => self.deploy(name, artifact),
            Err(reason) => self.refuse(name, format!("{}: {reason}", path.display())),
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

/// Watches until nobody listens any more.
pub async fn watch(mut directory: Directory, publish: watch::Sender<Deployed>) {
    let (notices, mut noticed) = mpsc::channel(1);
    // Kept for as long as the loop runs: dropping a watcher ends its notices.
    let _watcher = watcher(&directory.path, notices);
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let changed = directory.look();
            (directory, changed)
        });
        let Ok((back, changed)) = looked.await else { return };
        directory = back;
        if changed {
            publish.send_replace(directory.deployed().clone());
        }
        tokio::select! {
            () = publish.closed() => return,
            () = quiet_after_notice(&mut noticed) => {}
            () = tokio::time::sleep(NET) => {}
        }
    }
}

/// Returns once there was a notice and then none for a while.
async fn quiet_after_notice(noticed: &mut mpsc::Receiver<()>) {
    if noticed.recv().await.is_none() {
        // No notices on this file system: the net alone must do.
        std::future::pending::<()>().await;
    }
    for _ in 0..MAX_PUT_OFF {
        if tokio::time::timeout(QUIET, noticed.recv()).await.is_err() {
            return;
        }
    }
}

fn watcher(path: &Path, notices: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let notice = move |event: notify::Result<notify::Event>| {
        // Reading a file gives notices too; a full channel means that one is waiting already.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = notices.try_send(());
        }
    };
    let watching = notify::recommended_watcher(notice).and_then(|mut watcher| {
        watcher.watch(path, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watching
        .inspect_err(|error| {
            tracing::warn!("{}: no notices of changes ({error}); looking every {NET:?}", path.display());
        })
        .ok()
}

fn stamp(path: &Path) -> Result<Stamp, String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Stamp { modified: metadata.modified().ok(), length: metadata.len(), file: metadata.ino() })
}

/// Reads at most one byte more than an artifact may have, so that the runtime says that it is too large.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_ARTIFACT_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}
