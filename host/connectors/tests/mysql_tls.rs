//! Encrypted sessions of the MySQL sink: whose certificates are taken, and what is said where there can be no session.
//!
//! `SLUICE_TEST_MYSQL_CA` is the file of the authority that signed MySQL's certificate. MariaDB's are those of a server that the test
//! starts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[macro_use]
mod mysql_server;
mod rows;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use mysql_server::{Server, on, run, server, unusable, url, user};
use sluice_connectors::mysql::{MysqlConnection, MysqlUrl};
use sluice_connectors::roles::TransactionRole;
use sluice_connectors::sink::SinkError;
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

/// The certificate of an authority that signed nobody's.
const STRANGER: &str = "-----BEGIN CERTIFICATE-----
MIIBiDCCAS2gAwIBAgIUXu8aCI9gCUQiv4u1U6H8XmbUqrgwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNU29tZWJvZHkgZWxzZTAgFw0yNjExMjcxODI3NDlaGA8yMTI2
MTEwMzE4Mjc0OVowGDEWMBQGA1UEAwwNU29tZWJvZHkgZWxzZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABJ5+brPyNM32kKUbYOgL7XqeJUU47TvVEe/b+O7q9oiB
waO1T/2CX69FGasRh5Pe4wZJutw+rV5Bg9i6HLxdDp2jUzBRMB0GA1UdDgQWBBTr
UIhRytZyJVvOdwsci2PK3SWPODAfBgNVHSMEGDAWgBTrUIhRytZyJVvOdwsci2PK
3SWPODAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCisJuCWtJB
vB4Eok1bNof7eOr0r6+cSncp1qb6M3GbfwIhAOahTp3cdELCPC/WY4lvowm/ig1S
2PpHFfwjeGGFiWhU
-----END CERTIFICATE-----";

/// A server that encrypts, and the authority of its certificate.
struct Encrypting {
    url: MysqlUrl,
    ca: PathBuf,
    /// The directory of the test's own server, if it is that.
    data: Option<TempDir>,
}

impl Encrypting {
    fn find() -> Encrypting {
        match server() {
            Server::Mariadb => Encrypting::start(),
            Server::Mysql => {
                let ca = std::env::var_os("SLUICE_TEST_MYSQL_CA").expect("run `make services` and set what it prints");
                Encrypting { url: MysqlUrl::parse(&url()).unwrap(), ca: ca.into(), data: None }
            }
        }
    }

    fn start() -> Encrypting {
        let data = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = MysqlUrl::parse(&format!("mysql://root:s3cret@127.0.0.1:{port}/livedb")).unwrap();
        let server = Encrypting { url, ca: data.path().join("tls/ca.pem"), data: Some(data) };
        assert!(server.ask("start"), "the server doesn't start");
        server
    }

    /// Runs an action of the test's own server.
    fn ask(&self, action: &str) -> bool {
        let Some(data) = &self.data else { return true };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/services/mariadb.sh");
        let mut command = std::process::Command::new(script);
        command.env("SERVICES_DATA", data.path()).env("MARIADB_PORT", self.url.port.to_string());
        command.env("MARIADB_TLS", "yes").env("MARIADB_PASSWORD", "s3cret");
        command.arg(action).status().unwrap().success()
    }

    async fn run(&self, sql: &str) {
        let mut session = sqlx::MySqlConnection::connect(&self.url.expose()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut session).await.unwrap();
    }

    /// A session of somebody whom the server lets in only if the session is encrypted.
    async fn session(&self, host: &str, mode: &str, ca: Option<&Path>) -> Result<(), SinkError> {
        let mode = ("ssl-mode".to_owned(), mode.to_owned());
        let ca = ca.map(|ca| ("ssl-ca".to_owned(), ca.display().to_string()));
        connect(&MysqlUrl {
            user: Some("mysql_tls".to_owned()),
            password: Some("s3cret".to_owned()),
            host: host.to_owned(),
            parameters: [mode].into_iter().chain(ca).collect(),
            ..self.url.clone()
        })
        .await
    }
}

impl Drop for Encrypting {
    fn drop(&mut self) {
        self.ask("kill");
    }
}

async fn connect(url: &MysqlUrl) -> Result<(), SinkError> {
    let connection = MysqlConnection { url: url.expose(), ..MysqlConnection::default() };
    connection.written("nobody", "t").await.map(drop)
}

on_each_server!(a_certificate_is_checked_as_it_is_said_and_one_that_is_not_taken_is_the_configurations_fault);
async fn a_certificate_is_checked_as_it_is_said_and_one_that_is_not_taken_is_the_configurations_fault() {
    let server = Encrypting::find();
    server.run("DROP USER IF EXISTS 'mysql_tls'@'%'").await;
    server.run("CREATE USER 'mysql_tls'@'%' IDENTIFIED BY 's3cret' REQUIRE SSL").await;
    server.run("GRANT SELECT ON *.* TO 'mysql_tls'@'%'").await;
    let files = tempfile::tempdir().unwrap();
    let [stranger, text, missing] = ["stranger.pem", "text.pem", "missing.pem"].map(|name| files.path().join(name));
    std::fs::write(&stranger, STRANGER).unwrap();
    std::fs::write(&text, "no certificate").unwrap();

    let (host, ca) = (server.url.host.clone(), Some(server.ca.as_path()));
    for (mode, ca) in [("PREFERRED", None), ("REQUIRED", None), ("VERIFY_CA", ca)] {
        server.session(&host, mode, ca).await.unwrap();
    }
    for mode in ["VERIFY_CA", "VERIFY_IDENTITY"] {
        for (ca, what) in [
            (Some(stranger.as_path()), "certificate verify failed"),
            (None, "certificate verify failed"),
            (Some(&text), "TLS failed"),
            (Some(&missing), "missing.pem"),
        ] {
            let message = unusable(server.session(&host, mode, ca).await);
            assert!(message.contains(what) && message.contains("`ca`") && !message.contains("s3cret"), "{message}");
        }
    }
    // The certificate of the test's own server names its address, and no other.
    if server.data.is_some() {
        server.session("127.0.0.1", "VERIFY_IDENTITY", ca).await.unwrap();
        server.session("localhost", "VERIFY_CA", ca).await.unwrap();
        let message = unusable(server.session("localhost", "VERIFY_IDENTITY", ca).await);
        assert!(message.contains("TLS failed"), "{message}");
    }
    // Others may do without.
    unusable(server.session(&host, "DISABLED", None).await);
    let plain = vec![("ssl-mode".to_owned(), "DISABLED".to_owned())];
    connect(&MysqlUrl { parameters: plain, ..server.url.clone() }).await.unwrap();
    server.run("DROP USER 'mysql_tls'@'%'").await;
}

/// MariaDB identifies nobody so.
#[tokio::test]
async fn a_password_that_goes_over_tls_only_does_so_once_the_message_is_obeyed() {
    on(Server::Mysql);
    let user = user("hashed", "SELECT ON *.*").await;
    run(&format!("ALTER USER '{}'@'%' IDENTIFIED WITH caching_sha2_password BY 's3cret'", user.name)).await;
    let of = |mode: &str| {
        let parameters = vec![("ssl-mode".to_owned(), mode.to_owned())];
        MysqlUrl { parameters, ..MysqlUrl::parse(&user.connection().url).unwrap() }
    };
    is_told_to_encrypt(&unusable(connect(&of("DISABLED")).await));
    connect(&of("REQUIRED")).await.unwrap();
    // The server knows a hash of it by now, for which the password needn't be sent.
    connect(&of("DISABLED")).await.unwrap();
    user.drop().await;
}

fn is_told_to_encrypt(message: &str) {
    assert!(message.contains("tls be \"required\"") && message.contains("ssl-mode=REQUIRED"), "{message}");
    assert!(!message.contains("s3cret"), "{message}");
}

const ENCRYPTS: u32 = 0x800;

/// The url of a server's double, which begins as MySQL does, with these capabilities, and goes on by `then`.
fn double(capabilities: u32, then: impl FnOnce(TcpStream) + Send + 'static) -> MysqlUrl {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut client = listener.accept().unwrap().0;
        // Its words, databases, and plugins.
        let [a, b, c, d] = (capabilities | 0x0008_8209).to_le_bytes();
        let mut hello = b"\x0a8.4.0\0\x01\0\0\0noncenon\0".to_vec();
        hello.extend([a, b, 45, 2, 0, c, d, 21]);
        hello.extend([0; 10]);
        hello.extend(b"cenoncenonce\0caching_sha2_password\0");
        send(&mut client, 0, &hello);
        then(client);
    });
    MysqlUrl::parse(&format!("mysql://me:s3cret@{address}/livedb")).unwrap()
}

fn send(client: &mut TcpStream, number: u8, body: &[u8]) {
    let length = (body.len() as u32).to_le_bytes();
    client.write_all(&[&length[..3], &[number], body].concat()).unwrap();
}

fn receive(client: &mut TcpStream) {
    let mut head = [0; 4];
    client.read_exact(&mut head).unwrap();
    let length = u32::from_le_bytes([head[0], head[1], head[2], 0]);
    client.read_exact(&mut vec![0; length as usize]).unwrap();
}

#[tokio::test]
async fn a_server_that_asks_for_the_password_over_tls_only_is_told_with_what_to_set() {
    let url = double(0, |mut client| {
        receive(&mut client);
        send(&mut client, 2, &[1, 4]);
        receive(&mut client);
        send(&mut client, 4, b"\x01-----BEGIN PUBLIC KEY-----");
        let _ = client.read(&mut [0]);
    });
    is_told_to_encrypt(&unusable(connect(&url).await));
}

#[tokio::test]
async fn a_server_that_takes_encrypted_sessions_only_is_told_with_what_to_set() {
    let url = double(0, |mut client| {
        receive(&mut client);
        send(
            &mut client,
            2,
            &[&[0xff][..], &3159u16.to_le_bytes(), b"#HY000insecure transport is prohibited"].concat(),
        );
    });
    is_told_to_encrypt(&unusable(connect(&url).await));
}

/// A server that is killed or goes down breaks off in this way.
#[tokio::test]
async fn a_server_that_breaks_off_while_a_session_is_being_encrypted_is_away() {
    let ends: [fn(TcpStream); 2] = [
        |mut client| {
            client.shutdown(Shutdown::Write).unwrap();
            let _ = client.read_to_end(&mut Vec::new());
        },
        // What was sent and not read makes it a reset.
        |client| {
            let _ = client.peek(&mut [0]);
        },
    ];
    for end in ends {
        let url = double(ENCRYPTS, move |mut client| {
            receive(&mut client);
            end(client);
        });
        let answer = connect(&url).await;
        assert!(matches!(&answer, Err(SinkError::Unavailable(why)) if !why.contains("s3cret")), "{answer:?}");
    }
}
