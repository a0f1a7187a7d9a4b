//! Operators that only tests deploy, built for another target from workspaces of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::root;

const TARGET: &str = "wasm32-unknown-unknown";

/// Guests by workspace and package. Locked while one is built: whichever test asks first builds it, the others wait.
static BUILT: Mutex<BTreeMap<(String, String), Guest>> = Mutex::new(BTreeMap::new());

/// An operator, built.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The core module that cargo made.
    pub module: Vec<u8>,
    /// The component that the host made of it.
    pub component: Vec<u8>,
}

impl Guest {
    /// The operator of this package, in a workspace at this path from the root. `componentize` makes the component of the core
    /// module at a path: with the runtime where that is linked, with the binary where that is tried.
    pub fn of(workspace: &str, package: &str, componentize: impl FnOnce(&Path) -> Vec<u8>) -> Guest {
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        let build = || {
            let path = build(workspace, package);
            Guest { module: std::fs::read(&path).unwrap(), component: componentize(&path) }
        };
        built.entry((workspace.to_owned(), package.to_owned())).or_insert_with(build).clone()
    }
}

/// Builds a package, and returns the path of the core module.
fn build(workspace: &str, package: &str) -> PathBuf {
    // This process's own binary is somewhere in DIR/release.
    let own = std::env::current_exe().unwrap();
    let release = own.ancestors().find(|directory| directory.ends_with("release"));
    let target = release.and_then(Path::parent).expect("a target directory").join("tmp/guests");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--quiet", "--target", TARGET, "-p", package, "--manifest-path"])
        .arg(root().join(workspace).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status();
    assert!(status.unwrap().success(), "{package} of {workspace} doesn't build");
    target.join(TARGET).join("release").join(package.replace('-', "_")).with_extension("wasm")
}

/// What the sources of a guest of `tests/guests` call behaviours: arms of a match, and comparisons.
pub fn behaviours(guest: &str) -> BTreeSet<String> {
    let sources = std::fs::read_dir(root().join("tests/guests").join(guest).join("src")).unwrap();
    let text: String = sources.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let named = |line: &str| {
        let (quoted, arm) = match line.trim().strip_prefix('"') {
            Some(rest) => (rest, true),
            None => (line.split_once("behaviour() == \"")?.1, false),
        };
        let (name, rest) = quoted.split_once('"')?;
        (!arm || rest.starts_with(" =>") || rest.starts_with(" if ")).then(|| name.to_owned())
    };
    text.lines().filter_map(named).collect()
}
