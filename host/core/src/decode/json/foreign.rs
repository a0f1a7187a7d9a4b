//! Byte order marks before a record's JSON, and formats of records that are not JSON.

use std::fmt;

/// Bytes that some editors and languages write before a text; RFC 8259 lets readers ignore them.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes that serializers of Confluent's Schema Registry write first: a zero and the schema's id.
const REGISTRY_HEADER: usize = 5;

/// Data of another kind than JSON text, known by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// JSON behind the header of Confluent's Schema Registry, with this schema id.
    RegistryJson(u32),
    /// The registry's header, followed by something else than JSON: Avro or Protobuf.
    RegistryBinary(u32),
    /// UTF-16.
    Utf16,
    /// Data that their writer compressed, beside the compression of Kafka itself.
    Compressed(&'static str),
}

impl Foreign {
    /// Recognises the format of bytes that aren't JSON.
    pub(super) fn of(bytes: &[u8]) -> Option<Foreign> {
        match bytes {
            [0, a, b, c, d, rest @ ..] => {
                let id = u32::from_be_bytes([*a, *b, *c, *d]);
                let json = rest.trim_ascii_start().first() == Some(&b'{');
                Some(if json { Foreign::RegistryJson(id) } else { Foreign::RegistryBinary(id) })
            }
            [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [b'{', 0, ..] => Some(Foreign::Utf16),
            [0x1f, 0x8b, ..] => Some(Foreign::Compressed("gzip")),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Foreign::Compressed("zstd")),
            _ => None,
        }
    }

    /// The kind, without what differs from record to record.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Foreign::RegistryJson(_) | Foreign::RegistryBinary(_) => {
                "it begins with the header of Confluent's Schema Registry"
            }
            Foreign::Utf16 => "it is UTF-16",
            Foreign::Compressed(_) => "its value is compressed",
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Foreign::RegistryJson(id) => write!(
                f,
                "it begins with the 5 bytes of Confluent's Schema Registry (schema id {id}), and JSON follows: set \
                 `json = {{ schema_registry = true }}` of the source"
            ),
            Foreign::RegistryBinary(id) => write!(
                f,
                "it begins with the 5 bytes of Confluent's Schema Registry (schema id {id}), and Avro or Protobuf follows, which \
                 isn't read: have the producer write JSON"
            ),
            Foreign::Utf16 => f.write_str("it is UTF-16: have the producer write UTF-8"),
            Foreign::Compressed(how) => write!(
                f,
                "its value is compressed with {how}: have the producer write plain text, and set `compression.type`, which is \
                 undone by every consumer"
            ),
        }
    }
}

/// Returns the number of bytes that stand before the record's JSON.
#[inline]
pub(super) fn header(record: &[u8], schema_registry: bool) -> usize {
    let registry = if schema_registry && record.first() == Some(&0) { REGISTRY_HEADER.min(record.len()) } else { 0 };
    let mark = record[registry..].starts_with(BYTE_ORDER_MARK);
    registry + if mark { BYTE_ORDER_MARK.len() } else { 0 }
}
