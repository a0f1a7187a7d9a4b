//! Times in files and answers as people read them: `YYYY-MM-DD HH:MM:SS.ffffff`, in UTC.

use serde::{Deserialize, Deserializer, Serializer, de, ser};

use crate::time;

/// Fails outside of the years 0 to 9999.
pub fn serialize<S: Serializer>(micros: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = time::shown(*micros).ok_or_else(|| ser::Error::custom("a time outside of the years 0 to 9999"))?;
    serializer.serialize_str(&shown)
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let shown = String::deserialize(deserializer)?;
    time::parse(&shown).ok_or_else(|| de::Error::custom(format!("{shown:?} is no time")))
}
