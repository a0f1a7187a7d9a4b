//! `kafka = { brokers = … }`: a Kafka cluster, whose topics are read, take rows and hold dead letters.

mod able;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sluice_connectors::kafka::KafkaConnection;
use sluice_connectors::kafka::config::RESERVED;
use sluice_connectors::roles::{LettersRole, SinkRole, SourceRole};
use toml::de::DeValue;

use super::{Connection, Connector, Place};
use crate::config::reader::{Item, Section};
use crate::config::secret::veil;
use crate::config::value;

/// Parts of the names of properties whose values are secret.
const CONFIDENTIAL: [&str; 6] = ["password", "secret", "pem", "oauthbearer.config", "jaas", "kinit"];

/// Description of brokers, for messages.
const BROKERS: &str = r#"host:port such as "127.0.0.1:9092", several separated by commas"#;

pub static CONNECTOR: Connector = Connector {
    name: "kafka",
    example: r#"{ brokers = "127.0.0.1:9092" }"#,
    source: true,
    lookup: None,
    sink: Some(Place::Topic),
    letters: Some(Place::Topic),
    queries: false,
    read,
};

fn read(section: &Section<'_>, _: &Path) -> Option<Arc<dyn Connection>> {
    let brokers = section.required("brokers", BROKERS, |item| {
        let are_addresses = |text: &str| text.split(',').all(|broker| value::is_address(broker.trim()));
        item.parse(BROKERS, |text| are_addresses(text).then(|| text.to_owned()))
    });
    let properties = section.or("properties", BTreeMap::new(), |item| {
        let mut properties = BTreeMap::new();
        let whole =
            read_properties(&item.clone().confidential(), "", &mut properties) && able::is_able(&item, &properties);
        whole.then_some(properties)
    });
    Some(Arc::new(KafkaConnection { brokers: brokers?, properties: properties? }))
}

/// Gathers properties; answers whether all of them could be had. `security.protocol = …` without quotes is a table in a
/// table to TOML, and is taken for what it is meant to be.
fn read_properties(item: &Item<'_>, prefix: &str, into: &mut BTreeMap<String, String>) -> bool {
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
            into.insert(name, text);
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

impl Connection for KafkaConnection {
    fn connector(&self) -> &'static Connector {
        &CONNECTOR
    }

    fn source(&self) -> Option<&dyn SourceRole> {
        Some(self)
    }

    fn sink(&self) -> Option<&dyn SinkRole> {
        Some(self)
    }

    fn letters(&self) -> Option<&dyn LettersRole> {
        Some(self)
    }
}
