//! Values within values: where each path leads in the record at hand.

use std::collections::BTreeMap;
use std::ops::Range;

use super::scan::{ScanError, Scanner, elements};
use crate::decode::path::{Path, Segment};
use crate::decode::slot::Slot;

/// Finds the values at several paths into an object.
///
/// The fields of the object itself are found by one scanner, as if there were no paths; each value that paths lead into has one of
/// its own. All of them put what they find into one row of slots.
#[derive(Debug)]
pub(super) struct Finder {
    /// Containers that are searched, each after the one that contains it; the record's object is the first.
    within: Vec<Within>,
    slots: usize,
}

/// A value that is looked into.
#[derive(Debug)]
struct Within {
    /// Slot of this container; none for the record's object.
    at: Option<usize>,
    look: Look,
    /// Slots for the values found in it.
    found: Range<usize>,
}

#[derive(Debug)]
enum Look {
    Fields(Scanner),
    Element(usize),
}

impl Finder {
    /// A finder of these paths; answers also the slot of each.
    pub(super) fn new(paths: &[Path]) -> (Finder, Vec<usize>) {
        let mut finder = Finder { within: Vec::new(), slots: 0 };
        let mut places = vec![0; paths.len()];
        let all = paths.iter().map(Path::steps).enumerate().collect();
        finder.look_into(None, all, &mut places);
        (finder, places)
    }

    /// Returns the number of slots that a record takes.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    fn look_into(&mut self, at: Option<usize>, paths: Vec<(usize, &[Segment])>, places: &mut [usize]) {
        let (mut names, mut indices) = (Vec::<String>::new(), Vec::new());
        for (path, steps) in &paths {
            match steps.first() {
                None => places[*path] = at.unwrap_or_default(),
                Some(Segment::Field(name)) if !names.contains(name) => names.push(name.clone()),
                Some(Segment::Element(index)) if !indices.contains(index) => indices.push(*index),
                Some(_) => {}
            }
        }
        let first = self.slots;
        let first_index = first + names.len();
        self.slots = first_index + indices.len();
        let slot = |step: &Segment| match step {
            Segment::Field(name) => first + names.iter().position(|known| known == name).unwrap_or_default(),
            Segment::Element(index) => {
                first_index + indices.iter().position(|known| known == index).unwrap_or_default()
            }
        };
        let mut inner: BTreeMap<usize, Vec<(usize, &[Segment])>> = BTreeMap::new();
        for (path, steps) in paths {
            if let Some((step, rest)) = steps.split_first() {
                inner.entry(slot(step)).or_default().push((path, rest));
            }
        }
        if !names.is_empty() || at.is_none() {
            self.within.push(Within { at, look: Look::Fields(Scanner::new(names)), found: first..first_index });
        }
        for (slot, index) in (first_index..).zip(indices) {
            self.within.push(Within { at, look: Look::Element(index), found: slot..slot + 1 });
        }
        for (slot, paths) in inner {
            self.look_into(Some(slot), paths, places);
        }
    }

    /// Fills the slots, which all come as [`Slot::Missing`], from the object that begins at `from` and ends where `json` does.
    #[inline]
    pub(super) fn find(&mut self, json: &[u8], from: usize, slots: &mut [Slot]) -> Result<(), ScanError> {
        let Some((whole, inner)) = self.within.split_first_mut() else { return Ok(()) };
        if let Look::Fields(scanner) = &mut whole.look {
            scanner.scan(json, from, &mut slots[whole.found.clone()])?;
        }
        inner.iter_mut().try_for_each(|within| within.find(json, slots))
    }
}

impl Within {
    fn find(&mut self, json: &[u8], slots: &mut [Slot]) -> Result<(), ScanError> {
        let outer = self.at.map_or(Slot::Missing, |at| slots[at]);
        let found = &mut slots[self.found.clone()];
        match (outer, &mut self.look) {
            (Slot::Missing, _) => {}
            (Slot::Nested(span), Look::Fields(scanner)) if span.of(json).first() == Some(&b'{') => {
                scanner.scan(span.and_before(json), span.start(), found)?;
            }
            (Slot::Nested(span), Look::Element(index)) if span.of(json).first() == Some(&b'[') => {
                found.fill(elements(json, span, *index + 1).get(*index).copied().unwrap_or(Slot::Missing));
            }
            (Slot::Null, _) => found.fill(Slot::Null),
            _ => found.fill(Slot::Astray),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), "[a-c]{0,2}".prop_map(Value::from)];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn path() -> impl Strategy<Value = Path> {
        let step = prop_oneof![3 => "\\.[a-c]", 1 => "\\[[0-2]\\]"];
        ("[a-c]", prop::collection::vec(step, 0..4)).prop_map(|(first, rest)| (first + &rest.concat()).parse().unwrap())
    }

    fn expected<'a>(value: &'a Value, path: &Path) -> Option<&'a Value> {
        path.steps().iter().try_fold(value, |value, step| match step {
            Segment::Field(name) => value.get(name),
            Segment::Element(index) => value.get(index),
        })
    }

    proptest! {
        #[test]
        fn any_paths_lead_where_they_say(
            fields in prop::collection::btree_map("[a-c]", value(), 0..4),
            paths in prop::collection::vec(path(), 1..6),
        ) {
            let object = Value::Object(fields.into_iter().collect());
            let json = object.to_string();
            let (mut finder, places) = Finder::new(&paths);
            let mut slots = vec![Slot::Missing; finder.slots()];
            finder.find(json.as_bytes(), 0, &mut slots).unwrap();
            for (path, place) in paths.iter().zip(places) {
                let found = slots[place];
                match expected(&object, path) {
                    Some(Value::Null) => prop_assert_eq!(found, Slot::Null),
                    Some(Value::Number(number)) => {
                        prop_assert!(matches!(found, Slot::Integer(value, _) if Some(value) == number.as_i64()));
                    }
                    Some(Value::String(text)) => {
                        let Slot::Text { span, .. } = found else { panic!("{path}: {found:?}") };
                        prop_assert_eq!(span.of(json.as_bytes()), text.as_bytes());
                    }
                    Some(nested) => {
                        let Slot::Nested(span) = found else { panic!("{path}: {found:?}") };
                        prop_assert_eq!(&serde_json::from_slice::<Value>(span.of(json.as_bytes())).unwrap(), nested);
                    }
                    None => prop_assert!(matches!(found, Slot::Missing | Slot::Null | Slot::Astray), "{} {:?}", path, found),
                }
            }
        }
    }
}
