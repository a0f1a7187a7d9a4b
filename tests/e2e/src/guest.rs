//! Operators that only tests deploy.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use crate::{root, sluice};

/// One build at a time, in whichever test asks first.
static BUILDING: Mutex<()> = Mutex::new(());

/// The component of this operator of `tests/e2e/guests`.
pub fn guest(name: &str) -> Vec<u8> {
    let _alone = BUILDING.lock();
    // This test's own binary is in DIR/release/deps.
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).expect("a target directory").join("tmp/guests");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--target", "wasm32-unknown-unknown", "-p", name, "--manifest-path"])
        .arg(root().join("tests/e2e/guests/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status();
    assert!(built.unwrap().success());
    let module = target.join("wasm32-unknown-unknown/release").join(format!("{name}.wasm"));
    let component: PathBuf = target.join(format!("{name}.component.wasm"));
    let finished = sluice(&["componentize".as_ref(), module.as_os_str(), "-o".as_ref(), component.as_os_str()]);
    assert_eq!(finished.code, Some(0), "{}", finished.output);
    std::fs::read(component).unwrap()
}
