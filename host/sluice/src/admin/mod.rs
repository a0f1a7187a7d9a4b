//! The admin API: what the service is doing, and orders to its pipelines, as JSON over HTTP on a loopback address.
//!
//! ```text
//! request ──▶ time limit ──▶ guard: no browser; a token for whatever changes something ──▶ GET  /status
//!                                                                                          GET  /pipelines/NAME/history
//!                                                                                          POST /pipelines/NAME/rollback|pin|unpin
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
use sluice_store::Store;

pub use token::Token;

use crate::running::Statuses;

/// Listens, and serves in the background for as long as the service runs. The token is in the state directory, and made there
/// the first time.
pub async fn serve(
    address: SocketAddr,
    state: &Path,
    statuses: Statuses,
    checkpoints: Arc<Store>,
) -> anyhow::Result<()> {
    let token = Token::load_or_make(state)?;
    let routes = routes::all(routes::Service { statuses, checkpoints }, token);
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("[admin] can't listen on {address}; is another sluice running there?"))?;
    tracing::info!("status at http://{address}/status");
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!("the admin API ended: {error}");
        }
    });
    Ok(())
}
