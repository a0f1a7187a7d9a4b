//! Records as clients of an app send them: many fields, of which a job reads two.

/// A view of a room: 759 bytes, 27 fields, one of them an object and one an array, some in Chinese.
pub fn nested_view(number: usize) -> String {
    let nested = r#""device": {"os": "android", "network": "cellular-5g"}, "tags": [1201, 33, 478]"#;
    format!("{{{}, {nested}, {}}}", view(number), client(number))
}

/// The same without what is nested: 679 bytes.
pub fn flat_view(number: usize) -> String {
    format!("{{{}, {}}}", view(number), client(number))
}

fn view(number: usize) -> String {
    format!(
        r#""event_id": "{:016x}-{:08x}", "event": "room_enter", "ts": {}, "user_id": {}, "room_id": {}, "nick": "{}", "city": "{}", "level": {}, "vip": {}, "balance": {}.{:02}, "source": "recommend_feed", "session": "{:016x}", "referrer": "https://live.example.com/rooms/{}?from=feed""#,
        mixed(number, 11),
        mixed(number, 13) & 0xffff_ffff,
        1_629_107_281_000 + mixed(number, 3) % 100_000,
        2_000 + mixed(number, 3) % 2_000,
        100_000 + mixed(number, 9) % 9_000,
        ["小鱼儿的日常", "晚风与海", "北城旧梦人"][number % 3],
        ["浙江省杭州市", "广东省深圳市"][number % 2],
        10 + mixed(number, 5) % 60,
        number.is_multiple_of(3),
        mixed(number, 17) % 5_000,
        number % 100,
        mixed(number, 19),
        1_000 + mixed(number, 9) % 9_000,
    )
}

fn client(number: usize) -> String {
    format!(
        r#""app_version": "8.{}.1", "channel": "huawei_store", "title": "{}", "remark": null, "is_new": {}, "cost_ms": {}, "place": {}, "os_version": "13.0.{}", "model": "V2231A", "agent": "Mozilla/5.0 (Linux; Android 13; V2231A Build) LiveApp/8.3.1 Mobile NetType/5G", "carrier": "CMCC", "imei_hash": "{:016x}""#,
        number % 10,
        ["今晚八点不见不散", "新人主播求关注哦"][number % 2],
        number.is_multiple_of(2),
        100 + mixed(number, 23) % 900,
        10 + number % 40,
        number % 10,
        mixed(number, 29),
    )
}

/// A number that looks like chance, the same in each run.
fn mixed(number: usize, salt: u64) -> u64 {
    (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).wrapping_mul(salt | 1) >> 8
}
