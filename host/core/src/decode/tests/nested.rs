//! Values within values that nobody reads: walked over, and refused exactly where `serde_json` refuses them.

use std::ops::Range;

use super::*;

/// JSON texts of any depth, with what producers write and some that is wrong.
fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => any::<i64>().prop_map(|value| value.to_string()),
        2 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
        4 => "[a-z 浙江é😀]{0,20}".prop_map(|text| format!("\"{text}\"")),
        2 => r#""(\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|[a-z]){0,9}""#,
        2 => prop_oneof!["null", "true", "false"],
        1 => prop_oneof!["01", "-", "1\\.", "\\.5", "1e", "nul", "'a'", r#""\\x""#, r#""\\u12g4""#, "\"a\nb\"", ""],
    ];
    let space = || prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t")];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        let spaced = (space(), inner, space()).prop_map(|(before, value, behind)| format!("{before}{value}{behind}"));
        let member = ("[a-c浙]{0,10}", spaced.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            prop::collection::vec(spaced, 0..5).prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

/// Decodes the last of these records after the others have taught the decoder their shape. Returns whether it is accepted.
fn accepted(before: &[&str], bytes: &[u8]) -> bool {
    let mut decoder = Decoder::new(&[column("zz", Kind::Utf8)], &[true], DecodeOptions::default());
    decoder.decode_as(&made(before), 0, usize::MAX, AtFault::IsLeftOut);
    decoder.decode(&Made(vec![Some(bytes.to_vec())]), 0, 1).stopped.is_none()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_document_is_refused_where_serde_json_refuses(value in document(), before in document()) {
        let record = |value| format!("{{\"a\": {value}, \"b\": 1}}");
        let (record, before) = (record(value), record(before));
        prop_assert_eq!(accepted(&[&before], record.as_bytes()), is_object(record.as_bytes()), "{}", record);
        prop_assert_eq!(accepted(&[], record.as_bytes()), is_object(record.as_bytes()), "{}", record);
    }

    #[test]
    fn any_damaged_document_is_refused_where_serde_json_refuses(
        value in document(), at in any::<prop::sample::Index>(), taken in 0usize..3, put in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let mut bytes = format!("{{\"a\": {value}}}").into_bytes();
        let at = at.index(bytes.len());
        let taken: Range<usize> = at..(at + taken).min(bytes.len());
        bytes.splice(taken, put);
        let read = String::from_utf8_lossy(&bytes).into_owned();
        prop_assert_eq!(accepted(&["{\"a\": {}}"], &bytes), is_object(&bytes), "{}", read);
    }

    #[test]
    fn a_value_read_is_what_serde_json_reads(value in document()) {
        let record = format!("{{\"a\": {value}}}");
        let decoded = decode(&[column("a", Kind::Utf8)], DecodeOptions::default(), &made(&[&record]));
        let Ok(Value::Object(parsed)) = serde_json::from_slice::<Value>(&escape_controls(record.as_bytes())) else {
            return Ok(());
        };
        prop_assert!(decoded.stopped.is_none());
        let text = texts(&decoded, 0).remove(0);
        match &parsed["a"] {
            Value::Null => prop_assert_eq!(text, None),
            Value::String(expected) => prop_assert_eq!(text.as_ref(), Some(expected)),
            other => {
                let escaped = escape_controls(text.unwrap().as_bytes());
                prop_assert_eq!(&serde_json::from_slice::<Value>(&escaped).unwrap(), other);
            }
        }
    }
}

/// Cases of the kinds that JSON test suites have, each as a value that nobody reads.
#[test]
fn what_is_wrong_within_a_value_is_refused_and_what_is_only_odd_is_taken() {
    let deep = |depth: usize| format!("{}{}", "[{\"a\":".repeat(depth) + "1", "}]".repeat(depth));
    let odd = [
        "[]",
        "{}",
        "[[]]",
        "{\"\":0}",
        "[ ]",
        "{ \"a\" : [ 1 , 2 ] }",
        "-0",
        "1E+2",
        "0.0e-0",
        "[1e9999]",
        r#""\u0000""#,
        r#"{"a":1,"a":2}"#,
        r#""\uDADA""#,
        r#""\/""#,
        "\"\u{7f}\u{2028}\"",
        "123456789012345678901234567890",
    ];
    for value in odd.map(str::to_owned).into_iter().chain([1, 31, 32, 33, 64, 65, 127, 128, 129, 500].map(deep)) {
        let record = format!("{{\"x\": {value}}}");
        assert!(accepted(&[], record.as_bytes()), "{record}");
        // The same without its last bracket, and with another one.
        for wrong in [record[..record.len() - 1].to_owned(), format!("{}]", &record[..record.len() - 1])] {
            assert!(!accepted(&[&record], wrong.as_bytes()), "{wrong}");
        }
    }
    let wrong = [
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{1:1}",
        "[}",
        "{]",
        "[1}",
        "{\"a\":1]",
        "+1",
        "--1",
        "-",
        "-01",
        "00",
        "0x1",
        "1.",
        ".1",
        "1.e1",
        "1e",
        "1e+",
        "0e",
        "NaN",
        "Infinity",
        "-Infinity",
        "True",
        "nul",
        "tru",
        "[\"a\", ]",
        "\"",
        "\"\\\"",
        "\"\\a\"",
        "\"\\u\"",
        "\"\\u00A\"",
        "\"\\uD834\\uDd\"",
        "'a'",
        "[\u{a0}]",
        "[1]]",
        "/**/1",
        "\"a\" \"b\"",
        "[\"a\"",
        "[[[",
        "{\"a\": {",
        "\u{feff}1",
    ];
    for value in wrong {
        let record = format!("{{\"x\": {value}}}");
        assert!(!is_object(record.as_bytes()), "{record} is right");
        assert!(!accepted(&[], record.as_bytes()), "{record}");
    }
    for bytes in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe6\xb5"] {
        let record = [b"{\"x\": [\"", bytes, b"\"]}"].concat();
        assert!(!accepted(&[], &record), "{record:?}");
    }
}
