//! Records of CSV: what is taken, what is refused, and that values are those that the crate `csv` reads.

use super::*;

fn csv(fields: &[&str]) -> CsvOptions {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    CsvOptions { fields, delimiter: b',', quote: Some(b'"'), null: None }
}

fn of_csv(options: CsvOptions) -> DecodeOptions {
    DecodeOptions { format: FormatOptions::Csv(options), ..DecodeOptions::default() }
}

#[test]
fn fields_are_known_by_their_places() {
    let columns = [column("room", Kind::Int64), column("name", Kind::Utf8), column("at", Kind::Timestamp)];
    let records = made(&[
        "1,7,\"小鱼, der \"\"Fisch\"\"\",2021-08-16 09:48:01",
        "2, 8 , spaced ,1629107281000\r\n",
        "3,\"9\",5\" pipe,\"1970-01-01T00:00:00Z\"\n",
    ]);
    let decoded = decode(&columns, of_csv(csv(&["id", "room", "name", "at"])), &records);
    assert_eq!(decoded.stopped, None);
    assert_eq!(ints(&decoded, 0), [Some(7), Some(8), Some(9)]);
    let names = ["小鱼, der \"Fisch\"", " spaced ", "5\" pipe"].map(|name| Some(name.to_owned()));
    assert_eq!(texts(&decoded, 1), names);
    let times = decoded.batch.columns[2].as_ref().unwrap().as_primitive::<TimestampMicrosecondType>();
    assert_eq!(times.value(1), 1_629_107_281_000_000);
}

#[test]
fn delimiter_quote_and_null_are_as_told() {
    let columns = [column("a", Kind::Utf8), column("b", Kind::Int64)];
    let told = CsvOptions { delimiter: b'\t', quote: Some(b'\''), null: Some("\\N".to_owned()), ..csv(&["a", "b"]) };
    let decoded = decode(&columns, of_csv(told), &made(&["'it''s\t\"'\t5", "\\N\t\\N", "\t'\\N'"]));
    assert_eq!(decoded.stopped, None);
    assert_eq!(texts(&decoded, 0), [Some("it's\t\"".to_owned()), None, Some(String::new())]);
    assert_eq!(ints(&decoded, 1), [Some(5), None, None]);

    let bare = CsvOptions { quote: None, ..csv(&["a", "b"]) };
    let decoded = decode(&columns, of_csv(bare), &made(&["\"x,1"]));
    assert_eq!((texts(&decoded, 0), ints(&decoded, 1)), (vec![Some("\"x".to_owned())], vec![Some(1)]));
}

#[test]
fn what_is_no_record_is_refused_for_what_it_is() {
    let columns = [column("a", Kind::Int64), column("b", Kind::Utf8)];
    for (bytes, part) in [
        (&b"1"[..], "1 instead of 2 fields"),
        (b"", "1 instead of 2 fields"),
        (b"1,2,3", "3 instead of 2 fields"),
        (b"1,\"x", "the quote at byte 2 isn't closed"),
        (b"1,\"x\"\"", "the quote at byte 2 isn't closed"),
        (b"1,\"x\" ", "text follows a closing quote at byte 5"),
        (b"1,x\n2,y", "a second line begins at byte 3"),
        (b"1,x\n\n", "a second line begins at byte 3"),
        (b"1,\xff", "invalid UTF-8 at byte 2"),
        (b"x,1", "field `a`: \"x\" is not an int64"),
        (b",1", "field `a`: \"\" is not an int64"),
        (
            b"1.5,x",
            "field `a`: \"1.5\" is not an int64, since it has a fraction; `csv.convert = \"flink\"` would cut it off",
        ),
    ] {
        let decoded = decode(&columns, of_csv(csv(&["a", "b"])), &Made(vec![Some(bytes.to_vec())]));
        let message = decoded.stopped.unwrap().to_string();
        assert!(message.contains(part), "{part} in {message}");
        let ignoring = DecodeOptions { ignore_parse_errors: true, ..of_csv(csv(&["a", "b"])) };
        let decoded = decode(&columns, ignoring, &Made(vec![Some(bytes.to_vec()); 2]));
        assert_eq!((decoded.notes.len(), decoded.notes[0].times), (1, 2), "{:?}", decoded.notes);
    }
}

#[test]
fn what_csv_has_not_is_missing() {
    let columns = [
        column("c", Kind::Utf8),
        SourceColumn { field: Field::new("d", Kind::Utf8), origin: Origin::Within("a.b".parse().unwrap()) },
    ];
    let decoded = decode(&columns, of_csv(csv(&["a"])), &made(&["1"]));
    assert_eq!((texts(&decoded, 0), texts(&decoded, 1)), (vec![None], vec![None]));
}

proptest! {
    #[test]
    fn what_the_crate_csv_writes_is_read_back(
        values in prop::collection::vec("[a-c\"',;\n\r 浙]{0,6}", 1..6), delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t')],
    ) {
        let mut writer = ::csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
        writer.write_record(&values).unwrap();
        let record = writer.into_inner().unwrap();
        let names: Vec<String> = (0..values.len()).map(|place| place.to_string()).collect();
        let columns: Vec<_> = names.iter().map(|name| column(name, Kind::Utf8)).collect();
        let options = CsvOptions { fields: names, delimiter, quote: Some(b'"'), null: None };
        let decoded = decode(&columns, of_csv(options), &Made(vec![Some(record)]));
        prop_assert!(decoded.stopped.is_none(), "{:?}", decoded.stopped);
        let read: Vec<_> = (0..values.len()).map(|place| texts(&decoded, place).remove(0).unwrap()).collect();
        prop_assert_eq!(read, values);
    }

    #[test]
    fn a_line_that_is_taken_has_the_values_that_the_crate_csv_reads(
        bytes in prop::collection::vec(prop_oneof![8 => prop::sample::select(&b"ab,\" \n"[..]), 1 => any::<u8>()], 0..24),
    ) {
        let names = ["a", "b", "c"];
        let columns = names.map(|name| column(name, Kind::Utf8));
        let decoded = decode(&columns, of_csv(csv(&names)), &Made(vec![Some(bytes.clone())]));
        if decoded.stopped.is_none() {
            let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&bytes[..]);
            let expected = reader.records().next().unwrap().unwrap();
            let read: Vec<_> = (0..3).map(|place| texts(&decoded, place).remove(0).unwrap()).collect();
            prop_assert_eq!(read, expected.iter().collect::<Vec<_>>());
        }
    }
}
