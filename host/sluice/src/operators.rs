//! The directory of operators: the newest valid file of each name is what runs.
//!
//! A file that appears, is overwritten, renamed over or linked otherwise is compiled in the background and published;
//! one that isn't valid changes nothing, and the reason is kept beside what still runs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sluice_runtime::{Artifact, MAX_ARTIFACT_BYTES, Runtime};
use tokio::sync::watch;

use crate::changes::{Changes, Stamp};
use crate::died::caught;

/// The artifacts of a pipeline's operators, by name.
pub type Artifacts = BTreeMap<String, Artifact>;

/// What the directory holds, of the names that pipelines use.
#[derive(Clone, Default)]
pub struct Deployed {
    /// The newest valid artifact of each name.
    pub artifacts: Artifacts,
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
        let stamp = match Stamp::of(&path) {
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
        let compile = |bytes: Vec<u8>| {
            let compiled = caught(|| self.runtime.compile(&bytes));
            let died = |panic| format!("the host's compiler died of it ({panic}); this is a defect of the host");
            compiled.map_err(died)?.map_err(|error| error.to_string())
        };
        let compiled = read(&path).and_then(compile);
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

/// Watches until nobody listens any more, for the names that there are at the time.
pub async fn watch(
    mut directory: Directory,
    mut names: watch::Receiver<BTreeSet<String>>,
    publish: watch::Sender<Deployed>,
) {
    let mut changes = Changes::in_directory(&directory.path);
    loop {
        directory.names.clone_from(&names.borrow_and_update());
        let looked = tokio::task::spawn_blocking(move || {
            let changed = directory.look();
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
        if changed {
            publish.send_replace(directory.deployed().clone());
        }
        tokio::select! {
            () = publish.closed() => return,
            Ok(()) = names.changed() => {}
            () = changes.next() => {}
        }
    }
}

/// Reads at most one byte more than an artifact may have, so that the runtime says that it is too large.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_ARTIFACT_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}
