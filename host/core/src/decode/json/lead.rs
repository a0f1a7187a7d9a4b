//! What stands before a value in a record: `, "room_id": `.

/// Number of bytes that are compared at once.
const BLOCK: usize = 16;

/// The bytes between the value before, or the record's start, and a value.
///
/// They are compared with blocks of which the processor takes one at a time: for so few bytes the call of a slice's comparison costs
/// more than the work.
#[derive(Debug, Default)]
pub(super) struct Lead {
    bytes: Vec<u8>,
    /// The first block, and the bits of it that count, where the lead is shorter.
    first: u128,
    mask: u128,
    /// The last block, which may overlap the first, where the lead is no shorter.
    last: u128,
}

impl Lead {
    /// Makes these bytes the lead, instead of those before.
    pub(super) fn set(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        let (mut first, mut mask) = ([0; BLOCK], [0; BLOCK]);
        let counted = bytes.len().min(BLOCK);
        first[..counted].copy_from_slice(&bytes[..counted]);
        mask[..counted].fill(u8::MAX);
        (self.first, self.mask) = (u128::from_le_bytes(first), u128::from_le_bytes(mask));
        self.last = bytes.last_chunk().map_or(0, |last| u128::from_le_bytes(*last));
    }

    /// Returns what follows the lead, if the bytes begin with it.
    #[inline]
    pub(super) fn strip_from<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let Some(block) = bytes.first_chunk::<BLOCK>() else { return bytes.strip_prefix(&*self.bytes) };
        if (u128::from_le_bytes(*block) ^ self.first) & self.mask != 0 {
            return None;
        }
        let length = self.bytes.len();
        if length > BLOCK {
            let (lead, behind) = bytes.split_at_checked(length)?;
            let same = u128::from_le_bytes(*lead.last_chunk()?) == self.last;
            // Two blocks are all that is compared without a call.
            return (same && (length <= 2 * BLOCK || lead == &*self.bytes)).then_some(behind);
        }
        bytes.get(length..)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_lead_is_stripped_where_it_is_the_beginning(
            lead in prop::collection::vec(b'a'..=b'b', 0..70),
            behind in prop::collection::vec(b'a'..=b'c', 0..20),
            changed in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = [&lead[..], &behind].concat();
            if let Some(changed) = changed.filter(|_| !bytes.is_empty()) {
                let at = changed.index(bytes.len());
                bytes[at] ^= 1;
            }
            let mut known = Lead::default();
            known.set(b"what stood there before");
            known.set(&lead);
            prop_assert_eq!(known.strip_from(&bytes), bytes.strip_prefix(&lead[..]));
        }
    }
}
