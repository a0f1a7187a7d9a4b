//! Whatever bytes a record is: the decoder takes it exactly where `serde_json` reads an object, whatever record came before.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use sluice_core::decode::{AtFault, DecodeOptions, Decoder, Origin, SourceColumn};
use sluice_core::records::Records;
use sluice_core::{Field, Interval, Kind, Offset, Partition};

/// The record before, whose shape the decoder learns, and the one that is tried.
struct Two<'a>([&'a [u8]; 2]);

impl Records for Two<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn topic(&self) -> &str {
        "fuzz"
    }
    fn value(&self, i: usize) -> Option<&[u8]> {
        Some(self.0[i])
    }
    fn key(&self, _: usize) -> Option<&[u8]> {
        None
    }
    fn position(&self, i: usize) -> (Partition, Offset) {
        (Partition(0), Offset(i as i64))
    }
    fn timestamp(&self, _: usize) -> Option<i64> {
        None
    }
    fn intervals(&self) -> &[(Partition, Interval)] {
        &[]
    }
}

fuzz_target!(|records: (&[u8], &[u8])| {
    let (before, record) = records;
    // The decoder takes control characters in texts, which serde_json doesn't: texts are compared without them.
    if record.iter().any(|byte| *byte < 0x20) {
        return;
    }
    let columns = ["a", "b"]
        .map(|name| SourceColumn { field: Field::new(name, Kind::Utf8), origin: Origin::Field(name.to_owned()) });
    let mut decoder = Decoder::new(&columns, &[true, true], DecodeOptions::default());
    let records = Two([before, record]);
    decoder.decode_as(&records, 0, 1, AtFault::IsLeftOut);
    let decoded = decoder.decode(&records, 1, 1);
    let json = record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record);
    let is_object = json.trim_ascii_start().first() == Some(&b'{')
        && std::str::from_utf8(json).is_ok_and(|json| serde_json::from_str::<IgnoredAny>(json).is_ok());
    assert_eq!(decoded.stopped.is_none(), is_object, "{:?}", decoded.stopped);
});
