//! The admin API: what the service is doing, as JSON over HTTP on a loopback address.

use std::net::SocketAddr;

use anyhow::Context;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::pipeline::Snapshot;
use crate::running::Statuses;

/// The answer to `GET /status`.
#[derive(Serialize)]
struct ServiceStatus {
    version: &'static str,
    pipelines: Vec<Snapshot>,
}

/// Listens, and serves in the background for as long as the service runs. Port 0 takes one that is free; the log says which.
pub async fn serve(address: SocketAddr, statuses: Statuses) -> anyhow::Result<()> {
    let status = move || {
        let pipelines = statuses.borrow().iter().map(|status| status.snapshot()).collect();
        async move { Json(ServiceStatus { version: env!("CARGO_PKG_VERSION"), pipelines }) }
    };
    let routes = Router::new().route("/status", get(status));
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("[admin] can't listen on {address}; is another sluice running there?"))?;
    tracing::info!("status at http://{}/status", listener.local_addr()?);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!("the admin API ended: {error}");
        }
    });
    Ok(())
}
