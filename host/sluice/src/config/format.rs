//! `[source]`: the format of its records. Each format has a table of its own, with the options that all have and its own.

use sluice_core::decode::{Convert, CsvOptions, DecodeOptions, Epoch, FormatOptions, JsonOptions, Origin, Path};

use super::nearest::suggest;
use super::reader::{Item, Section};

/// Reads the format's table; JSON without options is the default.
pub fn read(source: &Section<'_>) -> Option<DecodeOptions> {
    let (of_json, of_csv) = (source.optional("json"), source.optional("csv"));
    match (of_json, of_csv) {
        (None, None) => Some(DecodeOptions::default()),
        (Some(_), Some(item)) => {
            item.problem("both json and csv", "one of them: all records of a topic have the same format");
            None
        }
        (Some(item), None) => {
            let want = "a table such as { ignore_parse_errors = false, fail_on_missing_field = false }";
            item.table(want, |section| with_common(section, |section| json(section).map(FormatOptions::Json)))
        }
        (None, Some(item)) => {
            let want = r#"a table such as { fields = ["user_id", "room_id"] }"#;
            item.table(want, |section| with_common(section, |section| csv(section).map(FormatOptions::Csv)))
        }
    }
}

/// Reads the options that all formats have, and those of this one.
fn with_common(
    section: &Section<'_>,
    own: impl FnOnce(&Section<'_>) -> Option<FormatOptions>,
) -> Option<DecodeOptions> {
    let common = common(section);
    let format = own(section);
    Some(DecodeOptions { format: format?, ..common? })
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

/// The most columns of a source, and fields of a record; more is a generated file or a mistake.
pub const MAX_COLUMNS: usize = 1_000;

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

fn csv(section: &Section<'_>) -> Option<CsvOptions> {
    let want = r#"the names of a record's fields, in their order, such as ["user_id", "room_id"]"#;
    let fields = section.required("fields", want, |item| names(&item, want));
    let delimiter = section.or("delimiter", b',', |item| item.parse(DELIMITER, delimiter));
    let quote = section.or("quote", Some(b'"'), |item| item.parse(QUOTE, quote));
    let null = section.or("null", None, |item| item.text("a text").map(Some));
    let (delimiter, quote) = (delimiter?, quote?);
    if quote == Some(delimiter) {
        section.item().problem("a quote that is the delimiter", "two characters that differ");
        return None;
    }
    Some(CsvOptions { fields: fields?, delimiter, quote, null: null? })
}

const DELIMITER: &str = r#"one character of ASCII that separates fields, such as "," or "\t""#;

const QUOTE: &str = r#"one character of ASCII that may be around a field, such as "'", or "" for none"#;

/// A character that can't be a part of a number or a name.
fn delimiter(text: &str) -> Option<u8> {
    let [byte] = text.as_bytes() else { return None };
    let fits = *byte == b'\t' || (byte.is_ascii_graphic() || *byte == b' ') && !byte.is_ascii_alphanumeric();
    fits.then_some(*byte)
}

fn quote(text: &str) -> Option<Option<u8>> {
    match text {
        "" => Some(None),
        text => delimiter(text).map(Some),
    }
}

/// Distinct names of fields.
fn names(item: &Item<'_>, want: &str) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for item in item.list(want, MAX_COLUMNS)? {
        let name = item.parse("a name that isn't empty", |text| (!text.is_empty()).then(|| text.to_owned()))?;
        if names.contains(&name) {
            item.wrong("each name once");
            return None;
        }
        names.push(name);
    }
    if names.is_empty() {
        item.wrong(want);
        return None;
    }
    Some(names)
}

/// The sentence about what may stand instead of an origin that no record of this format has; none if records have it.
pub fn instead_of(origin: &Origin, decode: &DecodeOptions) -> Option<String> {
    let FormatOptions::Csv(csv) = &decode.format else { return None };
    match origin {
        Origin::Field(name) if !csv.fields.contains(name) => {
            let fields: Vec<&str> = csv.fields.iter().map(String::as_str).collect();
            Some(suggest(name, &fields))
        }
        Origin::Within(_) | Origin::Path(_) => {
            Some("a field: a record of CSV has nothing within its fields".to_owned())
        }
        _ => None,
    }
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
