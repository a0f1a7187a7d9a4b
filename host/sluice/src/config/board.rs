//! `[board]`: where the board is served, and where its boards' files are.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::reader::{Item, Section};
use super::value;

/// The most names of a board's host.
const MAX_HOSTS: usize = 16;

/// The longest name of a host: the domain name system's limit.
const MAX_HOST: usize = 253;

const LISTEN: &str = r#"an address and port such as "127.0.0.1:7071""#;

/// Settings of the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardServer {
    /// Address at which it listens: a loopback address, unless the file says that others may look.
    pub listen: SocketAddr,
    /// The directory of the boards' files.
    pub boards: PathBuf,
    /// Names under which other machines may ask for it, besides its addresses.
    pub hosts: Vec<String>,
}

/// Reads `[board]` of sluice.toml, which is in `root`.
pub fn read(item: &Item<'_>, root: &Path) -> Option<BoardServer> {
    item.table(r#"a table such as [board] with listen = "127.0.0.1:7071""#, |section| {
        let public = section.or("public", false, |item| item.boolean());
        let listen = section.required("listen", LISTEN, |item| listen(&item, public));
        let boards = section
            .or("boards", root.join("boards"), |item| value::path(&item, root, r#"a directory such as "boards""#));
        let hosts = hosts(section);
        Some(BoardServer { listen: listen?, boards: boards?, hosts: hosts? })
    })
}

/// Reads the address. What the board shows is for whoever can reach it, so that others than this machine is a decision to be said.
fn listen(item: &Item<'_>, public: Option<bool>) -> Option<SocketAddr> {
    let address = item.parse(LISTEN, |text| text.parse::<SocketAddr>().ok())?;
    if public == Some(false) && !address.ip().is_loopback() {
        let want = "a loopback address, or `public = true` beside it: whoever reaches that address then sees every board, without a \
                    password and without TLS";
        item.problem(item.shown(), want);
        return None;
    }
    Some(address)
}

fn hosts(section: &Section<'_>) -> Option<Vec<String>> {
    let want = r#"an array of names such as ["board.example.com"]"#;
    section.or("hosts", Vec::new(), |item| {
        let names = item.list(want, MAX_HOSTS)?.into_iter().map(|item| {
            let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
            let fits = |text: &str| (1..=MAX_HOST).contains(&text.len()) && text.chars().all(letters);
            item.parse(r#"a host's name without a port such as "board.example.com""#, |text| {
                fits(text).then(|| text.to_owned())
            })
        });
        names.collect()
    })
}
