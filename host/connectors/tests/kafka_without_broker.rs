//! Kafka's troubles, from librdkafka's mock cluster and from ports where there is no Kafka: no server is needed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "these are tests")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use sluice_connectors::kafka::{KafkaSource, KafkaWriter};
use sluice_connectors::roles::SinkRole as _;
use sluice_connectors::sink::{SinkError, Target};
use sluice_connectors::source::Start;
use sluice_connectors::{Source as _, SourceError, WriteError, Writer as _};
use sluice_core::{Field, Kind, Offset, Partition};
use support::{LONG, Reader, connection, subscription, unusable};
use tokio::runtime::Runtime;

const SHORT: Duration = Duration::from_secs(2);

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 2, 1).unwrap();
    cluster
}

fn write(brokers: &str, values: std::ops::Range<u32>) {
    let mut writer = KafkaWriter::open(&connection(brokers, &[]), LONG).unwrap();
    for value in values {
        writer.write("t", value.into(), value.to_string().as_bytes()).unwrap();
    }
    writer.flush().unwrap();
}

/// Returns the ends of the partitions; a client that has lost its broker connects again when its time comes.
fn ends_of(source: &mut KafkaSource) -> BTreeMap<Partition, Offset> {
    let asked = Instant::now();
    loop {
        match source.ends() {
            Err(SourceError::Unavailable(_)) if asked.elapsed() < LONG => {}
            answer => return answer.unwrap(),
        }
    }
}

#[test]
fn a_broker_that_goes_and_comes_back_costs_no_record() {
    let cluster = cluster();
    let brokers = cluster.bootstrap_servers();
    write(&brokers, 0..1000);
    let mut source =
        KafkaSource::open(&connection(&brokers, &[]), &subscription("t", Start::Earliest), None, LONG).unwrap();
    let mut reader = Reader::default();
    let ends = source.ends().unwrap();
    reader.read_to(&mut source, &ends);
    for round in 1..=3 {
        cluster.broker_down(1).unwrap();
        // Nothing is there, and that is no error.
        assert_eq!(reader.poll(&mut source, 1000, Duration::from_millis(300)).unwrap(), 0);
        cluster.broker_up(1).unwrap();
        write(&brokers, round * 1000..(round + 1) * 1000);
        let ends = ends_of(&mut source);
        reader.read_to(&mut source, &ends);
    }
    for partition in 0..2 {
        let expected: Vec<_> =
            (0..4000).filter(|value| value % 2 == partition).map(|value| value.to_string()).collect();
        assert_eq!(reader.texts(partition), expected);
    }
}

#[test]
fn records_may_outlive_their_source() {
    let cluster = cluster();
    let brokers = cluster.bootstrap_servers();
    write(&brokers, 0..100);
    let mut source =
        KafkaSource::open(&connection(&brokers, &[]), &subscription("t", Start::Earliest), None, LONG).unwrap();
    let records = source.poll(10, LONG).unwrap().unwrap();
    drop(source);
    let reading = std::thread::spawn(move || (0..records.len()).all(|i| records.value(i).is_some()));
    assert!(reading.join().unwrap());
}

#[test]
fn a_source_ends_though_records_wait_to_be_read() {
    let cluster = cluster();
    let brokers = cluster.bootstrap_servers();
    write(&brokers, 0..1000);
    // Whether librdkafka would wait for ever depends on what its threads are at.
    for _ in 0..20 {
        let mut source =
            KafkaSource::open(&connection(&brokers, &[]), &subscription("t", Start::Earliest), None, LONG).unwrap();
        assert!(source.poll(1, LONG).unwrap().is_some());
    }
}

#[test]
fn nobody_there_is_said_within_patience() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let opened = KafkaSource::open(&connection(&address, &[]), &subscription("t", Start::Earliest), None, SHORT);
    let Some(SourceError::Unavailable(message)) = opened.err() else { panic!("nobody is there for now") };
    assert!(message.contains(&address) && message.contains("is Kafka running"), "{message}");

    let mut writer = KafkaWriter::open(&connection(&address, &[]), SHORT).unwrap();
    let Err(WriteError::Unavailable(message)) = writer.write("t", 0, b"{}") else { panic!("nobody is there for now") };
    assert!(message.contains(&address), "{message}");
}

#[test]
fn nobody_there_to_take_rows_is_said_within_patience() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (kafka, runtime) = (connection(&address, &[]), Runtime::new().unwrap());
    let target = Target { table: "t".to_owned(), create: true, ..Target::default() };
    let checked = runtime.block_on(kafka.check_sink(&target, &[Field::new("id", Kind::Int64)]));
    let Err(SinkError::Unavailable(message)) = checked else { panic!("nobody is there for now") };
    assert!(message.contains(&address) && message.contains("is Kafka running"), "{message}");
}

/// A port that does this to each client.
fn port(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(client));
        }
    });
    address
}

#[test]
fn a_port_that_is_another_protocols_is_the_configurations_fault() {
    let http = port(|mut client| {
        let _ = client.read(&mut [0; 1000]);
        let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let closes = port(|mut client| drop(client.read(&mut [0; 1000])));
    let cluster = cluster();
    let plain = cluster.bootstrap_servers();
    let tls = &[("security.protocol", "ssl")][..];
    for (brokers, properties) in [(http, &[][..]), (plain, tls), (closes.clone(), tls), (closes, &[])] {
        let opened = KafkaSource::open(
            &connection(&brokers, properties),
            &subscription("t", Start::Earliest),
            None,
            Duration::from_secs(5),
        );
        let message = unusable(opened.err().unwrap());
        assert!(message.contains(&brokers), "{message}");
    }
}

#[test]
fn a_bad_property_is_named() {
    for (name, value) in [("no.such.property", "1"), ("fetch.wait.max.ms", "soon"), ("group.id", "mine")] {
        let refused = connection("127.0.0.1:1", &[(name, value)]);
        let opened = KafkaSource::open(&refused, &subscription("t", Start::Earliest), None, SHORT);
        assert!(unusable(opened.err().unwrap()).contains(name));
    }
}

/// Answer that says what the broker below can do: ApiVersions 0, SaslHandshake to 1, SaslAuthenticate 0, Metadata to 4.
const API_VERSIONS: &[u8] = b"\0\0\0\x04\0\x12\0\0\0\0\0\x11\0\0\0\x01\0\x24\0\0\0\0\0\x03\0\0\0\x04";

/// Answers one client as a broker would that doesn't know its password.
fn refuse_password(mut client: TcpStream) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        client.read_exact(&mut request)?;
        let mut answer = request[4..8].to_vec();
        match u16::from_be_bytes([request[0], request[1]]) {
            // ApiVersions: UNSUPPORTED_VERSION for all but version 0.
            18 => {
                answer.extend_from_slice(if request[2..4] == [0, 0] { b"\0\0" } else { b"\0\x23" });
                answer.extend_from_slice(API_VERSIONS);
            }
            // SaslHandshake: no error, one mechanism.
            17 => answer.extend_from_slice(b"\0\0\0\0\0\x01\0\x05PLAIN"),
            // SaslAuthenticate: SASL_AUTHENTICATION_FAILED, a reason, no bytes.
            36 => answer.extend_from_slice(b"\0\x3a\0\x0cwrong secret\0\0\0\0"),
            _ => return Ok(()),
        }
        client.write_all(&u32::try_from(answer.len()).unwrap().to_be_bytes())?;
        client.write_all(&answer)?;
    }
}

#[test]
fn a_wrong_password_is_for_good_and_not_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || refuse_password(client));
        }
    });
    let properties = [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "me"),
        ("sasl.password", "hush-hush"),
    ];
    let connection = connection(&address, &properties);
    let message =
        unusable(KafkaSource::open(&connection, &subscription("t", Start::Earliest), None, LONG).err().unwrap());
    assert!(message.contains(&address) && message.contains("wrong secret"), "{message}");
    assert!(!message.contains("hush-hush"), "{message}");
    let refused = KafkaWriter::open(&connection, LONG).unwrap().write("t", 0, b"{}");
    assert!(matches!(refused, Err(WriteError::Unusable(_))), "{refused:?}");
}
