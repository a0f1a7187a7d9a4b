//! Reads `[connections.*]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_connectors::hbase::{DEFAULT_ENTRIES, DEFAULT_TTL};
use sluice_connectors::kafka::config::RESERVED;
use toml::de::DeValue;

use super::declared::Declared;
use super::{CacheSettings, Connection, ConnectionType, able, mysql};
use crate::config::nearest::one_of;
use crate::config::reader::{Item, Section};
use crate::config::secret::{Secret, veil};
use crate::config::value;

/// The longest time to live: an older row than this belongs into a table of one's own.
const MAX_CACHE_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// The most rows that a cache may keep: gigabytes.
const MAX_CACHE_ENTRIES: u32 = 10_000_000;

/// Parts of the names of properties whose values are secret.
const CONFIDENTIAL: [&str; 6] = ["password", "secret", "pem", "oauthbearer.config", "jaas", "kinit"];

/// Reads all connections: those that are right, and all that are declared.
pub fn read_all(section: &Section<'_>, root: &Path) -> (BTreeMap<String, Connection>, Declared) {
    let mut connections = BTreeMap::new();
    let mut types = BTreeMap::new();
    for (name, item) in section.entries() {
        if !value::is_name(name) {
            item.problem("a connection of this name", value::NAME);
        }
        let (of, connection) = item
            .table("a table such as { sqlite = { path = \"live.db\" } }", |section| Some(read_one(section, root)))
            .unwrap_or_default();
        types.insert(name.to_owned(), of);
        connections.extend(connection.map(|connection| (name.to_owned(), connection)));
    }
    (connections, Declared::known(types))
}

fn read_one(section: &Section<'_>, root: &Path) -> (Option<ConnectionType>, Option<Connection>) {
    let found: Vec<_> =
        ConnectionType::ALL.into_iter().filter_map(|of| section.optional(of.name()).map(|item| (of, item))).collect();
    let names = ConnectionType::ALL.map(ConnectionType::name);
    match found.as_slice() {
        [(of, item)] => (Some(*of), read_settings(*of, item, root)),
        [] if section.is_empty() => {
            section.item().problem("an empty table", one_of(&names));
            (None, None)
        }
        // What is there instead is reported as unknown, with what it was probably meant to be.
        [] => (None, None),
        _ => {
            let both: Vec<_> = found.iter().map(|(of, _)| of.name()).collect();
            section.item().problem(both.join(" and "), "one type for one connection");
            (None, None)
        }
    }
}

fn read_settings(of: ConnectionType, item: &Item<'_>, root: &Path) -> Option<Connection> {
    match of {
        ConnectionType::Kafka => item.table(r#"a table such as { brokers = "127.0.0.1:9092" }"#, kafka),
        ConnectionType::Hbase => item.table(r#"a table such as { thrift = "127.0.0.1:9090" }"#, hbase),
        ConnectionType::Mysql => item
            .table(r#"a table such as { url = "mysql://user:password@127.0.0.1:3306/live" }"#, |section| {
                mysql::read(section, root)
            }),
        ConnectionType::Log => directory(item, root).map(|directory| Connection::Log { directory }),
        ConnectionType::Csv => directory(item, root).map(|directory| Connection::Csv { directory }),
        ConnectionType::Sqlite => item.table(r#"a table such as { path = "live.db" }"#, |section| {
            let want = r#"a database's file such as "live.db""#;
            let path = section.required("path", want, |item| value::path(&item, root, want))?;
            Some(Connection::Sqlite { path })
        }),
    }
}

fn directory(item: &Item<'_>, root: &Path) -> Option<PathBuf> {
    let want = r#"a directory such as "data""#;
    item.table(r#"a table such as { directory = "data" }"#, |section| {
        section.required("directory", want, |item| value::path(&item, root, want))
    })
}

fn kafka(section: &Section<'_>) -> Option<Connection> {
    let want = r#"host:port such as "127.0.0.1:9092", several separated by commas"#;
    let brokers = section.required("brokers", want, |item| {
        item.parse(want, |text| text.split(',').all(|broker| value::is_address(broker.trim())).then(|| text.to_owned()))
    });
    let properties = section.or("properties", BTreeMap::new(), |item| {
        let mut properties = BTreeMap::new();
        let whole =
            read_properties(&item.clone().confidential(), "", &mut properties) && able::is_able(&item, &properties);
        whole.then_some(properties)
    });
    Some(Connection::Kafka { brokers: brokers?, properties: properties? })
}

/// Gathers properties; answers whether all of them could be had. `security.protocol = …` without quotes is a table in a
/// table to TOML, and is taken for what it is meant to be.
fn read_properties(item: &Item<'_>, prefix: &str, into: &mut BTreeMap<String, Secret>) -> bool {
    let want = r#"a table of librdkafka's properties such as { "security.protocol" = "SSL" }"#;
    let entries = item.table(want, |section| Some(section.entries()));
    let mut whole = entries.is_some();
    for (name, item) in entries.into_iter().flatten() {
        let name = format!("{prefix}{name}");
        if item.is_table() {
            whole &= read_properties(&item, &format!("{name}."), into);
        } else if let Some((_, instead)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
            item.problem("a property that the host sets itself", format!("no such property: {instead}"));
            whole = false;
        } else if let Some(text) = property(&item) {
            // librdkafka has messages of its own.
            if CONFIDENTIAL.iter().any(|part| name.contains(part)) {
                veil(&text, "(not shown)");
            }
            into.insert(name, Secret::new(text));
        } else {
            whole = false;
        }
    }
    whole
}

fn property(item: &Item<'_>) -> Option<String> {
    match item.raw() {
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        _ => item.text("a string, a whole number, true or false"),
    }
}

fn hbase(section: &Section<'_>) -> Option<Connection> {
    let want = r#"host:port of HBase's Thrift server such as "127.0.0.1:9090""#;
    let thrift = section
        .required("thrift", want, |item| item.parse(want, |text| value::is_address(text).then(|| text.to_owned())));
    let default = CacheSettings { ttl: DEFAULT_TTL, entries: DEFAULT_ENTRIES };
    let cache = section.or("cache", default, |item| {
        item.table(r#"a table such as { ttl = "5s", entries = 100000 }"#, |section| {
            let ttl = section.or("ttl", default.ttl, |item| value::duration(&item, Duration::ZERO, MAX_CACHE_TTL));
            let entries = section.or("entries", default.entries, |item| item.whole(1, MAX_CACHE_ENTRIES));
            Some(CacheSettings { ttl: ttl?, entries: entries? })
        })
    });
    Some(Connection::Hbase { thrift: thrift?, cache: cache? })
}
