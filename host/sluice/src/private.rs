//! Directories that are the service's alone: what is in them is believed, and some of it is run.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// Permissions of a private directory: only its owner may use it.
const PRIVATE: u32 = 0o700;

/// The bits that let others write.
const OTHERS_WRITE: u32 = 0o022;

/// State in which a directory was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Only this user could write to the directory.
    Ours,
    /// Other users could write to the directory: anybody may have put its content there.
    Open,
}

/// Makes the directory, or closes it to others; an error if it is another user's.
pub fn directory(path: &Path) -> Result<Privacy, Error> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => Err(Error::new(ErrorKind::NotADirectory, "it is not a directory")),
        Ok(metadata) => {
            let (owner, this) = (metadata.uid(), rustix::process::geteuid().as_raw());
            if owner != this {
                return Err(Error::new(
                    ErrorKind::PermissionDenied,
                    format!(
                        "it belongs to the user {owner}, and this process runs as {this}: `chown {this}` it, or name a directory \
                         of its own, which is made"
                    ),
                ));
            }
            let mode = metadata.mode() & 0o777;
            if mode & !PRIVATE != 0 {
                fs::set_permissions(path, Permissions::from_mode(PRIVATE))?;
                tracing::info!("{}: closed to other users: its mode was {mode:o}, and is {PRIVATE:o}", path.display());
            }
            Ok(if mode & OTHERS_WRITE == 0 { Privacy::Ours } else { Privacy::Open })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(PRIVATE).create(path).map(|()| Privacy::Ours)
        }
        Err(error) => Err(error),
    }
}

/// Makes the directory of a cache private. If others could have written to it, its content is removed, since it can be made anew.
pub fn cache(path: &Path) -> Result<(), Error> {
    if directory(path)? == Privacy::Open {
        tracing::warn!("{}: others could write to it; what is in it is removed, and made anew", path.display());
        fs::remove_dir_all(path)?;
        directory(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_directory_is_made_for_its_owner_and_one_that_is_there_is_closed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b");
        assert_eq!(directory(&path).unwrap(), Privacy::Ours);
        assert_eq!(mode(&path), PRIVATE);
        for (open, found) in [(0o755, Privacy::Ours), (0o770, Privacy::Open), (0o777, Privacy::Open)] {
            fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
            assert_eq!(directory(&path).unwrap(), found);
            assert_eq!(mode(&path), PRIVATE);
        }
    }

    #[test]
    fn what_others_could_write_to_a_cache_is_removed_and_what_only_its_owner_could_stays() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("compiled");
        for (open, stays) in [(0o755, true), (0o757, false)] {
            cache(&path).unwrap();
            fs::write(path.join("code"), "code").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
            cache(&path).unwrap();
            assert_eq!(path.join("code").exists(), stays);
        }
    }

    #[test]
    fn another_users_directory_and_a_file_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(directory(&file).is_err());
        // Only root can give a directory away.
        if std::os::unix::fs::chown(place.path(), Some(4_321), None).is_ok() {
            let refused = directory(place.path()).unwrap_err().to_string();
            assert!(refused.contains("user 4321"), "{refused}");
        }
    }
}
