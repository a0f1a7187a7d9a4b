//! `mysql = { url = … }`: a MySQL or MariaDB database. Beside the url is what is better not written into one.

use std::path::Path;
use std::sync::Arc;

use sluice_connectors::lookup::Caches;
use sluice_connectors::mysql::{DEFAULT_CONNECTIONS, MysqlConnection, MysqlUrl, Pool};
use sluice_connectors::query::QueryRole;
use sluice_connectors::roles::{LettersRole, LookupRole, SinkRole};

use super::{Connection, Connector, LookupForm, Place, cache};
use crate::config::reader::{Item, Section};
use crate::config::value;

pub static CONNECTOR: Connector = Connector {
    name: "mysql",
    example: r#"{ url = "mysql://user:password@127.0.0.1:3306/live" }"#,
    source: false,
    lookup: Some(LookupForm::TABLE),
    sink: Some(Place::Table),
    letters: Some(Place::Table),
    queries: true,
    read,
};

/// Description of a url, for messages.
const URL: &str = "mysql://user:password@host:3306/database (or the password as it is, as the key `password`)";

/// Message for a setting that is given both as a key and in the url.
const ONE: &str = "only one of them: the key, or the same setting in the url";

/// The most connections to a MySQL server: as many as pipelines may be.
const MAX_CONNECTIONS: u32 = 256;

/// Values of `tls`, and the driver's names for them.
const TLS: [(&str, &str); 5] = [
    ("off", "DISABLED"),
    ("preferred", "PREFERRED"),
    ("required", "REQUIRED"),
    ("verify-ca", "VERIFY_CA"),
    ("verify-full", "VERIFY_IDENTITY"),
];

fn read(section: &Section<'_>, root: &Path) -> Option<Arc<dyn Connection>> {
    Some(Arc::new(settings(section, root)?))
}

fn settings(section: &Section<'_>, root: &Path) -> Option<MysqlConnection> {
    let url = section.required("url", URL, |item| url(&item.confidential()));
    let said = url.clone();
    let [mut user, mut password, mut database] =
        said.map_or([const { None }; 3], |url| [url.user, url.password, url.database]);
    let mut whole = put(&mut user, section.optional("user"), "a user's name");
    whole &= put(&mut password, section.optional("password").map(Item::confidential), "a password");
    whole &= put(&mut database, section.optional("database"), "a database's name");
    if whole && url.is_some() && database.is_none() {
        section.item().problem("no database", "one in the url, or the key `database`");
        whole = false;
    }
    let encrypted = encrypt(section, root, url.as_ref().is_some_and(|url| !url.parameters.is_empty()));
    let zone = r#"a time zone such as "Asia/Shanghai" or "+08:00""#;
    let time_zone = section
        .or("time_zone", None, |item| item.parse(zone, |text| is_time_zone(text).then(|| Some(text.to_owned()))));
    let connections = section.or("connections", DEFAULT_CONNECTIONS, |item| item.whole(1, MAX_CONNECTIONS));
    let cache = cache::read(section);
    let (mut url, parameters, time_zone, connections) = (url?, encrypted?, time_zone?, connections?);
    url.parameters.extend(parameters);
    let url = MysqlUrl { user, password, database, ..url };
    let (pool, caches) = (Pool::new(connections), Caches::new(cache?));
    whole.then(|| MysqlConnection { url: url.expose(), time_zone, pool, caches })
}

fn url(item: &Item<'_>) -> Option<MysqlUrl> {
    let read = MysqlUrl::parse(&item.text(URL)?);
    let read = read
        .map_err(|error| item.problem(format!("a url (not shown, since it may hold a password) that {error}"), URL));
    read.inspect(|url| veil_address(item, url)).ok()
}

/// Makes messages show the variable's name in place of a server that a variable names.
fn veil_address(item: &Item<'_>, url: &MysqlUrl) {
    let raw = item.raw().as_str().unwrap_or_default();
    let variable = raw.split_once("${").and_then(|(_, rest)| rest.split_once('}'));
    if let Some((name, _)) = variable.filter(|_| !raw.contains(&url.host)) {
        item.veil(&url.address(), &format!("${{{name}}}"));
    }
}

/// Puts what a key says beside what the url says; false where both do, or the key says nothing.
fn put(into: &mut Option<String>, item: Option<Item<'_>>, want: &str) -> bool {
    let Some(item) = item else { return true };
    let value = item.parse(want, |text| (!text.is_empty()).then(|| text.to_owned()));
    let twice = value.is_some() && into.is_some();
    if twice {
        item.problem("this key although the url has the same setting", ONE);
    }
    let put = value.is_some() && !twice;
    *into = value;
    put
}

/// Converts the keys about encryption to the url's parameters. A certificate authority without a mode that checks it is a
/// problem: it would only look safe.
fn encrypt(section: &Section<'_>, root: &Path, has_parameters: bool) -> Option<Vec<(String, String)>> {
    let mode = section.or("tls", None, |item| item.choice(&TLS).map(Some));
    let keys = ["ca", "cert", "key"].map(|key| section.optional(key));
    let files = keys.each_ref().map(|item| match item {
        Some(item) => value::path(item, root, r#"a PEM file such as "ca.pem""#).map(Some),
        None => Some(None),
    });
    let (mode, [ca, cert, key]) = (mode?, files);
    let (ca, cert, key) = (ca?, cert?, key?);
    if has_parameters && (mode.is_some() || ca.is_some() || cert.is_some()) {
        section.item().problem("keys for TLS although the url has parameters", ONE);
        return None;
    }
    if cert.is_some() != key.is_some() {
        section.item().problem("one of `cert` and `key`", "both, for a client's certificate, or none");
        return None;
    }
    let mode = mode.or(ca.is_some().then_some("VERIFY_IDENTITY"));
    if let (Some(item), false) = (&keys[0], mode.is_some_and(|mode| mode.starts_with("VERIFY"))) {
        let want = "tls = \"verify-full\" or \"verify-ca\"";
        item.problem("a certificate authority that no certificate is checked against", want);
        return None;
    }
    let mode = mode.map(|mode| ("ssl-mode".to_owned(), mode.to_owned()));
    let files = [("ssl-ca", ca), ("ssl-cert", cert), ("ssl-key", key)];
    let files =
        files.into_iter().filter_map(|(name, file)| Some((name.to_owned(), file?.to_string_lossy().into_owned())));
    Some(mode.into_iter().chain(files).collect())
}

fn is_time_zone(text: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '+' | '-' | ':');
    (1..=64).contains(&text.len()) && text.chars().all(letters)
}

impl Connection for MysqlConnection {
    fn connector(&self) -> &'static Connector {
        &CONNECTOR
    }

    fn lookup(&self) -> Option<&dyn LookupRole> {
        Some(self)
    }

    fn sink(&self) -> Option<&dyn SinkRole> {
        Some(self)
    }

    fn letters(&self) -> Option<&dyn LettersRole> {
        Some(self)
    }

    fn queries(&self) -> Option<&dyn QueryRole> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reader;

    #[test]
    fn what_the_keys_say_is_the_url() {
        let url = |keys: &str| {
            let text = format!("mysql = {{ {keys} }}");
            let reading = reader::read(Path::new("sluice.toml"), &text, &|_| None, |section| {
                section.optional("mysql")?.table("", |section| settings(section, Path::new("")))
            });
            assert!(reading.problems.is_empty(), "{:?}", reading.problems);
            reading.value.unwrap().url.replace("%2F", "/")
        };
        assert_eq!(
            url(r#"url = "mysql://h", user = "me", password = "a?b#c/d@e:%", database = "x y""#),
            "mysql://me:a%3Fb%23c/d%40e%3A%25@h:3306/x%20y"
        );
        assert_eq!(url(r#"url = "mysql://u:p@h:1/d", tls = "required""#), "mysql://u:p@h:1/d?ssl-mode=REQUIRED");
        assert_eq!(url(r#"url = "mysql://u:p@h:1/d?ssl-mode=DISABLED""#), "mysql://u:p@h:1/d?ssl-mode=DISABLED");
        let checked = url(r#"url = "mysql://u@h/d", ca = "ca", cert = "c", key = "k""#);
        assert!(checked.starts_with("mysql://u@h:3306/d?ssl-mode=VERIFY%5FIDENTITY&ssl-ca="), "{checked}");
        assert!(checked.contains("&ssl-cert=") && checked.ends_with("k"), "{checked}");
    }
}
