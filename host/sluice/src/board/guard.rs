//! Access to the board: whoever reaches its address may look; with the token they may change something. Pages of others can do neither.
//!
//! A foreign web page can send requests to this machine from a browser on it. It can't read an answer of another origin, unless its own
//! name was made to mean this machine: then its requests carry that name as their `Host`, and are refused. Its requests that change
//! something carry its `Origin`, and are refused, too; besides, it hasn't got the token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::admin::answers::refusal;
use crate::admin::{Token, without_token};
use crate::http::addressed;

/// What pages may load and do: nothing but the files of this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
];

/// Hosts that requests may name, and the token of those that change something.
pub struct Access {
    pub token: Token,
    /// True if others than this machine may look: then any address is one of its own.
    pub public: bool,
    pub hosts: Vec<String>,
}

impl Access {
    fn admits(&self, host: &str) -> bool {
        addressed::is_local(host)
            || self.public && addressed::is_address(host)
            || self.hosts.iter().any(|name| addressed::is_named(host, name))
    }
}

/// Lets a request through, or answers 403 or 401; with the headers that each answer has.
pub async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let mut response = match refused(&access, request.method(), request.headers()) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refused(access: &Access, method: &Method, headers: &HeaderMap) -> Option<Response> {
    let Some(host) = addressed::host(headers).filter(|host| access.admits(host)) else {
        let why = "the Host header must name this machine's address, or one of `hosts` of [board] in sluice.toml";
        return Some(refusal(StatusCode::FORBIDDEN, why));
    };
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let origins: Vec<&HeaderValue> = headers.get_all(ORIGIN).iter().collect();
    let own = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        ["http://", "https://"]
            .iter()
            .any(|scheme| origin.strip_prefix(scheme).is_some_and(|of| of.eq_ignore_ascii_case(host)))
    };
    if !origins.iter().all(|origin| own(origin)) {
        return Some(refusal(
            StatusCode::FORBIDDEN,
            "requests of other pages are refused: this one has another Origin header",
        ));
    }
    (!addressed::bearer(headers).is_some_and(|said| access.token.is(said))).then(without_token)
}
