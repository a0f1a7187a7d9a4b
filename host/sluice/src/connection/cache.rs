//! Reads `cache = { … }`, which every connection with a cache of looked-up rows has.

use std::time::Duration;

use sluice_connectors::lookup::CacheConfig;

use crate::config::reader::Section;
use crate::config::value;

/// The longest time to live: an older row than this belongs into a table of one's own.
const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// The most rows that a cache may keep: gigabytes.
const MAX_ENTRIES: u32 = 10_000_000;

/// Reads the table, or gives the defaults where there is none.
pub fn read(section: &Section<'_>) -> Option<CacheConfig> {
    let default = CacheConfig::default();
    section.or("cache", default, |item| {
        item.table(r#"a table such as { ttl = "5s", entries = 100000 }"#, |section| {
            let ttl = section.or("ttl", default.ttl, |item| value::duration(&item, Duration::ZERO, MAX_TTL));
            let entries = section.or("entries", default.entries, |item| item.whole(1, MAX_ENTRIES));
            Some(CacheConfig { ttl: ttl?, entries: entries?, ..default })
        })
    })
}
