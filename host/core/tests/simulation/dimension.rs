//! The table that rows are looked up in, and the server that it is on: it may be away for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{ArrayRef, StringArray};
use sluice_core::lookup::{Found, Lookup, LookupError};

/// The server of a table that has a name for most keys.
#[derive(Debug, Clone, Default)]
pub struct Dimension {
    away: Arc<AtomicBool>,
}

impl Dimension {
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }
}

/// The name of a key, if the table has the key.
pub fn name(key: i64) -> Option<String> {
    (key % 5 != 3).then(|| format!("name {key}"))
}

impl Lookup for Dimension {
    fn get(&mut self, keys: &[&[u8]]) -> Result<Found, LookupError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(LookupError::Unavailable("the lookup's server is away".to_owned()));
        }
        let key = |bytes: &&[u8]| std::str::from_utf8(bytes).ok()?.parse().ok();
        let names: Vec<Option<String>> = keys.iter().map(|bytes| name(key(bytes)?)).collect();
        let found = names.iter().map(Option::is_some).collect();
        Ok(Found { found, columns: vec![Arc::new(StringArray::from(names)) as ArrayRef], unfit: vec![] })
    }
}
