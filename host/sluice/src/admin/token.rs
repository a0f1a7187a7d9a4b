//! Token that is needed to change something: a file that only the service's user can read.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Length of a token: so many bytes from the operating system's source of randomness that nobody can guess it.
const TOKEN_BYTES: usize = 32;

/// Name of the token's file in the state directory.
const FILE: &str = "admin.token";

/// Reason why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The token's file can't be read or made.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// Path of the token's file.
        path: PathBuf,
        /// Error of the operating system.
        error: std::io::Error,
    },
    /// The file holds something else than a token.
    #[error("{}: is no token, which has 64 hexadecimal digits; remove the file, and the next start makes one", .0.display())]
    Malformed(PathBuf),
    /// Other users may read the file.
    #[error("{path}: others may read it (its mode is {mode:03o}): `chmod 600` it, or remove it, and the next start makes another", path = path.display())]
    Readable {
        /// Path of the token's file.
        path: PathBuf,
        /// Permissions of the file.
        mode: u32,
    },
}

/// The token as text: 64 hexadecimal digits. Never shown, not even by `Debug`.
pub struct Token(String);

impl Token {
    /// The token of the service with this state directory, made if there is none.
    pub fn load_or_make(state: &Path) -> Result<Token, TokenError> {
        let path = state.join(FILE);
        match load(&path) {
            Err(TokenError::File { error, .. }) if error.kind() == ErrorKind::NotFound => {
                make(state, &path).map_err(|error| TokenError::File { path: path.clone(), error })?;
                load(&path)
            }
            loaded => loaded,
        }
    }

    /// The token of the service with this state directory.
    pub fn load(state: &Path) -> Result<Token, TokenError> {
        load(&state.join(FILE))
    }

    /// Returns the token as it is sent.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns true if `said` is the token. The time that this takes reveals nothing: the comparison is of hashes, and nobody can
    /// choose how a hash begins.
    pub fn is(&self, said: &str) -> bool {
        Sha256::digest(&self.0) == Sha256::digest(said)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

fn load(path: &Path) -> Result<Token, TokenError> {
    let failed = |error| TokenError::File { path: path.to_owned(), error };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TokenError::Readable { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    // One byte more than a line's end, to see that it is too long.
    file.take(TOKEN_BYTES as u64 * 2 + 2).read_to_string(&mut text).map_err(failed)?;
    let text = text.trim_end();
    let well_formed = text.len() == TOKEN_BYTES * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if well_formed { Ok(Token(text.to_owned())) } else { Err(TokenError::Malformed(path.to_owned())) }
}

/// Makes the token's file beside its place and renames it, so that nobody ever finds half a token. One host at a time has the
/// state directory.
#[allow(clippy::disallowed_methods, reason = "a secret is of the system's own random bytes")]
fn make(state: &Path, path: &Path) -> std::io::Result<()> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes)?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::create_dir_all(state)?;
    let part = state.join(format!("{FILE}.part"));
    // What a crash left there may have other permissions.
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    writeln!(file, "{digits}")?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    File::open(state)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_first_start_makes_a_token_that_only_its_user_reads_and_later_ones_keep_it() {
        let state = tempfile::tempdir().unwrap();
        let made = Token::load_or_make(&state.path().join("state")).unwrap();
        assert_eq!(mode(&state.path().join("state/admin.token")), 0o600);
        assert_eq!(made.expose().len(), 64);
        let again = Token::load_or_make(&state.path().join("state")).unwrap();
        assert_eq!(made.expose(), again.expose());
        assert!(made.is(again.expose()));
        let other = Token::load_or_make(&state.path().join("other")).unwrap();
        assert!(!made.is(other.expose()) && !made.is("") && !made.is(&made.expose()[..63]));
        assert_eq!(std::fs::read_dir(state.path().join("state")).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_token_is_not_shown_by_accident() {
        let state = tempfile::tempdir().unwrap();
        let token = Token::load_or_make(state.path()).unwrap();
        assert!(!format!("{token:?}").contains(token.expose()));
    }

    #[test]
    fn a_damaged_or_readable_token_is_an_error_that_names_the_file_and_is_never_replaced() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("admin.token");
        Token::load_or_make(state.path()).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        for damaged in [String::new(), whole[..40].to_owned(), whole.replace(&whole[..1], "x"), whole.clone() + "0"] {
            std::fs::write(&path, &damaged).unwrap();
            let error = Token::load_or_make(state.path()).unwrap_err();
            assert!(matches!(&error, TokenError::Malformed(named) if *named == path), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
        }
        std::fs::write(&path, &whole).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Token::load_or_make(state.path()).unwrap_err().to_string();
        assert!(error.contains("644") && error.contains("chmod 600"), "{error}");
    }
}
