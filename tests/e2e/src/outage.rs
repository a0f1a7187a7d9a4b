//! Servers that go away and come back.

use std::fmt;
use std::process::Command;

use crate::root;

/// A server that a test may take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// The broker.
    Kafka,
    /// The database of [`World::Servers`](crate::World::Servers).
    Mariadb,
    /// The database of [`World::Mysql`](crate::World::Mysql).
    Mysql,
    /// HBase itself; its Thrift server stays, and has nobody to ask.
    Hbase,
    /// HBase's Thrift server; HBase itself stays.
    Thrift,
}

impl Server {
    /// In an order in which they can be started.
    pub const ALL: [Server; 5] = [Server::Kafka, Server::Mariadb, Server::Mysql, Server::Hbase, Server::Thrift];

    fn script(self) -> &'static str {
        match self {
            Server::Kafka => "kafka.sh",
            Server::Mariadb => "mariadb.sh",
            Server::Mysql => "mysql.sh",
            Server::Hbase => "hbase.sh",
            Server::Thrift => "thrift.sh",
        }
    }

    /// The scripts find their servers by the environment that `make test` or `make services` set.
    fn control(self, action: &str) -> Result<(), String> {
        let script = self.script();
        let status = Command::new(root().join("tests/services").join(script)).arg(action).status().unwrap();
        if status.success() { Ok(()) } else { Err(format!("{script} {action}: {status}")) }
    }
}

/// How a server goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It is asked to end.
    Stop,
    /// It ends without warning.
    Kill,
    /// It answers nothing, and its connections stay open.
    Freeze,
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action())
    }
}

impl Leave {
    fn action(self) -> &'static str {
        match self {
            Leave::Stop => "stop",
            Leave::Kill => "kill",
            Leave::Freeze => "freeze",
        }
    }

    fn undoing(self) -> &'static str {
        match self {
            Leave::Stop | Leave::Kill => "start",
            Leave::Freeze => "thaw",
        }
    }
}

/// While it lives, the server is away. The server is back when it is dropped, also by a failing test.
#[must_use]
pub struct Outage {
    server: Server,
    how: Leave,
}

impl Outage {
    /// Takes the server away.
    pub fn begin(server: Server, how: Leave) -> Outage {
        server.control(how.action()).unwrap();
        Outage { server, how }
    }

    /// Brings the server back; it answers when this returns.
    pub fn end(self) {}
}

impl Drop for Outage {
    fn drop(&mut self) {
        let back = self.server.control(self.how.undoing());
        // A second panic would end all tests; the next test starts what is away.
        if !std::thread::panicking() {
            back.unwrap();
        }
    }
}

/// Starts the servers that aren't there: a test before may have failed while one was away.
pub fn start_servers() {
    for server in Server::ALL {
        server.control("start").unwrap();
    }
}
