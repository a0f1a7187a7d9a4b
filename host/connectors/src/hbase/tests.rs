//! The lookup against a server of our own that speaks just enough Thrift, counts calls, and fails as it is told.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use hbase_thrift::hbase::{IOError, TCell, TRowResult};
use proptest::prelude::*;
use sluice_core::Kind;
use sluice_core::lookup::{Lookup, LookupError};
use thrift::protocol::{
    TBinaryInputProtocol, TBinaryOutputProtocol, TFieldIdentifier, TInputProtocol, TListIdentifier, TMessageIdentifier,
    TMessageType, TOutputProtocol, TStructIdentifier, TType,
};

use super::*;

/// The mood says what the server does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Answers.
    Well,
    /// Answers, and closes the connection: what an idle time-out looks like at the next call.
    Closing,
    /// Answers that it failed.
    Failing,
    /// Answers what isn't Thrift.
    Foreign,
    /// Answers a length that is no length.
    Lying,
    /// Takes connections, and closes them without a word.
    Silent,
}

#[derive(Default)]
struct Served {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The number of keys that each call asked for.
    calls: Vec<usize>,
    connections: usize,
    mood: Option<Mood>,
}

struct Fake {
    address: String,
    served: Arc<Mutex<Served>>,
    now: Arc<Mutex<Instant>>,
}

impl Fake {
    fn new(rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let served = Arc::new(Mutex::new(Served { rows: rows.into_iter().collect(), ..Served::default() }));
        let shared = Arc::clone(&served);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let served = Arc::clone(&shared);
                served.lock().unwrap().connections += 1;
                std::thread::spawn(move || serve(&stream, &served));
            }
        });
        Fake { address, served, now: Arc::new(Mutex::new(Instant::now())) }
    }

    fn rooms(rooms: usize) -> Fake {
        Fake::new((0..rooms).map(|i| (i.to_string().into_bytes(), format!("m{i}").into_bytes())))
    }

    fn connection(&self, cache: CacheConfig) -> HbaseConnection {
        self.stepping(cache, Duration::ZERO)
    }

    /// A connection whose clock goes on by a step each time it is looked at.
    fn stepping(&self, cache: CacheConfig, step: Duration) -> HbaseConnection {
        let now = Arc::clone(&self.now);
        let options = HbaseOptions { cache, ..HbaseOptions::new(self.address.clone()) };
        let clock = move || {
            let mut now = now.lock().unwrap();
            *now += step;
            *now
        };
        HbaseConnection::with_clock(options, Arc::new(clock)).unwrap()
    }

    fn mood(&self, mood: Mood) {
        self.served.lock().unwrap().mood = Some(mood);
    }

    fn calls(&self) -> Vec<usize> {
        self.served.lock().unwrap().calls.clone()
    }
}

fn serve(stream: &TcpStream, served: &Mutex<Served>) -> Option<()> {
    let mut calls = TBinaryInputProtocol::new(BufReader::new(stream), true);
    let mut wire = stream;
    loop {
        if served.lock().unwrap().mood == Some(Mood::Silent) {
            return None;
        }
        let call = calls.read_message_begin().ok()?;
        let keys = read_keys(&mut calls).ok()?;
        let mut served = served.lock().unwrap();
        served.calls.push(keys.len());
        let mood = served.mood.unwrap_or(Mood::Well);
        let bytes = match mood {
            Mood::Foreign => b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            mood => answer(&call, &keys, &served.rows, mood),
        };
        drop(served);
        wire.write_all(&bytes).ok()?;
        if matches!(mood, Mood::Closing | Mood::Foreign) {
            stream.shutdown(std::net::Shutdown::Both).ok()?;
            return None;
        }
    }
}

/// The keys of getRowsWithColumns: its second argument.
fn read_keys(calls: &mut impl TInputProtocol) -> thrift::Result<Vec<Vec<u8>>> {
    let mut keys = Vec::new();
    loop {
        let field = calls.read_field_begin()?;
        match (field.field_type, field.id) {
            (TType::Stop, _) => return Ok(keys),
            (TType::List, Some(2)) => {
                let list = calls.read_list_begin()?;
                keys = (0..list.size).map(|_| calls.read_bytes()).collect::<Result<_, _>>()?;
            }
            (other, _) => calls.skip(other)?,
        }
    }
}

fn answer(call: &TMessageIdentifier, keys: &[Vec<u8>], rows: &BTreeMap<Vec<u8>, Vec<u8>>, mood: Mood) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut wire = TBinaryOutputProtocol::new(&mut bytes, true);
    let reply = TMessageIdentifier::new(call.name.clone(), TMessageType::Reply, call.sequence_number);
    wire.write_message_begin(&reply).unwrap();
    wire.write_struct_begin(&TStructIdentifier::new("result")).unwrap();
    if mood == Mood::Failing {
        wire.write_field_begin(&TFieldIdentifier::new("io", TType::Struct, 1)).unwrap();
        IOError::new("RetriesExhausted: rooms\n\tat a stack".to_string(), true)
            .write_to_out_protocol(&mut wire)
            .unwrap();
    } else {
        let found: Vec<_> = keys.iter().filter_map(|key| Some((key, rows.get(key)?))).collect();
        wire.write_field_begin(&TFieldIdentifier::new("success", TType::List, 0)).unwrap();
        let size = if mood == Mood::Lying { i32::MAX } else { found.len() as i32 };
        wire.write_list_begin(&TListIdentifier::new(TType::Struct, size)).unwrap();
        // Backwards: nothing promises an order.
        for (key, value) in found.into_iter().rev() {
            let cells = BTreeMap::from([(b"cf:module_id".to_vec(), TCell::new(value.clone(), 1))]);
            TRowResult::new(key.clone(), cells, None).write_to_out_protocol(&mut wire).unwrap();
        }
    }
    wire.write_field_stop().unwrap();
    bytes
}

fn rooms(kind: Kind) -> LookupTable {
    LookupTable::new("rooms", "", [("cf:module_id", kind)])
}

fn lookup(connection: &HbaseConnection) -> Box<dyn Lookup> {
    connection.lookup(&rooms(Kind::Utf8)).unwrap()
}

fn get(lookup: &mut Box<dyn Lookup>, keys: &[String]) -> Result<Vec<Option<String>>, LookupError> {
    let keys: Vec<_> = keys.iter().map(|key| key.as_bytes()).collect();
    let found = lookup.get(&keys)?;
    let texts: Vec<_> = found.columns[0].as_string::<i32>().iter().map(|text| text.map(String::from)).collect();
    assert_eq!(found.found, texts.iter().map(Option::is_some).collect::<Vec<_>>());
    Ok(texts)
}

fn keys(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| i.to_string()).collect()
}

#[test]
fn a_batch_asks_once_for_what_it_lacks_and_not_again_while_that_is_fresh() {
    let fake = Fake::rooms(10);
    let mut lookup = lookup(&fake.connection(CacheConfig::default()));
    let expected: Vec<_> = (0..15).map(|i| (i < 10).then(|| format!("m{i}"))).collect();
    assert_eq!(get(&mut lookup, &keys(0..15)).unwrap(), expected);
    assert_eq!(get(&mut lookup, &keys(0..15)).unwrap(), expected);
    assert_eq!(get(&mut lookup, &keys(0..20)).unwrap().len(), 20);
    assert_eq!(fake.calls(), [15, 5]);
    *fake.now.lock().unwrap() += CacheConfig::default().ttl;
    assert_eq!(get(&mut lookup, &keys(0..15)).unwrap(), expected);
    assert_eq!(fake.calls(), [15, 5, 15]);
}

#[test]
fn pipelines_that_look_up_the_same_share_what_is_remembered_and_others_do_not() {
    let fake = Fake::rooms(10);
    let connection = fake.connection(CacheConfig::default());
    let (mut one, mut two) = (lookup(&connection), lookup(&connection.clone()));
    assert_eq!(get(&mut one, &keys(0..10)).unwrap(), get(&mut two, &keys(0..10)).unwrap());
    assert_eq!(fake.calls(), [10]);
    let mut binary = connection.lookup(&rooms(Kind::Binary)).unwrap();
    let found = binary.get(&[b"3"]).unwrap();
    assert_eq!(found.columns[0].as_binary::<i32>().value(0), b"m3");
    assert_eq!(fake.calls(), [10, 1]);
}

#[test]
fn nothing_is_remembered_without_a_time_to_live() {
    let fake = Fake::rooms(1);
    let mut lookup = lookup(&fake.connection(CacheConfig { ttl: Duration::ZERO, ..CacheConfig::default() }));
    for _ in 0..3 {
        get(&mut lookup, &keys(0..1)).unwrap();
    }
    assert_eq!(fake.calls(), [1, 1, 1]);
}

#[test]
fn many_keys_go_in_calls_of_a_thousand() {
    let fake = Fake::rooms(2500);
    let mut lookup = lookup(&fake.connection(CacheConfig::default()));
    let expected: Vec<_> = (0..2500).map(|i| Some(format!("m{i}"))).collect();
    assert_eq!(get(&mut lookup, &keys(0..2500)).unwrap(), expected);
    assert_eq!(fake.calls(), [1000, 1000, 500]);
    assert_eq!(fake.served.lock().unwrap().connections, 1);
}

#[test]
fn a_connection_that_was_closed_while_idle_is_replaced_without_an_error() {
    let fake = Fake::rooms(3);
    fake.mood(Mood::Closing);
    let mut lookup = lookup(&fake.connection(CacheConfig { ttl: Duration::ZERO, ..CacheConfig::default() }));
    for _ in 0..3 {
        assert_eq!(get(&mut lookup, &keys(0..1)).unwrap(), [Some("m0".into())]);
    }
    assert_eq!(fake.served.lock().unwrap().connections, 3);
}

#[test]
fn a_server_that_fails_is_waited_for_and_then_told_without_its_stack() {
    let fake = Fake::rooms(3);
    fake.mood(Mood::Failing);
    let mut lookup = lookup(&fake.stepping(CacheConfig::default(), Duration::from_secs(1)));
    let Err(LookupError::Unavailable(message)) = get(&mut lookup, &keys(0..1)) else { panic!("answered") };
    assert!(message.contains(&fake.address) && message.contains("RetriesExhausted"), "{message}");
    assert!(!message.contains("stack"), "{message}");
    assert!(fake.calls().iter().filter(|keys| **keys == 1).count() > 1, "asked once only");
    fake.mood(Mood::Well);
    assert_eq!(get(&mut lookup, &keys(0..1)).unwrap(), [Some("m0".into())]);
}

#[test]
fn what_speaks_another_protocol_is_told_with_what_to_do() {
    for mood in [Mood::Foreign, Mood::Lying] {
        let fake = Fake::rooms(3);
        fake.mood(mood);
        let Err(LookupError::Unusable(message)) =
            get(&mut lookup(&fake.connection(CacheConfig::default())), &keys(0..1))
        else {
            panic!("answered")
        };
        assert!(message.contains(&fake.address) && message.contains("hbase thrift start"), "{message}");
    }
}

#[test]
fn a_text_that_is_none_is_told_with_its_row_and_the_other_rows_are_answered() {
    let fake = Fake::new([(b"7".to_vec(), vec![0xff]), (b"8".to_vec(), b"m8".to_vec())]);
    let mut lookup = lookup(&fake.connection(CacheConfig::default()));
    for _ in 0..2 {
        let found = lookup.get(&[b"6", b"7", b"8"]).unwrap();
        assert_eq!(found.found, [false, false, true]);
        let [(1, why)] = found.unfit.as_slice() else { panic!("{:?}", found.unfit) };
        assert!(why.contains("row \"7\"") && why.contains("ask for it as binary"), "{why}");
    }
    assert_eq!(fake.calls(), [3], "what is unfit is remembered as well");
}

#[test]
fn keys_that_no_row_can_have_are_absent_without_a_question() {
    let fake = Fake::rooms(1);
    let mut lookup = lookup(&fake.connection(CacheConfig::default()));
    let (longest, longer) = ("x".repeat(32_767), "x".repeat(32_768));
    assert_eq!(get(&mut lookup, &["".into(), longer.clone()]).unwrap(), [None, None]);
    assert_eq!(fake.calls(), Vec::<usize>::new());
    assert_eq!(get(&mut lookup, &["".into(), "0".into(), longest, longer]).unwrap()[1], Some("m0".into()));
    assert_eq!(fake.calls(), [2]);
}

#[test]
fn rows_that_are_too_many_bytes_for_an_answer_are_asked_for_by_halves() {
    let size = protocol::MAX_ANSWER_BYTES / 4;
    let fake = Fake::new((0..8).map(|i| (i.to_string().into_bytes(), vec![b'x'; size])));
    let mut lookup = lookup(&fake.connection(CacheConfig { ttl: Duration::ZERO, ..CacheConfig::default() }));
    assert!(get(&mut lookup, &keys(0..8)).unwrap().iter().all(|text| text.as_ref().unwrap().len() == size));
    assert_eq!(fake.calls(), [8, 4, 2, 2, 4, 2, 2]);
}

#[test]
fn a_server_that_only_closes_connections_is_away_for_a_while_and_then_the_address_is_at_fault() {
    let fake = Fake::rooms(1);
    fake.mood(Mood::Silent);
    let connection = fake.connection(CacheConfig::default());
    let asked = Instant::now();
    let mut away = 0;
    let message = loop {
        match connection.check_lookup(&rooms(Kind::Utf8)) {
            Err(LookupError::Unavailable(_)) => away += 1,
            Err(LookupError::Unusable(message)) => break message,
            Ok(()) => panic!("answered"),
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(away >= 3 && asked.elapsed() >= Duration::from_secs(10), "{away}");
    assert!(message.contains("closes connections before it answers") && message.contains(&fake.address), "{message}");
}

#[test]
fn a_server_that_has_answered_is_away_however_long_it_closes_connections() {
    let fake = Fake::rooms(1);
    let connection = fake.connection(CacheConfig { ttl: Duration::ZERO, ..CacheConfig::default() });
    get(&mut lookup(&connection), &keys(0..1)).unwrap();
    fake.mood(Mood::Silent);
    *fake.now.lock().unwrap() += Duration::from_secs(3600);
    for _ in 0..20 {
        assert!(matches!(connection.check_lookup(&rooms(Kind::Utf8)), Err(LookupError::Unavailable(_))));
    }
    fake.mood(Mood::Well);
    assert_eq!(get(&mut lookup(&connection), &keys(0..1)).unwrap(), [Some("m0".into())]);
}

#[test]
fn names_that_hbase_refuses_are_refused_before_anything_is_connected() {
    let connection = HbaseConnection::new(HbaseOptions::new("127.0.0.1:1")).unwrap();
    let named = |name| LookupTable::new(name, "", [("cf:x", Kind::Utf8)]);
    for name in ["", "a b", "a:b:c", ":t", "n-s:t", "-t", ".t", "a/b", "t\n"] {
        let Err(LookupError::Unusable(message)) = connection.check_lookup(&named(name)) else { panic!("{name}") };
        assert!(message.contains("no name of an HBase table"), "{message}");
    }
    for name in ["t", "T_1-2.3", "ns:t", "n_1:t"] {
        assert!(connection.lookup(&named(name)).is_ok(), "{name}");
    }
}

#[test]
fn addresses_and_columns_that_are_none_are_refused_before_anything_is_connected() {
    for address in ["", "host", "host:", ":9090", "host:0", "host:port", "host:99999"] {
        assert!(HbaseConnection::new(HbaseOptions::new(address)).is_err(), "{address}");
    }
    let connection = HbaseConnection::new(HbaseOptions::new("[::1]:9090")).unwrap();
    for column in ["module_id", ":module_id"] {
        assert!(connection.lookup(&LookupTable::new("rooms", "", [(column, Kind::Utf8)])).is_err(), "{column}");
    }
}

#[test]
fn lanes_that_ask_at_once_use_no_more_connections_than_are_allowed() {
    let fake = Fake::rooms(100);
    let options = HbaseOptions { connections: 2, ..HbaseOptions::new(fake.address.clone()) };
    let connection = HbaseConnection::new(options).unwrap();
    std::thread::scope(|scope| {
        for lane in 0..8 {
            let mut lookup = lookup(&connection);
            scope.spawn(move || {
                for i in 0..20 {
                    get(&mut lookup, &keys(lane * 10 + i..lane * 10 + i + 3)).unwrap();
                }
            });
        }
    });
    assert!(fake.served.lock().unwrap().connections <= 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn whatever_is_remembered_the_answer_is_the_tables(
        rows in proptest::collection::btree_map("[0-9]{1,2}", "[a-z]{0,3}", 0..60),
        batches in proptest::collection::vec(proptest::collection::btree_set("[0-9]{1,2}", 0..40), 1..8),
        entries in 1u32..50,
    ) {
        let fake = Fake::new(rows.iter().map(|(key, value)| (key.clone().into_bytes(), value.clone().into_bytes())));
        let mut lookup = lookup(&fake.connection(CacheConfig { entries, ..CacheConfig::default() }));
        for batch in batches {
            let keys: Vec<_> = batch.into_iter().collect();
            let expected: Vec<_> = keys.iter().map(|key| rows.get(key).cloned()).collect();
            prop_assert_eq!(get(&mut lookup, &keys).unwrap(), expected);
        }
    }
}
