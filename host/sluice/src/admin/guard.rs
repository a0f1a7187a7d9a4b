//! Access to the API: people on this machine may read, and with the token they may change something. Requests of web pages are
//! refused.
//!
//! A foreign web page that a person on this machine opens can send requests to loopback addresses. Its requests that change
//! something always carry the `Origin` header. Where the page's host name was made to mean this machine, its requests carry that
//! name as their `Host`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::answers::refusal;
use super::token::Token;

/// Names of this machine that no name server is asked for.
const HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Lets a request through, or answers 403 or 401.
pub async fn guard(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    if request.headers().contains_key(ORIGIN) {
        return refusal(StatusCode::FORBIDDEN, "requests of web pages are refused: this one has an Origin header");
    }
    if !is_to_this_machine(request.headers()) {
        return refusal(StatusCode::FORBIDDEN, "the Host header must name 127.0.0.1, localhost or [::1]");
    }
    let only_looks = matches!(*request.method(), Method::GET | Method::HEAD);
    if !only_looks && !bearer(request.headers()).is_some_and(|said| token.is(said)) {
        let why =
            "this needs the token in the service's state/admin.token, as the header `Authorization: Bearer TOKEN`";
        let mut response = refusal(StatusCode::UNAUTHORIZED, why);
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    }
    next.run(request).await
}

fn is_to_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(host) = host.to_str() else { return false };
    HOSTS.iter().any(|name| {
        let rest = host.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name)).map(|_| &host[name.len()..]);
        rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
    })
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, said) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| said.trim())
}
