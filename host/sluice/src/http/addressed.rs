//! Addressees of requests: whom a request names as its host, and whom it brings as the token.
//!
//! A foreign web page that a person on this machine opens can send requests to loopback addresses. Where the page's host name was
//! made to mean this machine, its requests carry that name as their `Host`.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};

/// Names of this machine that no name server is asked for.
const LOCAL: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Returns the host that a request names, with its port if it names that too; none unless it names one.
pub fn host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
    host.to_str().ok()
}

/// Returns true if the host is a name of this machine.
pub fn is_local(host: &str) -> bool {
    LOCAL.iter().any(|name| is_named(host, name))
}

/// Returns true if the host is an address, which no name server can give another meaning.
pub fn is_address(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    inner.map_or_else(|| name.parse::<Ipv4Addr>().is_ok(), |name| name.parse::<Ipv6Addr>().is_ok())
}

/// Returns true if the host is this name, with a port or without.
pub fn is_named(host: &str, name: &str) -> bool {
    let rest = host.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name)).map(|_| &host[name.len()..]);
    rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// Returns the token that a request brings.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, said) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| said.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_names_that_look_alike() {
        for address in ["10.1.2.3", "10.1.2.3:80", "[::1]", "[fe80::1]:7071", "127.0.0.1:7071"] {
            assert!(is_address(address), "{address}");
        }
        for name in ["example", "10.1.2.3.example", "10.1.2.3:x", "::1", "[::1", "", ":80", "localhost"] {
            assert!(!is_address(name), "{name}");
        }
        assert!(is_named("Board.example:80", "board.example") && !is_named("board.example.evil", "board.example"));
    }
}
