//! Thrift's binary protocol with bounds on what an answer may claim.
//!
//! The library's reader allocates whatever length it is told, before a byte of it came. This one reads the lengths itself
//! and refuses those that no answer of ours can have.

use std::io::Read;

use thrift::protocol::{
    TBinaryInputProtocol, TFieldIdentifier, TInputProtocol, TListIdentifier, TMapIdentifier, TMessageIdentifier,
    TSetIdentifier, TStructIdentifier,
};
use thrift::{ProtocolError, ProtocolErrorKind};

/// The most bytes of texts in an answer. A thousand rows of some columns are kilobytes; one that is larger would not fit
/// the cache either.
pub(super) const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The most elements that a list of an answer may have, at least the most rows asked for in a call.
pub(super) const MAX_LIST: usize = 4096;

/// The first half of a message's header: version 1.
const VERSION: u32 = 0x8001_0000;

/// Reads answers from the wire.
pub(super) struct BoundedProtocol<R: Read> {
    wire: TBinaryInputProtocol<R>,
    /// The bytes of texts that this answer may still have.
    left: usize,
}

impl<R: Read> BoundedProtocol<R> {
    pub(super) fn new(wire: R) -> BoundedProtocol<R> {
        BoundedProtocol { wire: TBinaryInputProtocol::new(wire, true), left: MAX_ANSWER_BYTES }
    }

    fn size(size: i32, max: usize) -> thrift::Result<i32> {
        match usize::try_from(size) {
            Ok(claimed) if claimed <= max => Ok(size),
            Ok(claimed) => {
                Err(error(ProtocolErrorKind::InvalidData, format!("{claimed} elements or bytes, over {max}")))
            }
            Err(_) => Err(error(ProtocolErrorKind::NegativeSize, format!("a length of {size}"))),
        }
    }

    /// A text's length, of what an answer may still have. An answer that is only too long has texts of which each is short
    /// enough.
    fn text_size(&mut self, size: i32) -> thrift::Result<usize> {
        let length = Self::size(size, MAX_ANSWER_BYTES)? as usize;
        self.left = self.left.checked_sub(length).ok_or_else(|| {
            error(ProtocolErrorKind::SizeLimit, format!("an answer of more than {} MiB", MAX_ANSWER_BYTES >> 20))
        })?;
        Ok(length)
    }
}

fn error(kind: ProtocolErrorKind, message: String) -> thrift::Error {
    thrift::Error::Protocol(ProtocolError { kind, message })
}

impl<R: Read> TInputProtocol for BoundedProtocol<R> {
    fn read_message_begin(&mut self) -> thrift::Result<TMessageIdentifier> {
        self.left = MAX_ANSWER_BYTES;
        let header = self.read_i32()? as u32;
        if header & 0xffff_0000 != VERSION {
            return Err(error(ProtocolErrorKind::BadVersion, format!("a header of {header:#010x}")));
        }
        let message_type = ((header & 0xff) as u8).try_into()?;
        let name = self.read_string()?;
        let sequence_number = self.read_i32()?;
        Ok(TMessageIdentifier::new(name, message_type, sequence_number))
    }

    fn read_bytes(&mut self) -> thrift::Result<Vec<u8>> {
        let claimed = self.read_i32()?;
        let length = self.text_size(claimed)?;
        let mut bytes = vec![0; length];
        self.wire.transport.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn read_string(&mut self) -> thrift::Result<String> {
        Ok(String::from_utf8(self.read_bytes()?)?)
    }

    fn read_list_begin(&mut self) -> thrift::Result<TListIdentifier> {
        let list = self.wire.read_list_begin()?;
        Self::size(list.size, MAX_LIST)?;
        Ok(list)
    }

    fn read_set_begin(&mut self) -> thrift::Result<TSetIdentifier> {
        let set = self.wire.read_set_begin()?;
        Self::size(set.size, MAX_LIST)?;
        Ok(set)
    }

    fn read_map_begin(&mut self) -> thrift::Result<TMapIdentifier> {
        let map = self.wire.read_map_begin()?;
        Self::size(map.size, MAX_LIST)?;
        Ok(map)
    }

    fn read_message_end(&mut self) -> thrift::Result<()> {
        self.wire.read_message_end()
    }

    fn read_struct_begin(&mut self) -> thrift::Result<Option<TStructIdentifier>> {
        self.wire.read_struct_begin()
    }

    fn read_struct_end(&mut self) -> thrift::Result<()> {
        self.wire.read_struct_end()
    }

    fn read_field_begin(&mut self) -> thrift::Result<TFieldIdentifier> {
        self.wire.read_field_begin()
    }

    fn read_field_end(&mut self) -> thrift::Result<()> {
        self.wire.read_field_end()
    }

    fn read_bool(&mut self) -> thrift::Result<bool> {
        self.wire.read_bool()
    }

    fn read_i8(&mut self) -> thrift::Result<i8> {
        self.wire.read_i8()
    }

    fn read_i16(&mut self) -> thrift::Result<i16> {
        self.wire.read_i16()
    }

    fn read_i32(&mut self) -> thrift::Result<i32> {
        self.wire.read_i32()
    }

    fn read_i64(&mut self) -> thrift::Result<i64> {
        self.wire.read_i64()
    }

    fn read_double(&mut self) -> thrift::Result<f64> {
        self.wire.read_double()
    }

    fn read_list_end(&mut self) -> thrift::Result<()> {
        self.wire.read_list_end()
    }

    fn read_set_end(&mut self) -> thrift::Result<()> {
        self.wire.read_set_end()
    }

    fn read_map_end(&mut self) -> thrift::Result<()> {
        self.wire.read_map_end()
    }

    fn read_byte(&mut self) -> thrift::Result<u8> {
        self.wire.read_byte()
    }
}

#[cfg(test)]
mod tests {
    use hbase_thrift::hbase::TRowResult;
    use proptest::prelude::*;
    use thrift::protocol::TBinaryOutputProtocol;

    use super::*;

    fn row_bytes(row: &TRowResult) -> Vec<u8> {
        let mut bytes = Vec::new();
        row.write_to_out_protocol(&mut TBinaryOutputProtocol::new(&mut bytes, true)).unwrap();
        bytes
    }

    #[test]
    fn lengths_that_no_answer_has_are_refused_before_memory_is_taken() {
        for length in [i32::MIN, -1, i32::MAX, MAX_ANSWER_BYTES as i32 + 1] {
            let bytes = length.to_be_bytes();
            assert!(BoundedProtocol::new(bytes.as_slice()).read_bytes().is_err(), "{length}");
        }
        for length in [-1, MAX_LIST as i32 + 1] {
            let mut bytes = vec![12];
            bytes.extend(length.to_be_bytes());
            assert!(BoundedProtocol::new(bytes.as_slice()).read_list_begin().is_err(), "{length}");
        }
    }

    #[test]
    fn the_texts_of_an_answer_together_are_bounded() {
        let mut bytes = Vec::new();
        for _ in 0..3 {
            bytes.extend((MAX_ANSWER_BYTES as i32 / 2).to_be_bytes());
            bytes.resize(bytes.len() + MAX_ANSWER_BYTES / 2, 0);
        }
        let mut protocol = BoundedProtocol::new(bytes.as_slice());
        assert!(protocol.read_bytes().is_ok() && protocol.read_bytes().is_ok());
        assert!(protocol.read_bytes().is_err());
    }

    proptest! {
        #[test]
        fn bytes_from_anywhere_give_a_row_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut protocol = BoundedProtocol::new(bytes.as_slice());
            let _ = TRowResult::read_from_in_protocol(&mut protocol);
            let _ = BoundedProtocol::new(bytes.as_slice()).read_message_begin();
        }

        #[test]
        fn a_row_that_was_damaged_gives_a_row_or_an_error(at in 0usize..40, byte in any::<u8>()) {
            let row = TRowResult::new(b"20210813".to_vec(), None, None);
            let mut bytes = row_bytes(&row);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = TRowResult::read_from_in_protocol(&mut BoundedProtocol::new(bytes.as_slice()));
        }

        #[test]
        fn what_was_written_is_read(key in proptest::collection::vec(any::<u8>(), 0..50)) {
            let row = TRowResult::new(key, None, None);
            let bytes = row_bytes(&row);
            prop_assert_eq!(TRowResult::read_from_in_protocol(&mut BoundedProtocol::new(bytes.as_slice())).unwrap(), row);
        }
    }
}
