//! Zones that the server doesn't know by name.
//!
//! A fresh MariaDB or MySQL has no tables of time zones and takes offsets only. A zone whose offset never changes again
//! (Asia/Shanghai since 1991) is that offset; one with summer time isn't any.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use sluice_clock::now_micros;

/// Names that were warned about; as many as there are in configuration.
static WARNED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The zone's offset as the server takes it (`+08:00`), if it has one for good; else what to do.
pub(super) fn constant_offset(name: &str) -> Result<String, String> {
    let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| {
        format!("time_zone `{name}` is no zone: name one as in Asia/Shanghai, or an offset as in '+08:00'")
    })?;
    offset_for_good(&zone).ok_or_else(|| {
        format!(
            "the server doesn't know the time_zone `{name}`, whose offset changes in the year: load the server's zones \
             (mariadb-tzinfo-to-sql or mysql_tzinfo_to_sql /usr/share/zoneinfo | mysql mysql), or set an offset as in \
             '+08:00'"
        )
    })
}

/// Says that an offset stands in for the zone; once for each name, since every connection comes by here.
pub(super) fn warn_once(name: &str, offset: &str) {
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if warned.insert(name.into()) {
        tracing::warn!(
            "the MySQL server doesn't know the time zone {name}; its sessions use {offset}, which it always is"
        );
    }
}

fn offset_for_good(zone: &TimeZone) -> Option<String> {
    // The bundled rules are as old as this build, so what they say of the time since is all that counts.
    let now = Timestamp::from_microsecond(now_micros()).ok()?;
    if zone.following(now).next().is_some() {
        return None;
    }
    let seconds = zone.to_offset(now).seconds();
    if seconds % 60 != 0 {
        return None;
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    Some(format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_without_summer_time_is_its_offset() {
        assert_eq!(constant_offset("Asia/Shanghai").unwrap(), "+08:00");
        assert_eq!(constant_offset("Asia/Kolkata").unwrap(), "+05:30");
        assert_eq!(constant_offset("UTC").unwrap(), "+00:00");
        assert_eq!(constant_offset("America/Phoenix").unwrap(), "-07:00");
    }

    #[test]
    fn a_zone_with_summer_time_is_none_and_the_message_says_what_to_do() {
        let message = constant_offset("Europe/Berlin").unwrap_err();
        assert!(message.contains("Europe/Berlin") && message.contains("'+08:00'"), "{message}");
    }

    #[test]
    fn what_is_no_zone_is_told_apart() {
        assert!(constant_offset("Asia/Shangai").unwrap_err().contains("is no zone"));
    }
}
