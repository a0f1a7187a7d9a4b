//! Servers that go away and come back.

use std::process::Command;

use crate::root;

/// A server that a test may stop.
#[derive(Debug, Clone, Copy)]
pub enum Server {
    /// The broker.
    Kafka,
    /// The database.
    Mariadb,
    /// HBase's Thrift server; HBase itself stays.
    Thrift,
}

/// While it lives, the server is away. The server is back when it is dropped, also by a failing test.
#[must_use]
pub struct Outage(Server);

impl Outage {
    /// Stops the server.
    pub fn begin(server: Server) -> Outage {
        control(server, "stop");
        Outage(server)
    }

    /// Ends the server without warning.
    pub fn kill(server: Server) -> Outage {
        control(server, "kill");
        Outage(server)
    }

    /// Starts the server; it answers when this returns.
    pub fn end(self) {}
}

impl Drop for Outage {
    fn drop(&mut self) {
        control(self.0, "start");
    }
}

fn control(server: Server, action: &str) {
    let script = match server {
        Server::Kafka => "kafka.sh",
        Server::Mariadb => "mariadb.sh",
        Server::Thrift => "thrift.sh",
    };
    // The scripts find their servers by the environment that `make test` or `make services` set.
    let status = Command::new(root().join("tests/services").join(script)).arg(action).status().unwrap();
    assert!(status.success(), "{script} {action}: {status}");
}
