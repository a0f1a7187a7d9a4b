//! The lookup in a real HBase: `SLUICE_TEST_HBASE` is `host:port` of its Thrift 1 server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use hbase_thrift::hbase::{BatchMutation, ColumnDescriptor, HbaseSyncClient, Mutation, THbaseSyncClient};
use sluice_connectors::hbase::{HbaseConnection, HbaseOptions};
use sluice_connectors::lookup::{CacheConfig, Encoding, LookupColumn, LookupTable};
use sluice_connectors::roles::LookupRole;
use sluice_core::Kind;
use sluice_core::lookup::{Lookup, LookupError};
use thrift::protocol::{TBinaryInputProtocol, TBinaryOutputProtocol};
use thrift::transport::{TBufferedReadTransport, TBufferedWriteTransport};

const MODULE: &str = "cf:module_id";

fn address() -> String {
    std::env::var("SLUICE_TEST_HBASE").expect("run `make services` and set SLUICE_TEST_HBASE to 127.0.0.1:PORT")
}

/// A client of our own, to fill tables.
fn client() -> impl THbaseSyncClient {
    let stream = TcpStream::connect(address()).unwrap();
    let answers = TBufferedReadTransport::new(stream.try_clone().unwrap());
    let calls = TBufferedWriteTransport::new(stream);
    HbaseSyncClient::new(TBinaryInputProtocol::new(answers, true), TBinaryOutputProtocol::new(calls, true))
}

/// Makes the table if an earlier run didn't.
fn make(table: &str) {
    let mut client = client();
    if client.get_table_names().unwrap().contains(&table.as_bytes().to_vec()) {
        return;
    }
    let none = Some("NONE".to_string());
    let family = ColumnDescriptor {
        name: Some(b"cf:".to_vec()),
        max_versions: Some(1),
        compression: none.clone(),
        bloom_filter_type: none,
        ..ColumnDescriptor::default()
    };
    client.create_table(table.into(), vec![family]).unwrap();
}

fn put<'a, K: AsRef<[u8]>>(table: &str, column: &str, rows: impl IntoIterator<Item = (K, &'a [u8])>) {
    let mutation = |value: &[u8]| Mutation::new(false, column.as_bytes().to_vec(), value.to_vec(), true);
    let rows = rows.into_iter().map(|(key, value)| BatchMutation::new(key.as_ref().to_vec(), vec![mutation(value)]));
    client().mutate_rows(table.into(), rows.collect(), BTreeMap::new()).unwrap();
}

fn modules(table: &str) -> LookupTable {
    LookupTable::new(table, "", [(MODULE, Kind::Utf8)])
}

fn connection(ttl: Duration) -> HbaseConnection {
    let cache = CacheConfig { ttl, ..CacheConfig::default() };
    HbaseConnection::new(HbaseOptions { cache, ..HbaseOptions::new(address()) }).unwrap()
}

fn texts(lookup: &mut Box<dyn Lookup>, keys: &[&str]) -> Vec<Option<String>> {
    let keys: Vec<_> = keys.iter().map(|key| key.as_bytes()).collect();
    let found = lookup.get(&keys).unwrap();
    found.columns[0].as_string::<i32>().iter().map(|text| text.map(String::from)).collect()
}

#[test]
fn rows_that_are_there_are_found_with_their_columns_and_others_are_not() {
    make("lookup_test");
    put("lookup_test", MODULE, [("1", &b"0001"[..]), ("2", b"0002")]);
    put("lookup_test", "cf:raw", [("2", &b"\xff\0"[..]), ("3", b"x")]);
    let what = LookupTable::new("lookup_test", "", [(MODULE, Kind::Utf8), ("cf:raw", Kind::Binary)]);
    connection(Duration::ZERO).check_lookup(&what).unwrap();
    let mut lookup = connection(Duration::ZERO).lookup(&what).unwrap();
    let found = lookup.get(&[b"3", b"nope", b"2", b"1"]).unwrap();
    assert_eq!(found.found, [true, false, true, true]);
    assert_eq!(
        found.columns[0].as_string::<i32>().iter().collect::<Vec<_>>(),
        [None, None, Some("0002"), Some("0001")]
    );
    assert_eq!(
        found.columns[1].as_binary::<i32>().iter().collect::<Vec<_>>(),
        [Some(&b"x"[..]), None, Some(b"\xff\0"), None]
    );
}

#[test]
fn more_keys_than_a_call_takes_are_all_answered() {
    make("lookup_test_many");
    let keys: Vec<_> = (0..2500).map(|i| format!("room{i}")).collect();
    put("lookup_test_many", MODULE, keys.iter().map(|key| (key.as_str(), key.as_bytes())));
    let mut lookup = connection(Duration::ZERO).lookup(&modules("lookup_test_many")).unwrap();
    let asked: Vec<_> = keys.iter().map(String::as_str).collect();
    let expected: Vec<_> = keys.iter().cloned().map(Some).collect();
    assert_eq!(texts(&mut lookup, &asked), expected);
}

/// The bytes are those of `Bytes.toBytes` of HBase's Java client for 258L, -1, (short) 7, 1.5, 2.5f and true.
#[test]
fn keys_and_cells_that_a_java_client_wrote_as_numbers_are_numbers() {
    make("lookup_test_bytes");
    let table = "lookup_test_bytes";
    let key = [0, 0, 0, 0, 0, 0, 1, 2];
    for (column, value) in [
        ("cf:long", &258i64.to_be_bytes()[..]),
        ("cf:int", &[0xff; 4]),
        ("cf:short", &[0, 7]),
        ("cf:double", &[0x3f, 0xf8, 0, 0, 0, 0, 0, 0]),
        ("cf:float", &[0x40, 0x20, 0, 0]),
        ("cf:boolean", &[0xff]),
    ] {
        put(table, column, [(key, value)]);
    }
    put(table, "cf:long", [([0xff; 8], &b"258"[..])]);
    put(table, "cf:long", [("258", &[0; 8][..])]);
    let column = |encoding: Encoding| LookupColumn {
        name: format!("cf:{}", encoding.name()),
        kind: encoding.kind(),
        encoding: Some(encoding),
    };
    let mut what = LookupTable { columns: Encoding::ALL.map(column).into(), ..LookupTable::new(table, "", []) };
    what.key.encoding = Some(Encoding::Long);
    connection(Duration::ZERO).check_lookup(&what).unwrap();
    let found = connection(Duration::ZERO).lookup(&what).unwrap().get(&[b"7", b"258", b"-1", b"0258"]).unwrap();
    assert_eq!(found.found, [false, true, false, false]);
    let integers = found.columns[..3].iter().map(|column| column.as_primitive::<Int64Type>().value(1));
    assert_eq!(integers.collect::<Vec<_>>(), [258, -1, 7]);
    let floats = found.columns[3..5].iter().map(|column| column.as_primitive::<Float64Type>().value(1));
    assert_eq!(floats.collect::<Vec<_>>(), [1.5, 2.5]);
    assert!(found.columns[5].as_boolean().value(1));
    let [(2, why)] = found.unfit.as_slice() else { panic!("{:?}", found.unfit) };
    assert!(why.contains("row \"-1\"") && why.contains("not the bytes of a long"), "{why}");
}

#[test]
fn a_change_is_seen_when_the_time_to_live_is_over_and_not_before() {
    make("lookup_test_change");
    let cached = connection(Duration::from_secs(3600));
    let mut remembering = cached.lookup(&modules("lookup_test_change")).unwrap();
    let mut asking = connection(Duration::ZERO).lookup(&modules("lookup_test_change")).unwrap();
    put("lookup_test_change", MODULE, [("1", &b"old"[..])]);
    assert_eq!(texts(&mut remembering, &["1"]), [Some("old".into())]);
    put("lookup_test_change", MODULE, [("1", &b"new"[..])]);
    assert_eq!(texts(&mut remembering, &["1"]), [Some("old".into())]);
    assert_eq!(texts(&mut asking, &["1"]), [Some("new".into())]);
}

#[test]
fn a_missing_table_or_family_is_told_with_what_to_run() {
    make("lookup_test");
    for (table, column, what) in [
        ("no_such_table", MODULE, "create 'no_such_table', 'cf'"),
        ("lookup_test", "other:x", "alter 'lookup_test', 'other'"),
    ] {
        let connection = connection(Duration::ZERO);
        let asked = LookupTable::new(table, "", [(column, Kind::Utf8)]);
        let found = connection.lookup(&asked).unwrap().get(&[b"1"]).map(|_| ());
        for answer in [found, connection.check_lookup(&asked)] {
            let Err(LookupError::Unusable(message)) = answer else { panic!("{answer:?}") };
            assert!(message.contains(what) && message.contains(&address()), "{message}");
        }
    }
}

#[test]
fn a_server_that_is_not_there_is_unavailable_and_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let connection = HbaseConnection::new(HbaseOptions::new(free.clone())).unwrap();
    let asked = connection.lookup(&modules("dim_hbase")).unwrap().get(&[b"1"]).map(|_| ());
    for answer in [asked, connection.check_lookup(&modules("dim_hbase"))] {
        let Err(LookupError::Unavailable(message)) = answer else { panic!("{answer:?}") };
        assert!(message.contains(&free), "{message}");
    }
}

/// Takes as long as the server's read timeout (60 s by default; the test services set a short one).
#[test]
fn a_connection_that_the_server_closed_while_idle_is_replaced_without_an_error() {
    make("lookup_test_idle");
    put("lookup_test_idle", MODULE, [("1", &b"0001"[..])]);
    let mut lookup = connection(Duration::ZERO).lookup(&modules("lookup_test_idle")).unwrap();
    assert_eq!(texts(&mut lookup, &["1"]), [Some("0001".into())]);
    // A connection that is idle for a little less: when the server closes it, the lookup's is closed.
    let mut witness = TcpStream::connect(address()).unwrap();
    assert_eq!(witness.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(texts(&mut lookup, &["1"]), [Some("0001".into())]);
}

/// Another Thrift server for the same HBase, until it is dropped.
struct Variant {
    variant: &'static str,
    port: String,
}

impl Variant {
    fn start(variant: &'static str) -> Variant {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let server = Variant { variant, port };
        assert!(server.run("start"), "the {variant} server doesn't start");
        server
    }

    fn run(&self, action: &str) -> bool {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/services/thrift-variant.sh");
        let mut command = std::process::Command::new(script);
        command.env("VARIANT", self.variant).env("THRIFT_PORT", &self.port);
        command.arg(action).status().unwrap().success()
    }

    fn connection(&self) -> HbaseConnection {
        HbaseConnection::new(HbaseOptions::new(format!("127.0.0.1:{}", self.port))).unwrap()
    }
}

impl Drop for Variant {
    fn drop(&mut self) {
        self.run("stop");
    }
}

#[test]
fn a_framed_server_is_spoken_to_in_frames_and_a_compact_one_is_named() {
    make("lookup_test_framed");
    let keys: Vec<_> = (0..2500).map(|i| format!("room{i}")).collect();
    put("lookup_test_framed", MODULE, keys.iter().map(|key| (key.as_str(), key.as_bytes())));
    let framed = Variant::start("framed");
    framed.connection().check_lookup(&modules("lookup_test_framed")).unwrap();
    let mut lookup = framed.connection().lookup(&modules("lookup_test_framed")).unwrap();
    let asked: Vec<_> = keys.iter().map(String::as_str).collect();
    assert_eq!(texts(&mut lookup, &asked), keys.iter().cloned().map(Some).collect::<Vec<_>>());
    drop(framed);

    let compact = Variant::start("compact");
    let Err(LookupError::Unusable(message)) = compact.connection().check_lookup(&modules("lookup_test_framed")) else {
        panic!("a compact server was taken for another")
    };
    assert!(message.contains("compact protocol") && message.contains("without -compact"), "{message}");
}

#[test]
fn one_row_that_is_no_text_is_named_and_the_others_are_found() {
    make("lookup_test_unfit");
    put("lookup_test_unfit", MODULE, [("1", &b"0001"[..]), ("2", b"\xff\xfe"), ("3", b"0003")]);
    let mut lookup = connection(Duration::ZERO).lookup(&modules("lookup_test_unfit")).unwrap();
    let long = "x".repeat(32_768);
    let found = lookup.get(&[b"1", b"2", b"3", b"", long.as_bytes()]).unwrap();
    assert_eq!(found.found, [true, false, true, false, false]);
    assert_eq!(found.unfit.len(), 1);
    assert!(found.unfit[0].0 == 1 && found.unfit[0].1.contains("row \"2\""), "{:?}", found.unfit);
}

#[test]
fn a_name_that_hbase_refuses_and_a_port_that_is_not_its_thrift_servers_are_not_waited_for() {
    for name in ["a b", "ns:x:y", "-x", ""] {
        assert!(
            matches!(connection(Duration::ZERO).check_lookup(&modules(name)), Err(LookupError::Unusable(_))),
            "{name}"
        );
    }
}
