//! `[source]`: the format of its records. Each format has a table of its own, with the options that all have and its own.

use sluice_core::decode::{Convert, DecodeOptions, Epoch, FormatOptions, JsonOptions, Origin, Path};

use super::reader::{Item, Section};

/// Reads the format's table; JSON without options is the default.
pub fn read(source: &Section<'_>) -> Option<DecodeOptions> {
    source.or("json", DecodeOptions::default(), |item| {
        let want = "a table such as { ignore_parse_errors = false, fail_on_missing_field = false }";
        item.table(want, |section| {
            let common = common(section);
            let format = json(section).map(FormatOptions::Json);
            Some(DecodeOptions { format: format?, ..common? })
        })
    })
}

/// The options that all formats have.
fn common(section: &Section<'_>) -> Option<DecodeOptions> {
    let ignore = section.or("ignore_parse_errors", false, |item| item.boolean());
    let fail = section.or("fail_on_missing_field", false, |item| item.boolean());
    let convert = section
        .or("convert", Convert::Exact, |item| item.choice(&[("exact", Convert::Exact), ("flink", Convert::Flink)]));
    let epoch = section.or("epoch", None, |item| item.choice(&EPOCHS).map(Some));
    let skip_tombstones = section.or("skip_tombstones", false, |item| item.boolean());
    let (ignore_parse_errors, fail_on_missing_field) = (ignore?, fail?);
    if ignore_parse_errors && fail_on_missing_field {
        let found = "both ignore_parse_errors and fail_on_missing_field";
        section.item().problem(found, "at most one of them: a missing field can't be ignored and fatal");
        return None;
    }
    Some(DecodeOptions {
        ignore_parse_errors,
        fail_on_missing_field,
        convert: convert?,
        epoch: epoch?,
        skip_tombstones: skip_tombstones?,
        ..DecodeOptions::default()
    })
}

const EPOCHS: [(&str, Epoch); 4] = [
    ("seconds", Epoch::Seconds),
    ("milliseconds", Epoch::Milliseconds),
    ("microseconds", Epoch::Microseconds),
    ("nanoseconds", Epoch::Nanoseconds),
];

fn json(section: &Section<'_>) -> Option<JsonOptions> {
    let path = section.or("path", None, |item| path(&item).map(Some));
    let schema_registry = section.or("schema_registry", false, |item| item.boolean());
    Some(JsonOptions { path: path?, schema_registry: schema_registry? })
}

/// Returns the origin that a name refers to: one of the record's own facts, or a field of the row.
pub fn named(name: &str) -> Origin {
    match name {
        "_topic" => Origin::Topic,
        "_partition" => Origin::Partition,
        "_offset" => Origin::Offset,
        "_timestamp" => Origin::Timestamp,
        "_key" => Origin::Key,
        _ => Origin::Field(name.to_owned()),
    }
}

/// The origin that a column's `field` says: a fact, a field of the row, or a value within one.
pub fn field(item: &Item<'_>) -> Option<Origin> {
    let want = r"a field such as os, or a path into one such as device.os or tags[0] (a dot of a name is written \.)";
    item.parse(want, |text| {
        let path: Path = text.parse().ok().filter(|path: &Path| !path.is_whole())?;
        let own = path.as_field().map(named);
        Some(own.unwrap_or(Origin::Within(path)))
    })
}

/// The origin that a column's `path` says: a value at a path from the record.
pub fn path_from_record(item: &Item<'_>) -> Option<Origin> {
    let path = path(item)?;
    if path.is_whole() {
        item.wrong(PATH);
        return None;
    }
    Some(Origin::Path(path))
}

const PATH: &str = "a path such as payload.after or data[0].id";

fn path(item: &Item<'_>) -> Option<Path> {
    item.parse(PATH, |text| text.parse().ok())
}
