//! Charts and the database say the same.

use std::time::Instant;

use serde_json::Value;
use sluice_e2e::{GIFTS, PATIENCE, World, eventually};

use crate::records::{self, LARGE, LARGE_TYPE};
use crate::stage::{Stage, rows_of};

const BARS: usize = 2;
const RANKING: usize = 4;

/// The same questions as the board's, asked in other words.
fn questions() -> [String; 6] {
    let moments = records::moments(&[6 * 3600, 0]);
    let (six_hours_ago, today) = (&moments[0], &moments[1][..10]);
    let people_by = |column: &str| {
        format!(
            "SELECT CAST({column} AS CHAR(50)), CAST(COUNT(*) AS CHAR(50)) FROM (SELECT DISTINCT {column}, user_id FROM live_streaming_log) d \
             WHERE {column} IS NOT NULL GROUP BY {column}"
        )
    };
    let gifts = |label: &str, table: &str, more: &str| {
        format!(
            "SELECT CAST({label} AS CHAR(50)), CAST(gift_total_amount AS CHAR(50)) FROM {table} WHERE {label} IS NOT NULL {more}"
        )
    };
    [
        people_by("province"),
        people_by("grade"),
        gifts("gift_type", "live_gift_total_amount", ""),
        gifts("minute", "live_gift_by_minute", &format!("AND minute >= '{six_hours_ago}'")),
        gifts("user_id", "live_gift_by_user", "ORDER BY 0 - gift_total_amount, user_id LIMIT 10"),
        format!(
            "SELECT CONCAT(hour, ':00'), CAST(SUM(1) AS CHAR(50)) FROM (SELECT SUBSTR(CAST(arrive_time AS CHAR(30)), 12, 2) hour \
             FROM live_streaming_log WHERE SUBSTR(CAST(arrive_time AS CHAR(30)), 1, 10) = '{today}') d GROUP BY hour"
        ),
    ]
}

/// Rows in an order of their own, but for the ranking's, whose order is what it says. Fractions of seconds that are none go.
fn ordered(panel: usize, rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let plain = |cell: String| cell.trim_end_matches(".000000").to_owned();
    let mut rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().map(plain).collect()).collect();
    if panel != RANKING {
        rows.sort();
    }
    rows
}

fn compare(stage: &Stage, shown: &Value) -> Result<(), String> {
    for (panel, question) in questions().iter().enumerate() {
        let expected = ordered(panel, stage.site.tables().texts(question)?);
        let found = ordered(panel, rows_of(shown, panel));
        if expected.is_empty() || found != expected {
            return Err(format!("panel {panel} shows {found:?}, the database has {expected:?}"));
        }
    }
    Ok(())
}

fn the_six_charts_show_what_is_in_the_database(world: World) {
    let mut stage = Stage::new(world, 600);
    stage.site.send(GIFTS, &[records::large()]);
    stage.open_board("lang=en");
    let shown = "sluiceShown()";
    stage.browser.wait(shown, |shown| compare(&stage, shown));

    // A number that a browser's own don't hold is shown to its last digit.
    let large = vec![LARGE_TYPE.to_string(), LARGE.to_string()];
    stage
        .browser
        .wait(shown, |shown| if rows_of(shown, BARS).contains(&large) { Ok(()) } else { Err(format!("{shown}")) });

    // What is drawn is what the table says: the pie's parts, and the squares of the map.
    let all = stage.browser.value(shown);
    let parts = rows_of(&all, 1);
    let drawn: Vec<Vec<String>> = all[1]["drawn"][0].as_array().unwrap().iter().map(part).collect();
    assert_eq!(drawn, parts);
    let squares = all[0]["drawn"].as_array().unwrap();
    for row in rows_of(&all, 0) {
        let square = squares.iter().find(|square| square[0] == row[0]).unwrap_or_else(|| panic!("no square {row:?}"));
        assert_eq!(square[1].as_str().unwrap().replace(',', ""), row[1], "{}", row[0]);
    }

    let before = sum_of(&stage, 1);
    stage.site.send(GIFTS, &[records::gift_of_now(1, 1000)]);
    let question = "SELECT CAST(gift_total_amount AS CHAR(50)) FROM live_gift_total_amount WHERE gift_type = '1'";
    let sum = (before + 1000).to_string();
    eventually("the row is in the table", PATIENCE, || {
        let rows = stage.site.tables().texts(question)?;
        if rows == [[sum.clone()]] { Ok(()) } else { Err(format!("{rows:?}")) }
    });
    let begun = Instant::now();
    stage.browser.wait(shown, |shown| compare(&stage, shown));
    assert_eq!(sum_of(&stage, 1), before + 1000);
    eprintln!("a new row was seen after {:?}, by a board that is refreshed each second", begun.elapsed());
    stage.browser.assert_nothing_wrong(&stage.address);
}

/// Name and value of a part of the pie.
fn part(part: &Value) -> Vec<String> {
    vec![part["name"].as_str().unwrap().to_owned(), part["value"].to_string()]
}

/// The total of a type of gifts, as the page shows it.
fn sum_of(stage: &Stage, kind: i64) -> i64 {
    let bars = rows_of(&stage.browser.value("sluiceShown()"), BARS);
    let row = bars.iter().find(|row| row[0] == kind.to_string()).unwrap_or_else(|| panic!("no {kind} in {bars:?}"));
    row[1].parse().unwrap()
}

mod the_six_charts {
    use super::*;

    #[test]
    fn embedded() {
        the_six_charts_show_what_is_in_the_database(World::Embedded);
    }

    #[test]
    fn mariadb() {
        the_six_charts_show_what_is_in_the_database(World::Servers);
    }

    #[test]
    fn mysql() {
        the_six_charts_show_what_is_in_the_database(World::Mysql);
    }
}
