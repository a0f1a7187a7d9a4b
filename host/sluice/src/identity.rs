//! Which host this is, to those that it shares topics with.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::Path;

/// The file in the state directory. It goes where the state goes, so that a host that is started anew with its state is the same.
const FILE: &str = "host";

/// The name of the host whose state directory this is; makes one up at the first start. Call it once the directory is this
/// process's alone.
pub fn of(state: &Path) -> io::Result<String> {
    let path = state.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let name = text.trim();
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
                let why = format!("{} is no host's name: remove it, and another is made", path.display());
                return Err(io::Error::new(ErrorKind::InvalidData, why));
            }
            Ok(name.to_owned())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let name = format!("{:08x}", RandomState::new().build_hasher().finish() & 0xffff_ffff);
            // Whole or not at all, whenever the process is killed.
            let beside = state.join(format!("{FILE}.new"));
            fs::write(&beside, &name)?;
            fs::rename(&beside, &path)?;
            Ok(name)
        }
        Err(error) => Err(error),
    }
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
        fs::write(here.path().join(FILE), "not a name").unwrap();
        assert!(of(here.path()).is_err());
    }
}
