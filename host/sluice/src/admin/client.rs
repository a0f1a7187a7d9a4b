//! Client of the admin API, which `sluice status` and similar commands use.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::token::{Token, TokenError};
use crate::config::Admin;

/// The longest answer: 256 pipelines, each with 256 reasons.
const MAX_ANSWER: usize = 64 << 20;

/// Longest wait for an answer: longer than the service takes to report that it has none.
const PATIENCE: Duration = Duration::from_secs(70);

/// Reason why there is no answer. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service has no admin API.
    #[error("{}: the service has no admin API: give it one with [admin] listen = \"127.0.0.1:7070\", and start it again", .0.display())]
    NoAdmin(PathBuf),
    /// The service doesn't listen.
    #[error("no service answers at {address} ({error}): start it with `sluice run --config {}`", config.display())]
    Away {
        /// Address at which it should listen.
        address: SocketAddr,
        /// The service's file.
        config: PathBuf,
        /// Error of the operating system.
        error: std::io::Error,
    },
    /// The service has another token.
    #[error("the service at {address} has another token than {}: is it the one that this configuration is of?", token.display())]
    OtherToken {
        /// Address of the service.
        address: SocketAddr,
        /// The file of the token that was sent.
        token: PathBuf,
    },
    /// The token can't be read.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The server that answers is not a Sluice service.
    #[error("what listens at {0} is no sluice: {1}")]
    NotASluice(SocketAddr, String),
    /// The service says no.
    #[error("{0}")]
    Refused(String),
}

/// A service that is asked.
#[derive(Debug)]
pub struct Client {
    config: PathBuf,
    state: PathBuf,
    address: SocketAddr,
}

impl Client {
    /// Makes a client for the service of this configuration.
    pub fn new(admin: &Admin) -> Result<Client, ClientError> {
        let listen = admin.listen.ok_or_else(|| ClientError::NoAdmin(admin.file.clone()))?;
        let address = if listen.port() == 0 { taken(admin, listen)? } else { listen };
        Ok(Client { config: admin.file.clone(), state: admin.state.clone(), address })
    }

    /// Asks for the JSON value at this path.
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.send(Method::GET, path, None, Bytes::new()).await
    }

    /// Does something, with the service's token; answers the sentence that says what was done.
    pub async fn post(&self, path: &str, body: Option<&Value>) -> Result<String, ClientError> {
        let token = Token::load(&self.state)?;
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let answer = self.send(Method::POST, path, Some(&token), body).await?;
        let done = answer.get("done").and_then(Value::as_str);
        done.map(str::to_owned).ok_or_else(|| self.no_sluice(answer.to_string()))
    }

    async fn send(&self, method: Method, path: &str, token: Option<&Token>, body: Bytes) -> Result<Value, ClientError> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.address.to_string());
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        let request = request.body(Full::new(body)).map_err(|error| self.no_sluice(error.to_string()))?;
        let exchanged = tokio::time::timeout(PATIENCE, exchange(self.address, request)).await;
        let late = |_| Err(ExchangeError::Http(format!("no answer within {PATIENCE:?}")));
        let (status, body) = exchanged.unwrap_or_else(late).map_err(|error| match error {
            ExchangeError::Connect(error) => {
                ClientError::Away { address: self.address, config: self.config.clone(), error }
            }
            ExchangeError::Http(reason) => self.no_sluice(reason),
        })?;
        let value: Value = serde_json::from_slice(&body).map_err(|_| self.no_sluice(format!("it answers {status}")))?;
        let error = value.get("error").and_then(Value::as_str).map(str::to_owned);
        match (status, error) {
            (StatusCode::OK, _) => Ok(value),
            (StatusCode::UNAUTHORIZED, _) => {
                Err(ClientError::OtherToken { address: self.address, token: self.state.join("admin.token") })
            }
            (_, Some(error)) => Err(ClientError::Refused(error)),
            (status, None) => Err(self.no_sluice(format!("it answers {status}"))),
        }
    }

    fn no_sluice(&self, reason: String) -> ClientError {
        ClientError::NotASluice(self.address, reason)
    }
}

/// Returns the address of a service that chose a free port itself.
fn taken(admin: &Admin, listen: SocketAddr) -> Result<SocketAddr, ClientError> {
    let said = std::fs::read_to_string(admin.state.join(super::ADDRESS_FILE));
    let address = said.and_then(|said| said.parse().map_err(std::io::Error::other));
    address.map_err(|error| ClientError::Away { address: listen, config: admin.file.clone(), error })
}

/// Reason why a request has no answer.
#[derive(Debug)]
pub enum ExchangeError {
    Connect(std::io::Error),
    Http(String),
}

/// Sends one request on a connection of its own.
pub async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), ExchangeError> {
    let http = |error: hyper::Error| ExchangeError::Http(error.to_string());
    let stream = TcpStream::connect(address).await.map_err(ExchangeError::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    // Ends with the sender; what goes wrong is said by the request.
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.map_err(http)?.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let body = body.map_err(|error| ExchangeError::Http(error.to_string()))?;
    Ok((head.status, body.to_bytes()))
}

/// A name as one segment of a path.
pub fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
