//! Numbers as HBase's own clients write them into keys and cells.

use sluice_core::Kind;

/// Number or boolean in bytes, big-endian, as `Bytes.toBytes` of HBase's Java client writes the type of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Eight bytes of an integer.
    Long,
    /// Four bytes of an integer.
    Int,
    /// Two bytes of an integer.
    Short,
    /// Eight bytes of a number with a fraction (IEEE 754).
    Double,
    /// Four bytes of a number with a fraction (IEEE 754).
    Float,
    /// Boolean in one byte: 0 is false, all others are true.
    Boolean,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Encoding; 6] =
        [Encoding::Long, Encoding::Int, Encoding::Short, Encoding::Double, Encoding::Float, Encoding::Boolean];

    /// The name that the configuration uses: Java's.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Long => "long",
            Encoding::Int => "int",
            Encoding::Short => "short",
            Encoding::Double => "double",
            Encoding::Float => "float",
            Encoding::Boolean => "boolean",
        }
    }

    /// The kind of the values.
    pub fn kind(self) -> Kind {
        match self {
            Encoding::Long | Encoding::Int | Encoding::Short => Kind::Int64,
            Encoding::Double | Encoding::Float => Kind::Float64,
            Encoding::Boolean => Kind::Boolean,
        }
    }

    /// The bytes of a key: of an integer, as decimal text, that fits. None for any other text, which no key of the table is.
    pub(crate) fn key(self, text: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(text).ok()?;
        let number: i64 = text.parse().ok()?;
        // `007` and `+7` are other texts than the key `7`.
        let bytes = match self {
            Encoding::Long => number.to_be_bytes().to_vec(),
            Encoding::Int => i32::try_from(number).ok()?.to_be_bytes().to_vec(),
            Encoding::Short => i16::try_from(number).ok()?.to_be_bytes().to_vec(),
            Encoding::Double | Encoding::Float | Encoding::Boolean => return None,
        };
        (number.to_string() == text).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_java_writes_of_a_number_that_fits_and_nothing_else() {
        assert_eq!(Encoding::Long.key(b"258").unwrap(), [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(Encoding::Long.key(b"-1").unwrap(), [0xff; 8]);
        assert_eq!(Encoding::Int.key(b"258").unwrap(), [0, 0, 1, 2]);
        assert_eq!(Encoding::Short.key(b"-32768").unwrap(), [0x80, 0]);
        for text in ["007", "+7", "-0", "7 ", "", "x", "9223372036854775808", "\u{661}"] {
            assert_eq!(Encoding::Long.key(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Encoding::Int.key(b"2147483648"), None);
        assert_eq!(Encoding::Short.key(b"32768"), None);
        assert_eq!(Encoding::Long.key(b"\xff"), None);
    }
}
