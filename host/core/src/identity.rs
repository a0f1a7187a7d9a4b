//! Identity of a topic or table beyond its name. The server states it, so that a new topic or table of the same name isn't taken
//! for the old one.

use std::collections::BTreeMap;
use std::fmt;

/// Named parts, such as a cluster's id and a topic's. A part that only one of two identities knows says nothing about whether
/// they are of the same thing: older servers don't know all, and an empty file has no first line yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    parts: BTreeMap<String, String>,
}

impl Identity {
    /// Makes an identity from named parts.
    pub fn of(parts: impl IntoIterator<Item = (String, String)>) -> Identity {
        // The text below is cut at blanks.
        let plain = |text: String| text.replace(char::is_whitespace, "_");
        Identity {
            parts: parts.into_iter().map(|(name, value)| (plain(name).replace('=', "_"), plain(value))).collect(),
        }
    }

    /// Reads an identity from the form that [`fmt::Display`] writes. Parts that can't be read are left out.
    pub fn read(text: &str) -> Identity {
        let parts = text.split(' ').filter_map(|part| part.split_once('='));
        Identity { parts: parts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    /// Adds the parts that were found since.
    pub fn with(mut self, found: Identity) -> Identity {
        self.parts.extend(found.parts);
        self
    }

    /// Returns true if no part is known.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The parts' names and values.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the value of this part, if it is known.
    pub fn part(&self, name: &str) -> Option<&str> {
        self.parts.get(name).map(String::as_str)
    }

    /// Returns the parts that both identities know and that differ: each side by itself. None if no such part differs.
    pub fn differs(&self, other: &Identity) -> Option<(Identity, Identity)> {
        let told = |(name, value): &(&String, &String)| other.parts.get(*name).is_some_and(|theirs| theirs != *value);
        let mine: BTreeMap<_, _> = self.parts.iter().filter(told).map(|(n, v)| (n.clone(), v.clone())).collect();
        let theirs = other.parts.iter().filter(|(name, _)| mine.contains_key(*name));
        let theirs = theirs.map(|(name, value)| (name.clone(), value.clone())).collect();
        (!mine.is_empty()).then_some((Identity { parts: mine }, Identity { parts: theirs }))
    }
}

/// `cluster=… topic=…`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.parts.iter().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            write!(f, "{blank}{name}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identities() -> impl Strategy<Value = Identity> {
        prop::collection::btree_map("[a-c=]{1,2}", "[xy= ]{1,2}", 0..4).prop_map(Identity::of)
    }

    proptest! {
        #[test]
        fn an_identity_is_read_back_as_it_is_shown(identity in identities()) {
            prop_assert_eq!(Identity::read(&identity.to_string()), identity);
        }

        #[test]
        fn only_parts_that_both_know_tell_two_apart(one in identities(), other in identities()) {
            let differ = one.parts.iter().any(|(name, value)| other.part(name).is_some_and(|theirs| theirs != value));
            prop_assert_eq!(one.differs(&other).is_some(), differ);
            if let Some((mine, theirs)) = one.differs(&other) {
                prop_assert!(mine.parts.keys().eq(theirs.parts.keys()));
            }
            prop_assert_eq!(one.differs(&one), None);
        }
    }
}
