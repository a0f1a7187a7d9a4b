//! The url of a server, read so that no message can repeat a part of it.
//!
//! A password may have characters that mean something in a url. Who goes by the first `/`, `?` or `#` takes the rest of it for a
//! host, a database or a parameter, and then shows that. So a url is read whole, or refused by a sentence that quotes nothing.

use std::fmt;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The parameters that mean something; others (a JDBC url's, say) are refused rather than passed over.
const PARAMETERS: [&str; 9] =
    ["ssl-mode", "sslmode", "ssl-ca", "sslca", "ssl-cert", "sslcert", "ssl-key", "sslkey", "socket"];

/// The port of a server whose url names none.
pub const DEFAULT_PORT: u16 = 3306;

/// The reason why a url can't be read, as a phrase that follows "the url". None quotes the url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The text is not a url of this kind.
    #[error("doesn't start with mysql://")]
    Scheme,
    /// A character has a meaning where it is.
    #[error(
        "has one of / ? # @ where it means something else: in a user's name or a password write / as %2F, ? as %3F, # as %23, \
         @ as %40, : as %3A and % as %25, or give them as the keys `user` and `password`"
    )]
    Reserved,
    /// The url names no server.
    #[error("names no server: after the @ comes host:port")]
    Host,
    /// The port is none.
    #[error("has no number from 1 to 65535 for a port")]
    Port,
    /// A parameter is unknown.
    #[error("has a parameter that means nothing here; known are {}; a ? in a password is %3F", PARAMETERS.join(", "))]
    Parameter,
    /// The bytes that are percent-encoded are no text.
    #[error("has bytes behind a % that aren't UTF-8; a % in a password is %25")]
    Encoding,
}

/// A url says where a server is, and who connects: `mysql://user:password@host:port/database?ssl-mode=…`.
#[derive(Clone, PartialEq, Eq)]
pub struct MysqlUrl {
    /// The user who connects.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// A name or an address, without brackets.
    pub host: String,
    /// Port of the server.
    pub port: u16,
    /// The database of the session.
    pub database: Option<String>,
    /// The parameters, such as `ssl-mode`.
    pub parameters: Vec<(String, String)>,
}

impl MysqlUrl {
    /// Reads a url.
    ///
    /// # Errors
    /// It can't be read for sure: a part of it that should be encoded isn't, say.
    pub fn parse(text: &str) -> Result<MysqlUrl, UrlError> {
        let rest = ["mysql://", "mariadb://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or(UrlError::Scheme)?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        if rest.contains('#') || database.contains(['/', '@']) || query.contains(['?', '@']) {
            return Err(UrlError::Reserved);
        }
        let (login, address) = authority.rsplit_once('@').map_or((None, authority), |(l, a)| (Some(l), a));
        let (user, password) = match login.map(|login| login.split_once(':').ok_or(login)) {
            Some(Ok((user, password))) => (Some(user), Some(password)),
            Some(Err(user)) => (Some(user), None),
            None => (None, None),
        };
        let (host, port) = address_of(address)?;
        let named = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(decoded).transpose();
        Ok(MysqlUrl {
            user: named(user)?,
            password: named(password)?,
            host,
            port,
            database: named(Some(database))?,
            parameters: query.split('&').filter(|pair| !pair.is_empty()).map(parameter).collect::<Result<_, _>>()?,
        })
    }

    /// The url as [`MysqlUrl::parse`] reads it. It has the password in it.
    pub fn expose(&self) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let password = self.password.as_deref().map_or_else(String::new, |password| format!(":{}", encoded(password)));
        let login = match &self.user {
            None if password.is_empty() => String::new(),
            user => format!("{}{password}@", encoded(user.as_deref().unwrap_or_default())),
        };
        let database = self.database.as_deref().map_or_else(String::new, encoded);
        let parameters: Vec<_> =
            self.parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let query = if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) };
        format!("mysql://{login}{}/{database}{query}", self.address())
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Shows where the server is, and never who connects and how.
impl fmt::Debug for MysqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MysqlUrl({})", self.address())
    }
}

fn address_of(text: &str) -> Result<(String, u16), UrlError> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, port) = match bracketed {
        Some((host, rest)) => (host, rest.strip_prefix(':').or(rest.is_empty().then_some("")).ok_or(UrlError::Port)?),
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let fits = match bracketed {
        Some(_) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(letters),
    };
    if !fits {
        return Err(UrlError::Host);
    }
    let number = || port.parse().ok().filter(|number| *number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = if port.is_empty() { DEFAULT_PORT } else { number().ok_or(UrlError::Port)? };
    Ok((host.to_owned(), port))
}

fn parameter(pair: &str) -> Result<(String, String), UrlError> {
    let (name, value) = pair.split_once('=').ok_or(UrlError::Parameter)?;
    if !PARAMETERS.contains(&name) {
        return Err(UrlError::Parameter);
    }
    Ok((name.to_owned(), decoded(value)?))
}

fn decoded(text: &str) -> Result<String, UrlError> {
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| UrlError::Encoding)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full(password: &str) -> MysqlUrl {
        MysqlUrl {
            user: Some("me".into()),
            password: Some(password.into()),
            host: "db.example".into(),
            port: 3307,
            database: Some("live".into()),
            parameters: vec![("ssl-ca".into(), "/etc/a b.pem".into())],
        }
    }

    proptest! {
        #[test]
        fn what_is_exposed_is_read_again(password in "[ -~é]{1,20}") {
            prop_assert_eq!(MysqlUrl::parse(&full(&password).expose()), Ok(full(&password)));
        }

        #[test]
        fn of_a_raw_password_nothing_is_taken_for_a_server(password in "[!-~]{1,20}") {
            match MysqlUrl::parse(&format!("mysql://me:{password}@db.example:3307/live")) {
                Ok(url) => prop_assert_eq!(url.address(), "db.example:3307"),
                Err(error) => prop_assert!(!error.to_string().contains(&password) || password.len() < 4),
            }
        }
    }

    #[test]
    fn urls_are_read_as_they_were() {
        let url = MysqlUrl::parse("mysql://a@b:p@ss%21@host/db?ssl-mode=VERIFY_CA&ssl-ca=%2Fca.pem").unwrap();
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("a@b"), Some("p@ss!")));
        assert_eq!((url.address().as_str(), url.database.as_deref()), ("host:3306", Some("db")));
        assert_eq!(url.parameters[1], ("ssl-ca".to_owned(), "/ca.pem".to_owned()));
        let url = MysqlUrl::parse("mysql://[::1]:3307/db").unwrap();
        assert_eq!((url.host.as_str(), url.address().as_str(), url.user), ("::1", "[::1]:3307", None));
    }

    #[test]
    fn what_cant_be_read_for_sure_is_refused() {
        for (url, error) in [
            ("postgres://h/db", UrlError::Scheme),
            ("mysql://u:12?34@h:3306/db", UrlError::Reserved),
            ("mysql://u:12#34@h:3306/db", UrlError::Reserved),
            ("mysql://u:12/34@h:3306/db", UrlError::Reserved),
            ("mysql://u:a@bcdef/gh@h:3306/db", UrlError::Reserved),
            ("mysql://u:p@h:notaport/db", UrlError::Port),
            ("mysql://u:p@h:0/db", UrlError::Port),
            ("mysql://u:p@/db", UrlError::Host),
            ("mysql://u:p@h/db?rewriteBatchedStatements=true", UrlError::Parameter),
            ("mysql://u:%ff@h/db", UrlError::Encoding),
        ] {
            assert_eq!(MysqlUrl::parse(url), Err(error), "{url}");
        }
    }
}
