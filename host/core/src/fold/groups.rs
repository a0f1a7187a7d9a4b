//! Which group a row belongs to.

use arrow_array::ArrayRef;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use crate::row::{self, RowColumn};
use crate::schema::Kind;

/// All groups seen so far, numbered in the order in which they came. Keys lie in one buffer, one after another.
#[derive(Debug)]
pub struct Groups {
    kinds: Vec<Kind>,
    hasher: RandomState,
    table: HashTable<u32>,
    keys: Vec<u8>,
    /// Where each group's key ends in `keys`.
    ends: Vec<usize>,
    scratch: Vec<u8>,
}

impl Groups {
    /// No groups yet, of keys of these kinds.
    pub fn new(kinds: Vec<Kind>) -> Groups {
        Groups {
            kinds,
            hasher: RandomState::default(),
            table: HashTable::new(),
            keys: Vec::new(),
            ends: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// The kinds of the key columns.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The group with this key; one not seen before gets the next number.
    pub fn group_of(&mut self, key: &[u8]) -> u32 {
        self.group(key)
    }

    /// The group with this key, if it was seen.
    pub fn find(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.table.find(hash, |group| self.key(*group) == key).copied()
    }

    /// The bytes of a group's key.
    pub fn key(&self, group: u32) -> &[u8] {
        key_of(&self.keys, &self.ends, group)
    }

    /// Forgets the groups from this number on.
    pub fn truncate(&mut self, len: usize) {
        for group in (len..self.ends.len()).rev().filter_map(|group| u32::try_from(group).ok()) {
            self.forget(group);
        }
        self.ends.truncate(len);
        self.keys.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Forgets this group; its number isn't given again. Said again, it changes nothing.
    pub fn forget(&mut self, group: u32) {
        let hash = self.hasher.hash_one(key_of(&self.keys, &self.ends, group));
        if let Ok(entry) = self.table.find_entry(hash, |candidate| *candidate == group) {
            entry.remove();
        }
    }

    /// Only these groups, numbered in this order.
    pub fn only(&self, groups: &[u32]) -> Groups {
        let mut kept = Groups::new(self.kinds.clone());
        for group in groups {
            kept.group(self.key(*group));
        }
        kept
    }

    /// The memory that is taken, in bytes.
    pub fn bytes(&self) -> usize {
        self.keys.capacity() + self.ends.capacity() * size_of::<usize>() + self.table.allocation_size()
    }

    /// Forgets all groups; buffers stay.
    pub fn clear(&mut self) {
        self.table.clear();
        self.keys.clear();
        self.ends.clear();
    }

    /// Writes the group of each row to `out`; groups not seen before get the next numbers. None if a column isn't of its
    /// kind: then nothing changed.
    pub fn assign(&mut self, columns: &[ArrayRef], rows: usize, out: &mut Vec<u32>) -> Option<()> {
        let columns: Vec<RowColumn<'_>> = columns.iter().map(RowColumn::of_key).collect::<Option<_>>()?;
        out.clear();
        out.reserve(rows);
        let mut scratch = std::mem::take(&mut self.scratch);
        for row in 0..rows {
            scratch.clear();
            for column in &columns {
                column.encode(row, &mut scratch);
            }
            out.push(self.group(&scratch));
        }
        self.scratch = scratch;
        Some(())
    }

    #[inline]
    fn group(&mut self, key: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(key);
        let Groups { hasher, table, keys, ends, .. } = self;
        let entry = table.entry(
            hash,
            |group| key_of(keys, ends, *group) == key,
            |group| hasher.hash_one(key_of(keys, ends, *group)),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(entry) => *entry.get(),
            hashbrown::hash_table::Entry::Vacant(entry) => {
                // More than u32::MAX groups don't fit in memory; the fold's bound is far below.
                let group = u32::try_from(ends.len()).unwrap_or(u32::MAX);
                entry.insert(group);
                keys.extend_from_slice(key);
                ends.push(keys.len());
                group
            }
        }
    }

    /// The key columns of these groups.
    pub fn key_columns(&self, groups: &[u32]) -> Vec<ArrayRef> {
        let keys = groups.iter().map(|group| key_of(&self.keys, &self.ends, *group));
        // Keys were encoded with these kinds, so that they decode; an empty answer would be a row count of 0.
        row::decode(&self.kinds, keys).unwrap_or_default()
    }
}

#[inline]
fn key_of<'a>(keys: &'a [u8], ends: &[usize], group: u32) -> &'a [u8] {
    let group = group as usize;
    let start = if group == 0 { 0 } else { ends[group - 1] };
    &keys[start..ends[group]]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;

    use super::*;

    #[test]
    fn groups_that_are_all_forgotten_are_numbered_from_the_first_again() {
        let mut groups = Groups::new(vec![Kind::Int64]);
        let assigned = |groups: &mut Groups, numbers: Vec<i64>| {
            let (rows, mut out) = (numbers.len(), Vec::new());
            groups.assign(&[Arc::new(Int64Array::from(numbers))], rows, &mut out).unwrap();
            out
        };
        assert_eq!(assigned(&mut groups, vec![5, 6, 5]), [0, 1, 0]);
        groups.clear();
        assert!(groups.is_empty());
        assert_eq!(assigned(&mut groups, vec![6, 7]), [0, 1]);
    }
}
