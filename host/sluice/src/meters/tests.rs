use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::*;

/// Lines of the documentation between which the table of figures is.
const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- end of figures -->\n";

/// Variable that has the table rewritten, and the command that does it.
const REWRITE: &str = "SLUICE_REWRITE";
const COMMAND: &str = "SLUICE_REWRITE=1 cargo test --release --bins the_documentation_has_the_table_of_figures";

fn table() -> String {
    let figures = Figures::default();
    let row =
        |Declared { name, kind, unit, meaning }: Declared| format!("| `{name}` | {kind} | {unit} | {meaning} |\n");
    let rows: String = figures.all().into_iter().map(|(declared, _)| row(declared)).collect();
    format!("| figure | kind | unit | |\n| --- | --- | --- | --- |\n{rows}")
}

#[test]
fn the_documentation_has_the_table_of_figures_that_the_declaration_gives() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operator-guide.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the page says where the table begins");
    let (there, after) = rest.split_once(END).expect("the page says where the table ends");
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&page, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
    } else {
        assert_eq!(there, table(), "the table is another one than the declaration gives; rewrite it with: {COMMAND}");
    }
}

#[test]
fn names_follow_prometheuss_conventions_so_that_an_exporter_can_take_them_as_they_are() {
    let figures = Figures::default();
    let all = figures.all();
    for (Declared { name, unit, meaning, .. }, _) in &all {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert!(!name.ends_with("_total"), "{name}: an exporter adds it");
        for (of, suffix) in [("seconds", "_seconds"), ("bytes", "_bytes"), ("microseconds", "_us")] {
            assert_eq!(name.ends_with(suffix), *unit == of, "{name} in {unit}");
        }
        assert!(!meaning.contains(['|', '\n']) && !meaning.ends_with('.'), "{name}: {meaning}");
    }
    assert_eq!(all.iter().filter(|(declared, _)| declared.unit == "microseconds").count(), 1, "seconds, for a new one");
}

#[test]
fn the_json_of_figures_has_the_declared_names_and_reads_as_the_same_again() {
    let meters = Meters::default();
    meters.records.add(3);
    meters.lag.set(Some(0));
    meters.reasons.add("a", 1);
    meters.busy_seconds.add(Duration::from_millis(1_500));
    meters.flush_seconds.observe(Duration::from_millis(20));
    let figures = meters.read();
    let json = serde_json::to_value(&figures).unwrap();
    let names: Vec<&str> = figures.all().iter().map(|(declared, _)| declared.name).collect();
    assert_eq!(json.as_object().unwrap().len(), names.len());
    assert!(names.iter().all(|name| json.get(name).is_some()), "{names:?} in {json}");
    assert_eq!(
        (&json["records"], &json["lag"], &json["swap_pause_us"], &json["reasons"], &json["busy_seconds"]),
        (&json!(3), &json!(0), &json!(null), &json!({ "a": 1 }), &json!(1.5))
    );
    let again: Figures = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), json);
}

#[test]
fn a_service_of_another_version_may_lack_figures_or_have_more() {
    let figures: Figures = serde_json::from_value(json!({ "records": 3, "figure_of_tomorrow": {} })).unwrap();
    assert_eq!((figures.records, figures.rows, figures.lag), (3, 0, None));
}

#[test]
fn a_gauge_is_unknown_until_it_is_set_and_when_it_is_unknown_again() {
    let gauge = OptionalGauge::default();
    assert_eq!(gauge.read(), None);
    for number in [Some(0), Some(u64::MAX - 1), None] {
        gauge.set(number);
        assert_eq!(gauge.read(), number);
    }
}

#[test]
fn a_histogram_counts_a_time_in_each_bucket_that_it_is_not_longer_than() {
    let histogram = Histogram::default();
    for millis in [0, 1, 2, 100, 1_000_000] {
        histogram.observe(Duration::from_millis(millis));
    }
    let times = histogram.read();
    assert_eq!((times.count, times.sum), (5, 1_000.103));
    let up_to = |le: f64| times.buckets.iter().find(|bucket| bucket.le == le).unwrap().count;
    assert_eq!([0.001, 0.003, 0.03, 0.1, 0.3, 100.0].map(up_to), [2, 3, 3, 4, 4, 4]);
    assert!(times.buckets.is_sorted_by(|a, b| a.le < b.le && a.count <= b.count), "{times:?}");
}

#[test]
fn meters_that_many_threads_raise_lose_nothing() {
    let meters = Arc::new(Meters::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    meters.rows.add(2);
                    meters.dropped.add("a", 1);
                    meters.operator_seconds.add(Duration::from_micros(1));
                    meters.flush_seconds.observe(Duration::from_micros(1));
                }
            });
        }
    });
    let figures = meters.read();
    assert_eq!((figures.rows, figures.dropped["a"], figures.flush_seconds.count), (8_000, 4_000, 4_000));
    assert_eq!((figures.operator_seconds, figures.flush_seconds.sum), (0.004, 0.004));
}
