//! The admin API: what the service is doing, and orders to its pipelines, as JSON over HTTP on a loopback address.
//!
//! ```text
//! request ──▶ limits ──▶ guard: no browser; a token for whatever changes something ──▶ GET  /status
//!                                                                                          GET  /pipelines/NAME/history
//!                                                                                          POST /pipelines/NAME/rollback|pin|unpin|deploy|start
//! ```
//!
//! An error is `{"error": "a sentence"}`.

pub mod answers;
pub mod client;
mod guard;
mod routes;
#[cfg(test)]
mod tests;
mod token;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

pub use guard::without_token;
pub use routes::{Service, in_time, orders};
pub use token::Token;

use crate::died::kept_alive;
use crate::http::{ASK_WITHIN, Limits, accept};

/// Limits of its connections. Fewer connections: a program that keeps some open loses them to others. More: they take file descriptors
/// that pipelines need.
const LIMITS: Limits = Limits { server: "the admin API", connections: 64, ask_within: ASK_WITHIN };

/// The file in the state directory that says which port was taken, where the configuration says 0.
const ADDRESS_FILE: &str = "admin.address";

/// Listens, and serves in the background for as long as the service runs. The token is in the state directory, and made there
/// the first time. Port 0 takes one that is free: the log and a file of the state directory say which.
pub async fn serve(address: SocketAddr, state: &Path, service: Service) -> anyhow::Result<()> {
    let token = Token::load_or_make(state)?;
    let routes = routes::all(service, token);
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("[admin] can't listen on {address}; is another sluice running there?"))?;
    let taken = listener.local_addr()?;
    if taken != address {
        let file = state.join(ADDRESS_FILE);
        std::fs::write(&file, taken.to_string()).with_context(|| format!("{} can't be written", file.display()))?;
    }
    tracing::info!("status at http://{taken}/status");
    let listener = Arc::new(listener);
    tokio::spawn(async move {
        let accept = || accept(Arc::clone(&listener), routes.clone(), LIMITS);
        kept_alive("the admin API", accept).await;
    });
    Ok(())
}
