//! `kafka = { brokers = … }`: a Kafka cluster, whose topics are read and hold dead letters.

mod able;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sluice_connectors::kafka::config::RESERVED;
use sluice_connectors::kafka::{KafkaConnection, KafkaSource, KafkaWriter, Membership};
use sluice_connectors::letters::Letterbox;
use sluice_connectors::sink::SinkError;
use sluice_connectors::source::{Source, SourceError, Subscription};
use sluice_connectors::writer::{WriteError, Writer};
use sluice_core::share::Want;
use toml::de::DeValue;

use super::{Connection, Connector, LettersRole, Place, SourceRole};
use crate::config::reader::{Item, Section};
use crate::config::secret::veil;
use crate::config::value;

/// Time in which a broker must answer when a pipeline opens or is checked. Shorter: a broker that elects a leader counts as away.
/// Longer: `sluice check` keeps people waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// Parts of the names of properties whose values are secret.
const CONFIDENTIAL: [&str; 6] = ["password", "secret", "pem", "oauthbearer.config", "jaas", "kinit"];

/// Description of brokers, for messages.
const BROKERS: &str = r#"host:port such as "127.0.0.1:9092", several separated by commas"#;

pub static CONNECTOR: Connector = Connector {
    name: "kafka",
    example: r#"{ brokers = "127.0.0.1:9092" }"#,
    source: true,
    lookup: None,
    sink: None,
    letters: Some(Place::Topic),
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

    fn letters(&self) -> Option<&dyn LettersRole> {
        Some(self)
    }
}

impl SourceRole for KafkaConnection {
    fn join(
        &self,
        topic: &str,
        group: &str,
        want: Want,
        host: &str,
        alone: bool,
    ) -> Result<Option<Membership>, SourceError> {
        Membership::join(self, topic, group, want, host, alone).map(Some)
    }

    fn open(&self, what: &Subscription, membership: Option<&Membership>) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(KafkaSource::open(self, what, membership, PATIENCE)?))
    }

    fn open_writer(&self) -> Result<Box<dyn Writer>, WriteError> {
        Ok(Box::new(KafkaWriter::open(self, PATIENCE)?))
    }
}

#[async_trait]
impl LettersRole for KafkaConnection {
    fn letters(&self, topic: &str) -> Result<Box<dyn Letterbox>, SinkError> {
        Ok(KafkaConnection::letters(self, topic))
    }

    async fn open_letters(&self, topic: &str, create: bool) -> Result<Box<dyn Letterbox>, SinkError> {
        let (kafka, topic) = (self.clone(), topic.to_owned());
        blocking(move || KafkaConnection::open_letters(&kafka, &topic, create)).await
    }

    async fn check_letters(&self, topic: &str, create: bool) -> Result<(), SinkError> {
        let (kafka, topic) = (self.clone(), topic.to_owned());
        blocking(move || KafkaConnection::check_letters(&kafka, &topic, create)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, SinkError> {
    let work = tokio::task::spawn_blocking(work).await;
    work.unwrap_or_else(|error| Err(SinkError::Unusable(format!("{error}; this is a defect"))))
}
