//! librdkafka's properties: ours, the user's, and those that are not the user's to set.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::KafkaConnection;

/// Properties that a connection can't set, since what the source promises about offsets hangs on them, and what says it
/// instead. The configuration is read by this list, too.
pub const RESERVED: [(&str, &str); 10] = [
    ("bootstrap.servers", BROKERS),
    ("metadata.broker.list", BROKERS),
    ("group.id", "the pipeline's `source.group` says it"),
    ("group.instance.id", SHARED),
    ("group.protocol", SHARED),
    ("partition.assignment.strategy", SHARED),
    ("auto.offset.reset", "the pipeline's `source.start` says it"),
    ("enable.auto.commit", COMMITTED),
    ("enable.auto.offset.store", COMMITTED),
    ("enable.partition.eof", "the host needs to know where a partition ends"),
];

const BROKERS: &str = "`brokers` says it";
const SHARED: &str = "how hosts share a topic is the host's";
const COMMITTED: &str = "offsets are committed after the rows are written";

/// KiB of records fetched ahead while nobody polls, and of one fetch, which comes on top. Less: a fast lane waits for the
/// broker's answer more often. 8 MiB were no faster, and took three times the memory for each pipeline.
pub const FETCHED_AHEAD_KIB: u32 = 1024;

/// The most records fetched ahead, give or take a fetch: librdkafka's own object of some 300 bytes for each is most of the
/// memory of small records. Fewer than a batch starve a fast lane; 25,000 took 15 MiB more for each pipeline and were no
/// faster.
pub const FETCHED_AHEAD_RECORDS: u32 = 8_192;

/// KiB of records that a writer holds until the broker has them; [`crate::Writer::write`] blocks when it is full.
pub const UNSENT_KIB: u32 = 32 * 1024;

/// The time without a sign of life after which the group gives a host's partitions to others, unless the connection says otherwise;
/// also how long a commit waits for a coordinator that is away. Shorter: a host that is cut off for a moment loses what it has
/// (and a broker refuses less than its `group.min.session.timeout.ms`, 6 s unless set). Longer: others take over that much later
/// from a host that died.
pub const SESSION_MS: u32 = 10_000;

const SESSION: &str = "session.timeout.ms";

/// KiB and records that a client fetches ahead which only is a member: as few as librdkafka lets it, as it is to fetch none.
const MEMBER_FETCHES: &str = "1";

/// The interval at which partitions that were added to a topic are looked for, unless the connection says otherwise.
const REFRESH: &str = "topic.metadata.refresh.interval.ms";
const REFRESH_MS: u32 = 30_000;

/// The configuration of a consumer of this group.
pub(super) fn consumer(connection: &KafkaConnection, group: &str) -> Result<ClientConfig, String> {
    let mut config = common(connection)?;
    let ours = [
        // The default of 1000 ms halves the rate and makes it uneven.
        ("fetch.queue.backoff.ms", "1".to_owned()),
        ("check.crcs", "true".to_owned()),
        ("queued.max.messages.kbytes", FETCHED_AHEAD_KIB.to_string()),
        ("queued.min.messages", FETCHED_AHEAD_RECORDS.to_string()),
        // Offsets that retention took are an error with a message, not a silent jump.
        ("auto.offset.reset", "error".to_owned()),
        ("allow.auto.create.topics", "false".to_owned()),
        (SESSION, SESSION_MS.to_string()),
        (REFRESH, REFRESH_MS.to_string()),
    ];
    overridden(&mut config, connection, ours);
    config.set("group.id", group);
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    config.set("enable.partition.eof", "true");
    Ok(config)
}

/// The configuration of the client that is a member of the group for a source, under this name. One that comes back as the same
/// instance within its session has its partitions again at once.
pub(super) fn member(
    connection: &KafkaConnection,
    group: &str,
    name: &str,
    instance: &str,
) -> Result<ClientConfig, String> {
    let mut config = consumer(connection, group)?;
    config.set("client.id", name);
    config.set("group.instance.id", instance);
    // Those who keep their partitions in a rebalance read on meanwhile.
    config.set("partition.assignment.strategy", "cooperative-sticky");
    config.set("auto.offset.reset", "latest");
    config.set("enable.partition.eof", "false");
    config.set("queued.min.messages", MEMBER_FETCHES);
    config.set("queued.max.messages.kbytes", MEMBER_FETCHES);
    // Who asks all brokers for their groups connects to all of them. Otherwise librdkafka's question waits up to a second for
    // the next timer that connects to the broker which it has just heard of.
    config.set("enable.sparse.connections", "false");
    Ok(config)
}

/// The session's timeout.
pub(super) fn session(config: &ClientConfig) -> Duration {
    // What isn't a number is refused when the client is made.
    let millis = config.get(SESSION).and_then(|millis| millis.parse().ok()).unwrap_or(SESSION_MS);
    Duration::from_millis(u64::from(millis))
}

/// The configuration of a producer: what it was given is in the topic once, or it says so.
pub(super) fn producer(connection: &KafkaConnection) -> Result<ClientConfig, String> {
    let mut config = common(connection)?;
    let ours = [
        ("acks", "all".to_owned()),
        ("enable.idempotence", "true".to_owned()),
        ("compression.type", "none".to_owned()),
        ("queue.buffering.max.kbytes", UNSENT_KIB.to_string()),
        ("allow.auto.create.topics", "false".to_owned()),
    ];
    overridden(&mut config, connection, ours);
    Ok(config)
}

fn common(connection: &KafkaConnection) -> Result<ClientConfig, String> {
    if let Some((name, instead)) = RESERVED.iter().find(|(name, _)| connection.properties.contains_key(*name)) {
        return Err(format!("the Kafka property `{name}` can't be set, since {instead}; remove it"));
    }
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &connection.brokers);
    overridden(
        &mut config,
        connection,
        [("client.id", "sluice".to_owned()), ("log.connection.close", "false".to_owned())],
    );
    Ok(config)
}

fn overridden<const N: usize>(config: &mut ClientConfig, connection: &KafkaConnection, ours: [(&str, String); N]) {
    for (name, value) in ours {
        config.set(name, value);
    }
    for (name, value) in &connection.properties {
        config.set(name, value);
    }
}

/// The interval at which the topic's partitions are looked at again; none if the connection turned it off.
pub(super) fn refresh_interval(config: &ClientConfig) -> Option<Duration> {
    let millis: i64 = config.get(REFRESH)?.parse().ok()?;
    u64::try_from(millis).ok().filter(|millis| *millis > 0).map(Duration::from_millis)
}

/// The sentence that says what is wrong with the properties, without a value that may be a secret.
pub(super) fn refusal(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, why, name, value) => {
            let why = if value.is_empty() { why.clone() } else { why.replace(value.as_str(), "…") };
            format!("the Kafka property `{name}` is not usable: {}; see librdkafka's CONFIGURATION.md", why.trim())
        }
        other => format!("Kafka's client refuses its properties: {other}; see librdkafka's CONFIGURATION.md"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(properties: &[(&str, &str)]) -> KafkaConnection {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        KafkaConnection { brokers: "127.0.0.1:1".into(), properties }
    }

    #[test]
    fn properties_override_ours_and_pass_through() {
        let config = consumer(&connection(&[("client.id", "me"), ("fetch.wait.max.ms", "7")]), "g").unwrap();
        assert_eq!(config.get("client.id"), Some("me"));
        assert_eq!(config.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(config.get("check.crcs"), Some("true"));
        assert_eq!(config.get("group.id"), Some("g"));
    }

    #[test]
    fn reserved_properties_are_refused_by_name() {
        for (name, _) in RESERVED {
            let refused = connection(&[(name, "true")]);
            assert!(consumer(&refused, "g").unwrap_err().contains(name));
            assert!(producer(&refused).unwrap_err().contains(name));
        }
    }

    #[test]
    fn all_our_properties_are_librdkafkas() {
        consumer(&connection(&[]), "g").unwrap().create_native_config().unwrap();
        producer(&connection(&[])).unwrap().create_native_config().unwrap();
    }

    #[test]
    fn a_refusal_names_the_property_and_hides_its_value() {
        for (name, value) in [("no.such.property", "hush"), ("sasl.mechanism", ""), ("security.protocol", "hush")] {
            let config = consumer(&connection(&[(name, value)]), "g").unwrap();
            if let Err(error) = config.create_native_config() {
                let message = refusal(&error);
                assert!(message.contains(name) && !message.contains("hush"), "{message}");
            }
        }
    }

    #[test]
    fn a_connection_shows_no_values() {
        let shown = format!("{:?}", connection(&[("sasl.password", "hush")]));
        assert!(shown.contains("sasl.password") && !shown.contains("hush"));
    }
}
