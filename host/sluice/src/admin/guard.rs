//! Access to the API: people on this machine may read, and with the token they may change something. Requests of web pages are
//! refused.
//!
//! A foreign web page that a person on this machine opens can send requests to loopback addresses. Its requests that change
//! something always carry the `Origin` header. Where the page's host name was made to mean this machine, its requests carry that
//! name as their `Host`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::answers::refusal;
use super::token::Token;
use crate::http::addressed;

/// Lets a request through, or answers 403 or 401.
pub async fn guard(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    if request.headers().contains_key(ORIGIN) {
        return refusal(StatusCode::FORBIDDEN, "requests of web pages are refused: this one has an Origin header");
    }
    if !addressed::host(request.headers()).is_some_and(addressed::is_local) {
        return refusal(StatusCode::FORBIDDEN, "the Host header must name 127.0.0.1, localhost or [::1]");
    }
    let only_looks = matches!(*request.method(), Method::GET | Method::HEAD);
    if !only_looks && !addressed::bearer(request.headers()).is_some_and(|said| token.is(said)) {
        return without_token();
    }
    next.run(request).await
}

/// Makes the answer to a request that needs the token and doesn't bring it.
pub fn without_token() -> Response {
    let why = "this needs the token in the service's state/admin.token, as the header `Authorization: Bearer TOKEN`";
    let mut response = refusal(StatusCode::UNAUTHORIZED, why);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
