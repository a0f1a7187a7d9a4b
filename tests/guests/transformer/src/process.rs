//! Answers, good and bad.

use crate::bindings::exports::sluice::operator::transform::{Produced, Rejection};
use crate::bindings::sluice::operator::log::{self, Level};
use crate::bindings::sluice::operator::text;
use crate::bindings::sluice::operator::types::{Batch, Column};

pub fn process(behaviour: &str, input: Batch) -> Result<Produced, String> {
    let rows = input.rows;
    let mut produced = Produced { rows, columns: input.columns, selection: None, rejected: Vec::new() };
    match behaviour {
        "refuse" => return Err("sum overflows".to_owned()),
        "refuse at length" => return Err("é".repeat(1 << 20)),
        "trap" => panic!("trap"),
        "spin" => crate::spin(),
        "hoard" => crate::hoard(),
        "trap on a row" if has_bad_row(&produced.columns) => panic!("trap on a row"),
        "spin on a row" if has_bad_row(&produced.columns) => crate::spin(),
        "hoard on a row" if has_bad_row(&produced.columns) => crate::hoard(),
        "trap after much good work" => crate::memory::tire(rows),
        "leak" => crate::memory::leak(),
        "remember" => crate::memory::remember(&mut produced.columns),
        "recurse" => return Err(crate::recurse(0).to_string()),
        "leave a column out" => drop(produced.columns.pop()),
        "claim a row more" => produced.rows += 1,
        "claim four billion rows" => produced.rows = u32::MAX,
        "explode each row" => explode(&mut produced, 8),
        "explode each row too far" => explode(&mut produced, 5_000),
        "answer from wild memory" => produced.columns[0] = wild(),
        "answer too much" => produced.columns[0].values = vec![0; 8 << 20],
        "cut the selection" => produced.selection = Some(vec![0; 3]),
        "select the first row" => select_first(&mut produced),
        "select a row outside" => produced.selection = Some((1..=rows as i32).flat_map(i32::to_le_bytes).collect()),
        "select a row below" => {
            produced.selection = Some((0..rows as i32).flat_map(|row| (row - 1).to_le_bytes()).collect())
        }
        "reject a row outside" => {
            reject(&mut produced, 1, "bad");
            produced.rejected[0].row = rows;
        }
        "reject the first row" => reject(&mut produced, 1, "bad"),
        "reject at length" => reject(&mut produced, 1, &"é".repeat(100_000)),
        "reject more rows than there are" => reject(&mut produced, rows + 1, "bad"),
        "recode" => recode(&mut produced.columns),
        "decode bad offsets" => drop(text::decode(&7i32.to_le_bytes(), &[])),
        "decode bad bytes" => drop(text::decode(&[0i32, 1].map(i32::to_le_bytes).concat(), &[0xff])),
        "flood the log" => (0..10_000).for_each(|line| log::log(Level::Info, &format!("line {line}"))),
        "log a long line" => log::log(Level::Warn, &"é".repeat(100_000)),
        "log a forged line" => log::log(Level::Error, "one\n2026-01-01 ERROR sluice: two\x1b[31m"),
        behaviour => spoil(behaviour, &mut produced.columns),
    }
    Ok(produced)
}

/// Spoils buffers. The last column is text.
fn spoil(behaviour: &str, columns: &mut [Column]) {
    let Some((last, _)) = columns.split_last_mut() else { return };
    let offsets = &mut last.offsets;
    match behaviour {
        "cut the values" => drop(columns[0].values.pop()),
        "cut the validity" => columns[0].validity = Some(Vec::new()),
        "lengthen the validity" => columns[0].validity = Some(vec![0xff; 64]),
        "add offsets to a number" => columns[0].offsets = vec![0; 4],
        "cut the offsets" => offsets.truncate(offsets.len() - 4),
        "add an offset" => offsets.extend_from_slice(&i32::MAX.to_le_bytes()),
        "overlap the offsets" => {
            let pairs = offsets[4..].chunks_exact_mut(4).zip([2i32, 1].into_iter().cycle());
            pairs.for_each(|(offset, end)| offset.copy_from_slice(&end.to_le_bytes()));
        }
        "answer numbers for text" => (last.offsets, last.values) = (Vec::new(), last.values.repeat(8)),
        "cut an offset" => offsets.truncate(offsets.len() - 1),
        "start the offsets at 1" => offsets[..4].copy_from_slice(&1i32.to_le_bytes()),
        "let an offset fall" => offsets[4..8].copy_from_slice(&i32::MAX.to_le_bytes()),
        "let an offset be negative" => offsets[4..8].copy_from_slice(&(-1i32).to_le_bytes()),
        "end past the values" => last.values.clear(),
        "answer bytes for text" => last.values.fill(0xff),
        _ => {}
    }
}

/// Whether a number among those of the first column is the one that some behaviours are afraid of.
fn has_bad_row(columns: &[Column]) -> bool {
    columns[0].values.as_chunks::<8>().0.contains(&(-7i64).to_le_bytes())
}

/// Each row `times` times.
fn explode(produced: &mut Produced, times: u32) {
    let rows = produced.rows;
    let of_each = |row: u32| std::iter::repeat_n(row as i32, times as usize);
    produced.selection = Some((0..rows).flat_map(of_each).flat_map(i32::to_le_bytes).collect());
    produced.rows = rows * times;
    for column in &mut produced.columns {
        let width = if column.offsets.is_empty() { 8 * times as usize } else { 0 };
        *column = Column {
            validity: None,
            offsets: if width == 0 { vec![0; (produced.rows as usize + 1) * 4] } else { Vec::new() },
            values: vec![0; rows as usize * width],
        };
    }
}

/// As a guest's memory-unsafe language may answer: a pointer to where it has no memory.
fn wild() -> Column {
    // SAFETY: there is none; the host refuses to read it, and nothing in the guest runs afterwards.
    let values = unsafe { Vec::from_raw_parts(0xf000_0000 as *mut u8, 1 << 20, 1 << 20) };
    Column { validity: None, offsets: Vec::new(), values }
}

fn select_first(produced: &mut Produced) {
    explode(produced, 1);
    produced.rows = 1;
    produced.selection = Some(0i32.to_le_bytes().to_vec());
    for column in &mut produced.columns {
        column.values.truncate(8);
        column.offsets.truncate(8);
    }
}

/// Rejects rows, and answers none.
fn reject(produced: &mut Produced, rows: u32, reason: &str) {
    produced.rows = 0;
    produced.selection = Some(Vec::new());
    for column in &mut produced.columns {
        column.validity = None;
        column.values.clear();
        column.offsets.truncate(4);
    }
    produced.rejected = (0..rows).map(|row| Rejection { row, reason: reason.to_owned() }).collect();
}

/// Through the host's codec and back.
fn recode(columns: &mut [Column]) {
    for column in columns.iter_mut().filter(|column| !column.offsets.is_empty()) {
        (column.offsets, column.values) = text::encode(&text::decode(&column.offsets, &column.values));
    }
}
