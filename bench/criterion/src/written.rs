//! Records as a source hands them over.

use sluice_connectors::generator::{Generator, GeneratorOptions, Stream, WallClock};
use sluice_core::decode::{Origin, SourceColumn};
use sluice_core::records::Records;
use sluice_core::{Field, Interval, Kind, Offset, Partition};

/// 2021-08-16 09:48:01, so that times have as many digits as the original's.
const NOW: WallClock = WallClock { seconds: 1_629_107_281 };

/// Records in one buffer, as of one partition.
#[derive(Default)]
pub struct Written {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Written {
    /// So many of the generator's gifts.
    pub fn gifts(count: usize) -> Written {
        let mut generator = Generator::new(GeneratorOptions::default());
        let mut gifts = Written::default();
        while gifts.ends.len() < count {
            let start = gifts.bytes.len();
            match generator.next(NOW, &mut gifts.bytes) {
                Stream::Gift => gifts.ends.push(gifts.bytes.len()),
                Stream::Entry => gifts.bytes.truncate(start),
            }
        }
        gifts
    }

    /// So many records, each written by `record` for its number.
    pub fn all(count: usize, record: impl Fn(usize) -> String) -> Written {
        let mut written = Written::default();
        for number in 0..count {
            written.bytes.extend_from_slice(record(number).as_bytes());
            written.ends.push(written.bytes.len());
        }
        written
    }

    /// The bytes of all records.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl Records for Written {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn topic(&self) -> &str {
        "written"
    }

    fn value(&self, i: usize) -> Option<&[u8]> {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        Some(&self.bytes[start..self.ends[i]])
    }

    fn key(&self, _: usize) -> Option<&[u8]> {
        None
    }

    fn position(&self, i: usize) -> (Partition, Offset) {
        (Partition(0), Offset(i64::try_from(i).unwrap_or(i64::MAX)))
    }

    fn timestamp(&self, _: usize) -> Option<i64> {
        None
    }

    fn intervals(&self) -> &[(Partition, Interval)] {
        &[]
    }
}

/// Columns of fields of their own names.
pub fn columns(fields: &[(&str, Kind)]) -> Vec<SourceColumn> {
    let column = |(name, kind): &(&str, Kind)| SourceColumn {
        field: Field::new(*name, *kind),
        origin: Origin::Field((*name).into()),
    };
    fields.iter().map(column).collect()
}
