//! The stored forms, as bytes: a commit in the log, the head, a group's state. Each has a checksum of its own.
//!
//! ```text
//! commit  "SLC1"  length u32  sequence u64  checksum u64 │ head length u32, head │ changes
//! change  key length u32  state length u32 (all ones: the group is dropped)  key  state
//! head    format u32  sequence u64  JSON  checksum u64
//! state   state  checksum u32 of key and state
//! ```
//!
//! Numbers are little-endian; checksums are XXH3. The tree's blocks have checksums too: those say that a block is as it
//! was written, these that what was written belongs to this key and this commit. Reading never panics, and what it gives
//! is what was written or nothing.

use sluice_core::checkpoint::{Changes, Checkpoint};
use sluice_core::fold::MAX_KEY_BYTES;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The version of the forms in this file, and of what a state is: since 2 it says the version of its form.
pub(crate) const FORMAT: u32 = 2;
/// Begins every commit, so that whole ones can be found behind a damaged one.
const MARK: [u8; 4] = *b"SLC1";
/// Mark, length, sequence, checksum.
pub(crate) const HEADER_BYTES: usize = 24;
const DROPPED: u32 = u32::MAX;

/// The longest key of a group. The tree counts a key's bytes in 16 bits, and one byte before it is the store's. A fold refuses rows
/// with a longer one before they are counted.
pub const KEY_BYTES: usize = 65_534;
const _: () = assert!(KEY_BYTES == MAX_KEY_BYTES);

/// The most bytes of one commit: 10 million changed groups of 100 bytes, as many as a fold holds. A larger one wouldn't
/// fit into the memory that a service is given; a smaller limit would refuse the commit after a change of the states' form,
/// which writes all groups.
pub const COMMIT_BYTES: usize = 1 << 30;

/// A commit as it is in the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) sequence: u64,
    pub(crate) head: Vec<u8>,
    pub(crate) changes: Changes,
}

/// The header: what a commit's first bytes say of the rest.
pub(crate) struct Header {
    pub(crate) length: usize,
    sequence: u64,
    checksum: u64,
}

/// The bytes of a commit; none if it is larger than [`COMMIT_BYTES`].
pub(crate) fn encode_commit(sequence: u64, head: &[u8], changes: &Changes) -> Option<Vec<u8>> {
    let length = 4 + head.len() + changes.len() * 8 + changes.bytes();
    if length > COMMIT_BYTES {
        return None;
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + length);
    bytes.extend_from_slice(&MARK);
    bytes.extend_from_slice(&length_of(length));
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&length_of(head.len()));
    bytes.extend_from_slice(head);
    for (key, state) in changes.iter() {
        bytes.extend_from_slice(&length_of(key.len()));
        bytes.extend_from_slice(&state.map_or(DROPPED.to_le_bytes(), |state| length_of(state.len())));
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(state.unwrap_or_default());
    }
    let checksum = xxh3_64_with_seed(&bytes[HEADER_BYTES..], sequence);
    bytes[16..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    Some(bytes)
}

/// Encodes a length. No length in a commit is above [`COMMIT_BYTES`], which fits into 32 bits.
fn length_of(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(DROPPED).to_le_bytes()
}

/// The header, if these bytes begin like a commit.
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    let rest = bytes.strip_prefix(&MARK)?;
    let (length, rest) = take_u32(rest)?;
    let (sequence, rest) = take_u64(rest)?;
    let (checksum, _) = take_u64(rest)?;
    let length = length as usize;
    (length <= COMMIT_BYTES).then_some(Header { length, sequence, checksum })
}

/// The commit with this header, if the rest is as it was written.
pub(crate) fn decode_commit(header: &Header, body: &[u8]) -> Option<Commit> {
    if body.len() != header.length || xxh3_64_with_seed(body, header.sequence) != header.checksum {
        return None;
    }
    let (head_length, rest) = take_u32(body)?;
    let (head, mut rest) = rest.split_at_checked(head_length as usize)?;
    let mut changes = Changes::default();
    while !rest.is_empty() {
        let (key_length, after) = take_u32(rest)?;
        let (state_length, after) = take_u32(after)?;
        let (key, after) = after.split_at_checked(key_length as usize)?;
        let (state, after) = match state_length {
            DROPPED => (None, after),
            length => after.split_at_checked(length as usize).map(|(state, after)| (Some(state), after))?,
        };
        changes.push(key, state);
        rest = after;
    }
    Some(Commit { sequence: header.sequence, head: head.to_vec(), changes })
}

/// Says whether a whole commit begins anywhere in these bytes.
pub(crate) fn holds_commit(bytes: &[u8]) -> bool {
    (0..bytes.len()).filter(|at| bytes[*at..].starts_with(&MARK)).any(|at| {
        let found = header(&bytes[at..]);
        found.is_some_and(|header| {
            let body = bytes[at..].get(HEADER_BYTES..HEADER_BYTES + header.length);
            body.is_some_and(|body| decode_commit(&header, body).is_some())
        })
    })
}

/// The stored head.
pub(crate) fn encode_head(sequence: u64, head: &Checkpoint) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = FORMAT.to_le_bytes().to_vec();
    bytes.extend_from_slice(&sequence.to_le_bytes());
    serde_json::to_writer(&mut bytes, head)?;
    let checksum = xxh3_64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// The head and its commit's sequence number, or what is wrong with it.
pub(crate) fn decode_head(bytes: &[u8]) -> Result<(u64, Checkpoint), String> {
    let (checked, checksum) = bytes.split_last_chunk::<8>().ok_or("it is too short")?;
    if u64::from_le_bytes(*checksum) != xxh3_64(checked) {
        return Err("its checksum is wrong".to_owned());
    }
    let (format, rest) = take_u32(checked).ok_or("it is too short")?;
    if format != FORMAT {
        return Err(format!("it has format {format}, and this version of the host reads format {FORMAT}"));
    }
    let (sequence, json) = take_u64(rest).ok_or("it is too short")?;
    let head = serde_json::from_slice(json).map_err(|error| format!("it can't be read: {error}"))?;
    Ok((sequence, head))
}

/// The stored state of this key's group.
pub(crate) fn encode_state(key: &[u8], state: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(state.len() + 4);
    bytes.extend_from_slice(state);
    bytes.extend_from_slice(&state_checksum(key, state));
    bytes
}

/// The state, if it was written for this key.
pub(crate) fn decode_state<'a>(key: &[u8], stored: &'a [u8]) -> Option<&'a [u8]> {
    let (state, checksum) = stored.split_last_chunk::<4>()?;
    (*checksum == state_checksum(key, state)).then_some(state)
}

/// Half of the bits: enough against an error, and a state is often no longer than the other half.
fn state_checksum(key: &[u8], state: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = xxh3_64_with_seed(state, xxh3_64(key)).to_le_bytes();
    [a, b, c, d]
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    bytes.split_first_chunk::<4>().map(|(number, rest)| (u32::from_le_bytes(*number), rest))
}

fn take_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk::<8>().map(|(number, rest)| (u64::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Changes {
        let mut packed = Changes::default();
        changes.iter().for_each(|(key, state)| packed.push(key, state.as_deref()));
        packed
    }

    fn read(bytes: &[u8]) -> Option<Commit> {
        decode_commit(&header(bytes)?, &bytes[HEADER_BYTES..])
    }

    proptest! {
        #[test]
        fn a_commit_comes_back_as_it_was_written(
            sequence: u64,
            head: Vec<u8>,
            changes in prop::collection::vec((any::<Vec<u8>>(), any::<Option<Vec<u8>>>()), 0..20),
        ) {
            let changes = packed(&changes);
            let bytes = encode_commit(sequence, &head, &changes).unwrap();
            prop_assert_eq!(read(&bytes), Some(Commit { sequence, head, changes }));
        }

        #[test]
        fn a_commit_with_a_changed_byte_or_cut_short_is_no_commit(
            sequence: u64,
            changes in prop::collection::vec((any::<Vec<u8>>(), any::<Option<Vec<u8>>>()), 0..5),
            at: prop::sample::Index,
            flip in 1u8..,
        ) {
            let whole = encode_commit(sequence, b"head", &packed(&changes)).unwrap();
            let at = at.index(whole.len());
            prop_assert_eq!(read(&whole[..at]).map(|commit| commit.sequence), None);
            let mut changed = whole;
            changed[at] ^= flip;
            prop_assert_eq!(read(&changed).map(|commit| commit.sequence), None);
        }

        #[test]
        fn random_bytes_are_neither_commit_nor_head_nor_state(bytes: Vec<u8>, key: Vec<u8>) {
            prop_assert!(read(&bytes).is_none());
            prop_assert!(decode_head(&bytes).is_err());
            prop_assert!(decode_state(&key, &bytes).is_none());
        }

        #[test]
        fn a_body_that_passes_its_checksum_and_is_nonsense_is_refused_without_a_panic(body: Vec<u8>, sequence: u64) {
            let checksum = xxh3_64_with_seed(&body, sequence);
            let made = decode_commit(&Header { length: body.len(), sequence, checksum }, &body);
            if let Some(commit) = made {
                prop_assert_eq!(&encode_commit(sequence, &commit.head, &commit.changes).unwrap()[HEADER_BYTES..], &body[..]);
            }
        }

        #[test]
        fn a_state_is_read_for_its_own_key_only(key: Vec<u8>, other: Vec<u8>, state: Vec<u8>) {
            let stored = encode_state(&key, &state);
            prop_assert_eq!(decode_state(&key, &stored), Some(&state[..]));
            prop_assert!(key == other || decode_state(&other, &stored).is_none());
        }
    }

    #[test]
    fn a_head_comes_back_and_one_of_another_format_says_so() {
        let head = Checkpoint { topic: "gifts".into(), commits: 7, ..Checkpoint::default() };
        let mut bytes = encode_head(9, &head).unwrap();
        assert_eq!(decode_head(&bytes), Ok((9, head)));
        bytes[0] = FORMAT as u8 + 1;
        let end = bytes.len() - 8;
        let checksum = xxh3_64(&bytes[..end]);
        bytes[end..].copy_from_slice(&checksum.to_le_bytes());
        assert!(decode_head(&bytes).unwrap_err().contains(&format!("format {}", FORMAT + 1)));
    }

    #[test]
    fn a_whole_commit_is_found_behind_anything() {
        let mut bytes = b"SLC1 is not enough".to_vec();
        assert!(!holds_commit(&bytes));
        bytes.extend(encode_commit(3, b"head", &Changes::default()).unwrap());
        assert!(holds_commit(&bytes));
        bytes.pop();
        assert!(!holds_commit(&bytes));
    }
}
