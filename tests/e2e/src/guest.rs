//! Operators that only tests deploy.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use crate::{root, sluice};

/// One build at a time, in whichever test asks first.
static BUILDING: Mutex<()> = Mutex::new(());

/// The same operator in a file with another digest: a custom section more, which nothing reads.
pub fn rebuilt(component: &[u8], mark: u8) -> Vec<u8> {
    // Section 0, of 3 bytes: a name of 1 byte, and a byte.
    [component, &[0, 3, 1, b'm', mark]].concat()
}

/// An artifact's SHA-256, as the status shows it.
pub fn digest(component: &[u8]) -> String {
    Sha256::digest(component).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The component of this operator of `tests/e2e/guests`.
pub fn guest(name: &str) -> Vec<u8> {
    std::fs::read(build("tests/e2e/guests", name)).unwrap()
}

/// The core module and the component of this operator of `tests/guests`, which does what its configuration says.
pub fn zoo_guest(name: &str) -> (Vec<u8>, Vec<u8>) {
    let component = build("tests/guests", name);
    let module = format!("wasm32-unknown-unknown/release/{}.wasm", name.replace('-', "_"));
    let module = component.parent().unwrap().join(module);
    (std::fs::read(module).unwrap(), std::fs::read(component).unwrap())
}

/// Builds an operator of a workspace of them.
fn build(workspace: &str, name: &str) -> PathBuf {
    let _alone = BUILDING.lock();
    // This process's own binary is somewhere in DIR/release.
    let own = std::env::current_exe().unwrap();
    let release = own.ancestors().find(|directory| directory.ends_with("release"));
    let target = release.and_then(Path::parent).expect("a target directory").join("tmp/guests");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--target", "wasm32-unknown-unknown", "-p", name, "--manifest-path"])
        .arg(root().join(workspace).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status();
    assert!(built.unwrap().success());
    let module = target.join("wasm32-unknown-unknown/release").join(format!("{}.wasm", name.replace('-', "_")));
    let component = target.join(format!("{name}.component.wasm"));
    let finished = sluice(&["componentize".as_ref(), module.as_os_str(), "-o".as_ref(), component.as_os_str()]);
    assert_eq!(finished.code, Some(0), "{}", finished.output);
    component
}
