//! Name of this host for the hosts that it shares topics with.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// The file in the state directory. It goes where the state goes, so that a host that is started anew with its state is the same.
const FILE: &str = "host";

/// The name of the host whose state directory this is; makes one up at the first start. Call it once the directory is this
/// process's alone.
pub fn of(state: &Path) -> io::Result<String> {
    let path = state.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().chars().all(|c| c.is_ascii_alphanumeric()) && !text.trim().is_empty() => {
            Ok(text.trim().to_owned())
        }
        // What a disk that failed left of it. A host with another name is another host, and that is all.
        Ok(text) if text.trim_matches('\0').is_empty() => make(state, &path),
        Ok(_) => {
            let why = format!("{} is no host's name: remove it, and another is made", path.display());
            Err(io::Error::new(ErrorKind::InvalidData, why))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make(state, &path),
        Err(error) => Err(error),
    }
}

/// Writes the name's file wholly or not at all, whenever the process is killed or the disk fails.
fn make(state: &Path, path: &Path) -> io::Result<String> {
    let name = format!("{:08x}", RandomState::new().build_hasher().finish() & 0xffff_ffff);
    let beside = state.join(format!("{FILE}.new"));
    let mut file = File::create(&beside)?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(state)?.sync_all()?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_keeps_its_name_and_another_directory_is_another_host() {
        let [here, there] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let name = of(here.path()).unwrap();
        assert_eq!(of(here.path()).unwrap(), name);
        assert_ne!(of(there.path()).unwrap(), name);
        fs::write(there.path().join(FILE), "").unwrap();
        assert_ne!(of(there.path()).unwrap(), "");
        fs::write(here.path().join(FILE), "not a name").unwrap();
        assert!(of(here.path()).is_err());
    }
}
