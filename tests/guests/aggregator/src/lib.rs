//! The sum of `amount` for each `gift`, by hand; and, as its configuration says (`{"do": "…"}`), folds that are at fault.

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "aggregator", additional_derives: [PartialEq] });
}

use std::sync::OnceLock;

use bindings::exports::sluice::operator::{fold, transform};
use bindings::sluice::operator::types::{Batch, Column, Field, Kind};

/// What the configuration of `open` said to do.
static BEHAVIOUR: OnceLock<String> = OnceLock::new();

fn behaviour() -> &'static str {
    BEHAVIOUR.get().map_or("", String::as_str)
}

struct Aggregator;

impl transform::Guest for Aggregator {
    fn open(config: String, input: Vec<Field>) -> Result<transform::Plan, String> {
        BEHAVIOUR.get_or_init(|| config.split('"').nth(3).unwrap_or_default().to_owned());
        let column = |name: &str| {
            let index = input.iter().position(|field| field.name == name);
            index.map(|index| index as u32).ok_or_else(|| format!("no column `{name}`"))
        };
        let kind = if behaviour() == "answer NaN keys" { Kind::Float64 } else { Kind::Utf8 };
        let gift = transform::Output { name: "gift".into(), origin: transform::Origin::Computed(kind) };
        let amount = transform::Output { name: "amount".into(), origin: transform::Origin::Input(column("amount")?) };
        Ok(transform::Plan { reads: vec![column("gift")?], outputs: vec![gift, amount] })
    }

    fn process(input: Batch) -> Result<transform::Produced, String> {
        let gifts = &input.columns[0];
        if behaviour() == "answer NaN keys" {
            // Each gift another one of the bit patterns that are not a number.
            let values = int64(gifts).flat_map(|gift| (f64::NAN.to_bits() | gift as u64 & 7).to_le_bytes()).collect();
            let column = Column { validity: None, offsets: Vec::new(), values };
            return Ok(transform::Produced {
                rows: input.rows,
                columns: vec![column],
                selection: None,
                rejected: Vec::new(),
            });
        }
        let mut offsets = 0i32.to_le_bytes().to_vec();
        offsets.reserve(4 * input.rows as usize);
        let mut values = Vec::with_capacity(4 * input.rows as usize);
        for gift in int64(gifts) {
            push_decimal(&mut values, gift);
            offsets.extend_from_slice(&(values.len() as i32).to_le_bytes());
        }
        let column = Column { validity: gifts.validity.clone(), offsets, values };
        Ok(transform::Produced { rows: input.rows, columns: vec![column], selection: None, rejected: Vec::new() })
    }
}

impl fold::Guest for Aggregator {
    fn open(_config: String, _input: Vec<Field>) -> Result<fold::Plan, String> {
        let sum = || Field { name: "sum".into(), kind: Kind::Int64 };
        let mut plan =
            fold::Plan { keys: vec![0], values: vec![1], state: vec![sum()], state_version: 2, outputs: vec![sum()] };
        match behaviour() {
            "refuse to fold" => return Err("nothing to add".to_owned()),
            "trap in the fold's open" => panic!("trap in the fold's open"),
            "group by a column that is not there" => plan.keys[0] = 2,
            "add a column that is not there" => plan.values[0] = 2,
            "keep no state" => plan.state.clear(),
            "keep two states alike" => plan.state.push(sum()),
            "grow for ever" => plan.state.push(Field { name: "seen".into(), kind: Kind::Binary }),
            "name an output as a key" => plan.outputs[0].name = "gift".into(),
            "plan no result" => (plan.keys, plan.outputs) = (Vec::new(), Vec::new()),
            _ => {}
        }
        Ok(plan)
    }

    fn accumulate(groups: Vec<u8>, values: Batch, states: Batch) -> Result<Vec<Column>, String> {
        let mut sums = sums(&states.columns[0]);
        let amounts = &values.columns[0];
        for (row, (group, amount)) in groups.as_chunks::<4>().0.iter().zip(int64(amounts)).enumerate() {
            if is_valid(amounts, row) {
                let sum = &mut sums[i32::from_le_bytes(*group) as usize];
                *sum = Some(sum.unwrap_or(0).checked_add(amount).ok_or("the sum overflows")?);
            }
        }
        match behaviour() {
            "trap in accumulate" => panic!("trap in accumulate"),
            "trap on an amount" if int64(amounts).any(|amount| amount == -7) => panic!("trap on an amount"),
            "make up a group" => sums.push(Some(1)),
            "grow for ever" => return Ok(vec![column(&sums), grown(&groups, &states.columns[1])]),
            "forget a group" => drop(sums.pop()),
            "answer two states" => return Ok(vec![column(&sums), column(&sums)]),
            _ => {}
        }
        Ok(vec![column(&sums)])
    }

    fn merge(left: Batch, right: Batch) -> Result<Vec<Column>, String> {
        if behaviour() == "prefer the left in merge" {
            return Ok(left.columns);
        }
        let both = sums(&left.columns[0]).into_iter().zip(sums(&right.columns[0]));
        let merged = both.map(|pair| match pair {
            (Some(left), Some(right)) => left.checked_add(right).map(Some).ok_or("the sum overflows"),
            (one, other) => Ok(one.or(other)),
        });
        Ok(vec![column(&merged.collect::<Result<Vec<_>, _>>()?)])
    }

    fn emit(states: Batch) -> Result<Vec<Column>, String> {
        let mut shown = sums(&states.columns[0]);
        match behaviour() {
            "emit nothing" => return Ok(Vec::new()),
            "emit a row more" => shown.push(None),
            "emit a row less" => drop(shown.pop()),
            "emit the rows of others" => shown.reverse(),
            "trap in emit" => panic!("trap in emit"),
            _ => {}
        }
        Ok(vec![column(&shown)])
    }

    /// Version 1 kept the sum as a float64.
    fn migrate(version: u32, state: Vec<Field>, states: Batch) -> Result<Vec<Column>, String> {
        if version != 1 || state.len() != 1 || state[0].kind != Kind::Float64 {
            return Err(format!("states of version {version} are unknown"));
        }
        let old = &states.columns[0];
        let floats = old.values.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
        let mut sums: Vec<_> = floats.enumerate().map(|(row, sum)| is_valid(old, row).then_some(sum as i64)).collect();
        match behaviour() {
            "trap in migrate" => panic!("trap in migrate"),
            "refuse to migrate" => return Err("it forgot how".to_owned()),
            "drop a group in migrate" => drop(sums.pop()),
            "swap groups in migrate" => sums.reverse(),
            _ => {}
        }
        Ok(vec![column(&sums)])
    }
}

/// Each group's bytes, and 64 more for each row of it.
fn grown(groups: &[u8], seen: &Column) -> Column {
    let rows = seen.offsets.len() / 4 - 1;
    let mut counts = vec![0; rows];
    groups.as_chunks::<4>().0.iter().for_each(|group| counts[i32::from_le_bytes(*group) as usize] += 1);
    let ends: Vec<i32> = seen.offsets.as_chunks::<4>().0.iter().map(|end| i32::from_le_bytes(*end)).collect();
    let (mut offsets, mut end) = (0i32.to_le_bytes().to_vec(), 0);
    for row in 0..rows {
        end += ends[row + 1] - ends[row] + 64 * counts[row];
        offsets.extend_from_slice(&end.to_le_bytes());
    }
    Column { validity: None, offsets, values: vec![1; end as usize] }
}

fn int64(column: &Column) -> impl Iterator<Item = i64> + '_ {
    column.values.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes))
}

fn is_valid(column: &Column, row: usize) -> bool {
    column.validity.as_ref().is_none_or(|bits| bits[row / 8] >> (row % 8) & 1 == 1)
}

fn sums(column: &Column) -> Vec<Option<i64>> {
    int64(column).enumerate().map(|(row, sum)| is_valid(column, row).then_some(sum)).collect()
}

fn column(sums: &[Option<i64>]) -> Column {
    let mut bits = vec![0; sums.len().div_ceil(8)];
    for (row, _) in sums.iter().enumerate().filter(|(_, sum)| sum.is_some()) {
        bits[row / 8] |= 1 << (row % 8);
    }
    let values = sums.iter().flat_map(|sum| sum.unwrap_or(0).to_le_bytes()).collect();
    Column { validity: sums.contains(&None).then_some(bits), offsets: Vec::new(), values }
}

fn push_decimal(text: &mut Vec<u8>, number: i64) {
    let (mut digits, mut start, mut rest) = ([0u8; 20], 20, number.unsigned_abs());
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        text.push(b'-');
    }
    text.extend_from_slice(&digits[start..]);
}

bindings::export!(Aggregator with_types_in bindings);
