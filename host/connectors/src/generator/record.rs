//! A record's fields, drawn as the original draws them and printed as Python prints them.

use std::fmt::Write as _;
use std::num::NonZeroU32;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::random::Random;

/// The original's room, and the first of several.
pub const FIRST_ROOM: u32 = 20_210_813;

/// The first user.
pub const FIRST_USER: u32 = 2000;

/// The original's users: up to 4000.
pub(super) const USERS: NonZeroU32 = NonZeroU32::MIN.saturating_add(2000);

/// The region of every entry.
const REGION: u32 = 1122;

/// The provinces where people are from.
const PROVINCES: [&str; 34] = [
    "北京",
    "广东",
    "山东",
    "江苏",
    "河南",
    "上海",
    "河北",
    "浙江",
    "香港",
    "陕西",
    "湖南",
    "重庆",
    "福建",
    "天津",
    "云南",
    "四川",
    "广西",
    "安徽",
    "海南",
    "江西",
    "湖北",
    "山西",
    "辽宁",
    "台湾",
    "黑龙江",
    "内蒙古",
    "澳门",
    "贵州",
    "甘肃",
    "青海",
    "新疆",
    "西藏",
    "吉林",
    "宁夏",
];

/// A time as a clock on the wall shows it, to the second.
///
/// The program reads the local clock; tests make up theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallClock {
    /// Seconds that the clock on the wall has gone on since it showed 1970-01-01 00:00:00: local time, so this is Unix
    /// time only in UTC.
    pub seconds: i64,
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Number(u32),
    /// The address of the user of this id.
    Ip(u32),
    /// The time of the record.
    Now,
    /// The time of the record with these microseconds.
    NowAnd(u32),
    /// The province of this index.
    Province(usize),
    /// An object in the object.
    Nested,
}

/// The names of the provinces as JSON of ASCII letters.
pub(super) struct Provinces(Vec<String>);

impl Provinces {
    pub fn escaped() -> Provinces {
        let escape = |name: &&str| {
            name.encode_utf16().fold(String::new(), |mut text, unit| {
                // Writing to a String can't fail.
                let _ = write!(text, "\\u{unit:04x}");
                text
            })
        };
        Provinces(PROVINCES.iter().map(escape).collect())
    }
}

/// The text of the last time that was printed: a second's records share it.
struct Shown {
    clock: WallClock,
    text: String,
}

/// A record's fields in order; made once, drawn anew for each record.
#[derive(Default)]
pub(super) struct Record {
    pub fields: Vec<(&'static str, Value)>,
    shown: Option<Shown>,
}

impl Record {
    /// Fills in the record of a visitor who enters one of the rooms.
    pub fn draw_entry(&mut self, random: &mut Random, users: NonZeroU32, rooms: NonZeroU32) {
        let user = draw_user(random, users);
        let province = random.below(PROVINCES.len() as u32) as usize;
        let room = FIRST_ROOM.saturating_add(random.below(rooms.get()));
        self.fields.clear();
        self.fields.extend([
            ("user_id", Value::Number(user)),
            ("ip", Value::Ip(user)),
            ("room_id", Value::Number(room)),
            ("arrive_time", Value::Now),
            ("create_time", Value::Now),
            ("leave_time", Value::Now),
            ("region", Value::Number(REGION)),
            ("grade", Value::Number(user % 5 + 1)),
            ("province", Value::Province(province)),
        ]);
    }

    /// Fills in the record of a visitor who gives a gift.
    pub fn draw_gift(&mut self, random: &mut Random, users: NonZeroU32) {
        let user = draw_user(random, users);
        self.fields.clear();
        self.fields.extend([
            ("user_id", Value::Number(user)),
            ("gift_type", Value::Number(random.between(1, 10))),
            ("gift_total_amount", Value::Number(random.between(1, 100))),
            ("create_time", Value::Now),
            ("update_time", Value::Now),
        ]);
    }

    /// Appends the record as `json.dumps` prints it.
    pub fn write(&mut self, now: WallClock, provinces: &Provinces, out: &mut Vec<u8>) {
        let time = show(&mut self.shown, now);
        out.push(b'{');
        for (i, (name, value)) in self.fields.iter().enumerate() {
            out.extend_from_slice(if i == 0 { b"\"" } else { b", \"" });
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\": ");
            write_value(*value, time, provinces, out);
        }
        out.push(b'}');
    }
}

fn draw_user(random: &mut Random, users: NonZeroU32) -> u32 {
    FIRST_USER.saturating_add(random.below(users.get()))
}

fn show(shown: &mut Option<Shown>, now: WallClock) -> &str {
    let stale = shown.as_ref().is_none_or(|shown| shown.clock != now);
    if stale {
        // A clock beyond the calendar's 10,000 years shows 1970.
        let time = TimeZone::UTC.to_datetime(Timestamp::from_second(now.seconds).unwrap_or_default());
        *shown = Some(Shown { clock: now, text: time.strftime("%Y-%m-%d %H:%M:%S").to_string() });
    }
    shown.as_ref().map_or("", |shown| &shown.text)
}

fn write_value(value: Value, time: &str, provinces: &Provinces, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Number(number) => write_number(number, out),
        Value::Ip(user) => {
            out.extend_from_slice(b"\"123.0.0.");
            write_number(user % 255, out);
            out.push(b'"');
        }
        Value::Now => write_text(&[time], out),
        Value::NowAnd(micros) => write_text(&[time, &format!(".{micros:06}")], out),
        Value::Province(index) => write_text(&[provinces.0.get(index).map_or("", String::as_str)], out),
        Value::Nested => {
            out.extend_from_slice(br#"{"os": "android", "version": [14, 1], "screen": {"width": 1080, "dark": true}}"#);
        }
    }
}

fn write_number(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn write_text(parts: &[&str], out: &mut Vec<u8>) {
    out.push(b'"');
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}
