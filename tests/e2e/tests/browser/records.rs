//! Records of the last hours, as a platform has them.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use serde_json::json;
use sluice_e2e::{ENTRIES, GIFTS, Site};

/// As the generator names them.
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

/// More than a browser's numbers hold exactly.
pub const LARGE: i64 = 9_007_199_254_740_993;
/// The type of the gift of which so many were given, long ago.
pub const LARGE_TYPE: i64 = 77;

const HOUR: u64 = 3600;

/// Sends this many entries, of the last day, and gifts, of the last eight hours.
pub fn send(site: &Site, number: usize) {
    let mut random = fastrand::Rng::with_seed(7);
    let arrivals = moments(&busy(number, 24 * HOUR, &mut random));
    let gifts = moments(&busy(number, 8 * HOUR, &mut random));
    let entries: Vec<String> = arrivals.iter().enumerate().map(|(i, time)| entry(i, time, &mut random)).collect();
    site.send(ENTRIES, &entries);
    let gifts: Vec<String> = gifts.iter().map(|time| gift(time, &mut random)).collect();
    site.send(GIFTS, &gifts);
}

/// So many times ago in seconds, within the last `most`: some parts of it are busier than others.
fn busy(number: usize, most: u64, random: &mut fastrand::Rng) -> Vec<u64> {
    let mut times = Vec::with_capacity(number);
    while times.len() < number {
        let share = random.f64();
        let likely = 0.55 + 0.25 * (share * 9.0).sin() + 0.2 * (share * 23.0).cos();
        if random.f64() < likely {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is less than a day")]
            times.push(60 + (share * (most - 60) as f64) as u64);
        }
    }
    times
}

fn entry(i: usize, time: &str, random: &mut fastrand::Rng) -> String {
    let user = random.i64(2000..3400);
    // Some provinces have more viewers than others, and all have some; so have grades.
    let province = if i < PROVINCES.len() { i } else { random.usize(0..34).min(random.usize(0..40)) };
    let grade = [1, 1, 1, 2, 2, 2, 3, 3, 4, 5][user.unsigned_abs() as usize % 10];
    json!({
        "user_id": user, "ip": format!("123.0.0.{}", user % 255), "room_id": 20_210_813, "arrive_time": time, "create_time": time,
        "leave_time": time, "region": 1122, "grade": grade, "province": PROVINCES[province],
    })
    .to_string()
}

fn gift(time: &str, random: &mut fastrand::Rng) -> String {
    // Few give much.
    let user = 2000 + random.i64(0..60).min(random.i64(0..60)) * 37 % 1400;
    let (kind, amount) = (random.i64(1..11).max(random.i64(-5..11)), random.i64(40..61));
    json!({ "user_id": user, "gift_type": kind, "gift_total_amount": amount, "create_time": time, "update_time": time })
        .to_string()
}

/// A large gift of nobody, long ago: the ranking and the last hours don't show it.
pub fn large() -> String {
    let time = "2021-08-16 09:46:51";
    json!({ "user_id": null, "gift_type": LARGE_TYPE, "gift_total_amount": LARGE, "create_time": time, "update_time": time }).to_string()
}

/// One gift of now.
pub fn gift_of_now(kind: i64, amount: i64) -> String {
    let time = &moments(&[0])[0];
    json!({ "user_id": 2001, "gift_type": kind, "gift_total_amount": amount, "create_time": time, "update_time": time })
        .to_string()
}

/// The moments so many seconds ago, as the records have them, in UTC.
pub fn moments(ago: &[u64]) -> Vec<String> {
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    let mut date = Command::new("date");
    date.args(["-u", "-f", "-", "+%F %T"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut date = date.spawn().unwrap();
    let asked: String = ago.iter().map(|ago| format!("@{}\n", now - ago)).collect();
    let mut into = date.stdin.take().unwrap();
    // It answers while it reads.
    let writer = std::thread::spawn(move || into.write_all(asked.as_bytes()).unwrap());
    let answer = date.wait_with_output().unwrap();
    writer.join().unwrap();
    String::from_utf8(answer.stdout).unwrap().lines().map(str::to_owned).collect()
}
