//! Documents of the kinds that JSON's test suites have, right, wrong, and such as parsers may judge either way: a record's value
//! is taken or refused exactly where `serde_json` takes or refuses it, read or not.

use super::*;

/// Verdict on documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong,
    /// RFC 8259 leaves it to the parser; `serde_json` decides.
    Either,
    /// Wrong, but taken as Flink takes it: control characters in texts.
    Lenient,
}

use Verdict::{Either, Lenient, Right, Wrong};

const DOCUMENTS: &[(&str, Verdict, &[&[u8]])] = &[
    (
        "arrays",
        Right,
        &[
            b"[]",
            b"[ ]",
            b"[[]  ]",
            b"[\"\"]",
            b"[null]",
            b"[false, true]",
            b"[1,null,null,2]",
            b"[null, 1, \"1\", {}]",
            b" [7]",
            b"[3] ",
            b"[[[[[[]]]]]]",
            b"[ [1] , [2,3] ]",
            b"[\"a\",\"b\",[\"c\",{\"d\":[]}]]",
        ],
    ),
    (
        "arrays",
        Wrong,
        &[
            b"[1 true]",
            b"[\"\": 1]",
            b"[\"\"],",
            b"[,1]",
            b"[1,,2]",
            b"[\"x\",,]",
            b"[\"x\"]]",
            b"[\"\",]",
            b"[\"x\"",
            b"[x",
            b"[3[4]]",
            b"[1:2]",
            b"[,]",
            b"[-]",
            b"[   , \"\"]",
            b"[1,]",
            b"[1,\n1\n,1",
            b"[*]",
            b"[1}",
            b"[",
            b"]",
            b"][",
            b"[1]x",
            b"[\"a\",\n4\n,1,",
            b"[{}",
            b"[[]",
        ],
    ),
    (
        "objects",
        Right,
        &[
            b"{}",
            b"{ }",
            b"{\"\":0}",
            b"{\"a\":[]}",
            b"{\"a\":\"b\",\"a\":\"c\"}",
            b"{\"a\":\"b\",\"a\":\"b\"}",
            b"{\"foo\\u0000bar\": 42}",
            b"{ \"min\": -1.0e+28, \"max\": 1.0e+28 }",
            b"{\"x\":[{\"id\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}], \"id\": \"a\"}",
            "{\"título\":\"Полтора Землекопа\"}".as_bytes(),
            b"{\n\"a\": \"b\"\n}",
            b"{\"\\\"\":{\"\\\\\":{}}}",
            b"{\"a\" : 1 , \"b\":2}",
        ],
    ),
    (
        "objects",
        Wrong,
        &[
            b"{\"x\", null}",
            b"{\"x\"::\"b\"}",
            b"{\"a\":\"a\" 123}",
            b"{key: 'value'}",
            b"{\"a\" b}",
            b"{:\"b\"}",
            b"{\"a\" \"b\"}",
            b"{\"a\":",
            b"{\"a\"",
            b"{1:1}",
            b"{9999E9999:1}",
            b"{null:null,null:null}",
            b"{\"id\":0,,,,,}",
            b"{'a':0}",
            b"{\"id\":0,}",
            b"{\"a\":\"b\"}/**/",
            b"{\"a\":\"b\"}/",
            b"{\"a\":\"b\"}//",
            b"{\"a\":\"b\",,\"c\":\"d\"}",
            b"{a: \"b\"}",
            b"{\"a\":\"a",
            b"{ \"foo\" : \"bar\", \"a\" }",
            b"{\"a\":\"b\"}#",
            b"{[: \"x\"}",
            b"{\"a\":1]",
            b"{,}",
            b"{\"a\",}",
            b"{\"a\":}",
            b"{\"a\":1,\"b\"}",
            b"{\"a\":1:2}",
            b"{{}}",
            b"{[]}",
            b"{\"a\":1}}",
            b"}",
            b"{",
        ],
    ),
    (
        "numbers",
        Right,
        &[
            b"0",
            b"-0",
            b"0e+1",
            b"0e1",
            b"0.0",
            b"-0.0",
            b" 4",
            b"-0.000000000000000000000000000000000000000000000000000000000000000000000000000001",
            b"20e1",
            b"-123",
            b"-1",
            b"123",
            b"123e65",
            b"1E22",
            b"1E-2",
            b"1E+2",
            b"123e45",
            b"123.456e78",
            b"1e-2",
            b"1e+2",
            b"123.456789",
            b"9007199254740993",
            b"999999999999999999",
            b"-999999999999999999",
            b"1000000000000000000",
            b"9223372036854775807",
            b"-9223372036854775808",
            b"9223372036854775808",
            b"18446744073709551616",
            b"100000000000000000000",
            b"12345678",
            b"1234567",
            b"123456789",
            b"1234567890123456.5",
            b"0.1234567890123456789",
            b"1e00000000000000000002",
        ],
    ),
    (
        "numbers",
        Wrong,
        &[
            b"-01",
            b"-1.0.",
            b"-2.",
            b"-NaN",
            b".-1",
            b".2e-3",
            b"0.1.2",
            b"0.3e+",
            b"0.3e",
            b"0.e1",
            b"0_E+",
            b"0E",
            b"0E+",
            b"0e",
            b"0e+",
            b"1.0e+",
            b"1.0e-",
            b"1.0e",
            b"1 000.0",
            b"1eE2",
            b"2.e+3",
            b"2.e-3",
            b"2.e3",
            b"9.e+",
            b"Inf",
            b"NaN",
            b"\xef\xbc\x91",
            b"1+2",
            b"0x1",
            b"0x42",
            b"Infinity",
            b"0e+-1",
            b"-123.123foo",
            b"-Infinity",
            b"-foo",
            b"- 1",
            b"-012",
            b"-.123",
            b"-1x",
            b"1ea",
            b"1.",
            b".123",
            b"1.2a-3",
            b"1.8011670033376514H-308",
            b"012",
            b"00",
            b"+1",
            b"++1234",
            b"--1",
            b"-",
            b"12345678a",
            b"1234567a",
            b"12345678.",
            b"0123456789",
            b"1e1.5",
            b"1e--1",
            b"1-",
            b"1/2",
            b"1:",
        ],
    ),
    (
        "numbers",
        Either,
        &[
            b"123e3000",
            b"-123e3000",
            b"1.5e+9999",
            b"123.456e-789",
            b"0.4e00669999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999969999999006",
            b"-1e+9999",
            b"-123123123123123123123123123123",
            b"100000000000000000000000000000000000000000000000000",
            b"1e999999999999999999999999",
            b"1e-999999999999999999999999",
        ],
    ),
    (
        "texts",
        Right,
        &[
            b"\"\"",
            b"\" \"",
            b"\"\\u0060\\u012a\\u12AB\"",
            b"\"\\uD801\\udc37\"",
            b"\"\\ud83d\\ude39\\ud83d\\udc8d\"",
            b"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
            b"\"\\\\u0000\"",
            b"\"\\\"\"",
            b"\"a/*b*/c/*d//e\"",
            b"\"\\\\a\"",
            b"\"\\\\n\"",
            b"\"\\u0012\"",
            b"\"\\uFFFF\"",
            b"\"\\u0000\"",
            b"\"\\u002c\"",
            b"\"\\uD834\\uDd1e\"",
            b"\"\\u0821\"",
            b"\"\\u0123\"",
            b"\"\\u0061\\u30af\\u30EA\\u30b9\"",
            b"\"new\\u000Aline\"",
            b"\"\\uA66D\"",
            b"\"\\u005C\"",
            b"\"\\u0022\"",
            b"\"\\u200B\"",
            b"\"\\u2064\"",
            b"\"\\uFDD0\"",
            b"\"\\uFFFE\"",
            b"\"\xf4\x8f\xbf\xbf\"",
            b"\"\xef\xbf\xbf\"",
            b"\"\xf0\x9b\xbf\xbf\"",
            b"\"\xcf\x80\"",
            b"\"\xe2\x80\xa8\"",
            b"\"\xe2\x80\xa9\"",
            b"\"\xe2\x8d\x82\xe3\x88\xb4\xe2\x8d\x82\"",
            b"\"\x7f\"",
            b"\"a\x7fa\"",
            b"\"asd \"",
            b"\"seven..\"",
            b"\"eight...\"",
            b"\"seven..\\\"\"",
            b"\"eight...\\\\\"",
            b"\"nine....\\n fifteen characters \\t\"",
        ],
    ),
    (
        "texts",
        Wrong,
        &[
            b"\"\\uD800\\\"",
            b"\"\\uD800\\u\"",
            b"\"\\uD800\\u1\"",
            b"\"\\uD800\\u1x\"",
            b"\"\\ u0041\"",
            b"\"\\x00\"",
            b"\"\\\\\\\"",
            b"\"\\\t\"",
            b"\"\\\xf0\x9f\x8c\x80\"",
            b"\"\\\"",
            b"\"\\u00A\"",
            b"\"\\uD834\\uDd\"",
            b"\"\\uD800\\uD800\\x\"",
            b"\"\\u\xe5\"",
            b"\"\\a\"",
            b"\"\\uqqqq\"",
            b"\"\\\xe5\"",
            b"\\u0020\"asd\"",
            b"\\n",
            b"\"",
            b"'single quote'",
            b"abc",
            b"\"\\",
            b"\"\\UA66D\"",
            b"\"\"x",
            b"\"a\" \"b\"",
            b"\"\\u123\"",
            b"\"\\u12G4\"",
            b"\"\\u 123\"",
            b"\"\\u-123\"",
            b"\"\\N\"",
            b"\"\\'\"",
            b"\"\\0\"",
            b"\"seven..",
            b"\"eight...",
            b"\"eight...\\",
            b"\"eight...\\u00",
            b"\"\\8\"",
        ],
    ),
    (
        "texts",
        Either,
        &[
            b"\"\\uDADA\"",
            b"\"\\uD888\\u1234\"",
            b"\"\\ud800\"",
            b"\"\\ud800abc\"",
            b"\"\\uD800\\n\"",
            b"\"\\uD800\\uD800\\n\"",
            b"\"\\uDd1e\\uD834\"",
            b"\"\\uDFAA\"",
            b"\"\\uDBFF\\u0041\"",
        ],
    ),
    ("texts", Lenient, &[b"\"a\x00a\"", b"\"\t\"", b"\"new\nline\"", b"\"\x1f\"", b"\"\\n\x08\"", b"{\"\x01\": 1}"]),
    (
        "bytes that are no UTF-8",
        Wrong,
        &[
            b"\"\xff\"",
            b"\"\x81\"",
            b"\"\xc0\xaf\"",
            b"\"\xe0\xff\"",
            b"\"\xfc\x80\x80\x80\x80\x80\"",
            b"\"\xfc\x83\xbf\xbf\xbf\xbf\"",
            b"\"\xed\xa0\x80\"",
            b"\"\xed\xb0\x80\"",
            b"\"\xf4\xbf\xbf\xbf\"",
            b"\"\xf4\x90\x80\x80\"",
            b"\"\xe9\"",
            b"\"\xe6\x97\xa5\xd1\x88\xfa\"",
            b"\"\xe6\xb5\"",
            b"\"a\xe5",
            b"{\"\xb9\":\"0\"}",
            b"\xe5",
            b"[\xff]",
            b"\"sixteen and more \xf0\x9f\x92\"",
        ],
    ),
    ("literals", Right, &[b"null", b"true", b"false", b" null ", b"[true,false,null]"]),
    (
        "literals",
        Wrong,
        &[
            b"nul",
            b"tru",
            b"fals",
            b"nulla",
            b"truer",
            b"falsey",
            b"True",
            b"FALSE",
            b"nil",
            b"undefined",
            b"TRUE",
            b"t",
            b"nullnull",
            b"true false",
            b"n ull",
            b"truE",
        ],
    ),
    (
        "spaces",
        Right,
        &[b"\t[\n]\r ", b" {\r\n\t \"a\"\n:\r1 } ", b"[1\n,\n2]", b"\r\n1\r\n", b"{\"a\":\t\"b\"}"],
    ),
    (
        "spaces",
        Wrong,
        &[
            b"",
            b" ",
            b"\x0c[]",
            b"[\x0b]",
            b"\xc2\xa0[]",
            b"[\xe2\x81\xa0]",
            b"[\xc2\x85]",
            b"\xef\xbb\xbf{}",
            b"\xef\xbb\xbf",
            b"[]\x00",
            b"\x00",
            b"[\x1f1]",
        ],
    ),
    (
        "structure",
        Wrong,
        &[
            b"<.>",
            b"[<null>]",
            b"<null>",
            b"aA",
            b"[1]]",
            b"[True]",
            b"2@",
            b"{}}",
            b"{\"\":",
            b"{\"a\":/*comment*/\"b\"}",
            b"{\"a\": true} \"x\"",
            b"['",
            b"[,",
            b"[{",
            b"[\"a",
            b"[\"a\"",
            b"{,",
            b"{[",
            b"{\"a",
            b"{'a'",
            b"[\"\\{[\"\\{[\"\\{[\"\\{",
            b"*",
            b"{\"a\":\"b\"}#{}",
            b"[\\u000A\"\"]",
            b"[1",
            b"[ false, nul",
            b"[ true, fals",
            b"[ false, tru",
            b"{\"asd\":\"asd\"",
            b"[[[[",
            b"{\"a\":{\"b\":{\"c\":",
            b"[1],[2]",
            b":",
            b",",
            b"1,2",
            b"{\"a\":1},{\"a\":2}",
        ],
    ),
];

/// Records with the document as a value: alone, between others, deeper within one, and with spaces around it.
fn records(document: &[u8]) -> [Vec<u8>; 4] {
    let within = |before: &str, behind: &str| [before.as_bytes(), document, behind.as_bytes()].concat();
    [
        within("{\"x\":", "}"),
        within("{\"a\": \"1\", \"x\": ", ", \"b\": 2}"),
        within("{\"a\": \"1\", \"x\": [0, {\"in\": ", "}, \"浙江\"], \"b\": 2}"),
        within("{\"x\" :\t", "\n, \"a\": \"1\"}"),
    ]
}

/// Returns whether the record is taken by a decoder that has seen none before, and by two that have seen others; `wanted` says
/// whether the field `x` is read.
fn taken(record: &[u8], wanted: bool) -> [bool; 3] {
    let name = if wanted { "x" } else { "nobody's" };
    let columns = [column("a", Kind::Utf8), column(name, Kind::Utf8)];
    let alike: &[&str] =
        &["{\"a\": \"1\", \"x\": 12, \"b\": 2}", "{\"a\": \"1\", \"x\": [0, {\"in\": \"\\n\"}, \"浙江\"], \"b\": 2}"];
    [&[], alike, &["{\"x\":\"12345678\"}", "{}"]].map(|before| {
        let mut decoder = Decoder::new(&columns, &[true, true], DecodeOptions::default());
        decoder.decode_as(&made(before), 0, usize::MAX, AtFault::IsLeftOut);
        decoder.decode(&Made(vec![Some(record.to_vec())]), 0, 1).stopped.is_none()
    })
}

/// All documents, each once.
fn documents() -> impl Iterator<Item = (&'static str, Verdict, &'static [u8])> {
    DOCUMENTS
        .iter()
        .flat_map(|(kind, verdict, documents)| documents.iter().map(|document| (*kind, *verdict, *document)))
}

#[test]
fn the_documents_are_what_they_are_said_to_be() {
    let mut seen = std::collections::HashSet::new();
    for (kind, verdict, document) in documents() {
        let shown = String::from_utf8_lossy(document);
        assert!(seen.insert(document), "{shown} is there twice");
        let right = serde_json::from_slice::<Value>(document).is_ok();
        match verdict {
            Right => assert!(right, "{kind}: {shown} is wrong"),
            Wrong | Lenient => assert!(!right, "{kind}: {shown} is right"),
            Either => {}
        }
    }
    assert!(seen.len() >= 300, "{}", seen.len());
}

#[test]
fn a_document_is_judged_as_serde_json_judges_it_read_or_not() {
    for (kind, verdict, document) in documents() {
        for record in records(document) {
            let shown = String::from_utf8_lossy(&record);
            // Whether numbers and surrogate pairs mean something is asked by serde_json only where it keeps the value.
            let right = is_object(&record);
            assert!(verdict != Right || right, "{kind}: {shown}");
            for wanted in [false, true] {
                assert_eq!(taken(&record, wanted), [right; 3], "{kind}, wanted: {wanted}: {shown}");
            }
        }
    }
}

#[test]
fn a_document_alone_is_a_record_where_it_is_an_object() {
    for (kind, _, document) in documents() {
        let shown = String::from_utf8_lossy(document);
        assert_eq!(taken(document, false), [is_object(document); 3], "{kind}: {shown}");
        assert_eq!(is_whole_object(document), is_object(document), "{kind}: {shown}");
    }
}

#[test]
fn a_document_that_is_read_is_the_value_that_serde_json_reads() {
    let read = |record: &[u8]| {
        let decoded = decode(&[column("x", Kind::Utf8)], DecodeOptions::default(), &Made(vec![Some(record.to_vec())]));
        texts(&decoded, 0).remove(0)
    };
    for (kind, _, document) in documents() {
        let [record, ..] = records(document);
        let Ok(Value::Object(expected)) = serde_json::from_slice::<Value>(&record) else { continue };
        let (text, shown) = (read(&record), String::from_utf8_lossy(document));
        match &expected["x"] {
            expected @ (Value::Null | Value::String(_)) => {
                assert_eq!(text, expected_text(Some(expected)), "{kind}: {shown}")
            }
            // What is no text is as it was written.
            _ => assert_eq!(text.as_deref(), Some(shown.trim()), "{kind}: {shown}"),
        }
    }
}
