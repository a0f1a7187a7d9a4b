//! `sluice.toml`: directories, the admin API's address, connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_runtime::{CompileLimits, default_host_memory};

use super::board::{self, BoardServer};
use super::connections;
use super::declared::Declared;
use super::limits;
use super::reader::{Item, Section};
use super::value;
use crate::connection::ByName;

/// Time within which the service must end, unless the file says otherwise. With the half second that follows it, it is less than
/// the 10 s after which Docker kills.
pub const STOP_WITHIN: Duration = Duration::from_secs(8);

/// Least `stop_within`. Shorter: a flush that is under way is left each time.
const LEAST_STOP: Duration = Duration::from_secs(1);

/// Greatest `stop_within`. Longer: nobody waits for that.
const MOST_STOP: Duration = Duration::from_secs(3_600);

/// Settings of sluice.toml; none for each that is wrong.
pub struct Service {
    pub operators: Option<PathBuf>,
    pub pipelines: Option<PathBuf>,
    pub state: Option<PathBuf>,
    pub compile: Option<CompileLimits>,
    pub operators_memory: Option<usize>,
    pub stop_within: Option<Duration>,
    pub admin: Option<Option<SocketAddr>>,
    pub board: Option<Option<BoardServer>>,
    pub connections: ByName,
    pub declared: Declared,
}

/// Reads the top level of sluice.toml, which is in `root`.
pub fn read(section: &Section<'_>, root: &Path) -> Service {
    let directory = |key: &'static str| {
        section.or(key, root.join(key), |item| value::path(&item, root, &format!("a directory such as {key:?}")))
    };
    let (operators, pipelines, state) = (directory("operators"), directory("pipelines"), directory("state"));
    let compile = section
        .or("compile", CompileLimits::default(), |item| item.table(limits::COMPILE_LIMITS, limits::read_compile));
    let operators_memory =
        section.or("limits", default_host_memory(), |item| item.table(limits::HOST_LIMITS, limits::read_host));
    let stop_within = section.or("stop_within", STOP_WITHIN, |item| value::duration(&item, LEAST_STOP, MOST_STOP));
    let admin = section.or("admin", None, |item| {
        item.table(r#"a table such as [admin] with listen = "127.0.0.1:7070""#, |section| {
            section.required("listen", LISTEN, |item| listen(&item)).map(Some)
        })
    });
    let board = section.or("board", None, |item| board::read(&item, root).map(Some));
    let (connections, declared) = match section.optional("connections") {
        None => (BTreeMap::new(), Declared::known(BTreeMap::new())),
        Some(item) => item
            .veiled()
            .table("tables [connections.NAME]", |section| Some(connections::read_all(section, root)))
            .unwrap_or_else(|| (BTreeMap::new(), Declared::unknown())),
    };
    Service { operators, pipelines, state, compile, operators_memory, stop_within, admin, board, connections, declared }
}

const LISTEN: &str = r#"a loopback address and port such as "127.0.0.1:7070" or "[::1]:7070""#;

/// Reads the address of the admin API. It must be a loopback address, since only this machine may reach the API: it can stop
/// pipelines, and reading needs no token.
fn listen(item: &Item<'_>) -> Option<SocketAddr> {
    item.parse(LISTEN, |text| text.parse::<SocketAddr>().ok().filter(|address| address.ip().is_loopback()))
}
