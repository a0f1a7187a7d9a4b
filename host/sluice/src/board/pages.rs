//! Pages as HTML: tables that can be read as they are, and which the page's script draws over.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::assets;
use super::file::Words;
use super::health::State;
use super::observer::{Observed, now_ms};
use super::shown::{Shown, ShownPanel};

/// The languages of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Zh,
    En,
}

impl Language {
    /// The language that an address asks for, else the first that the browser takes.
    pub fn of(query: Option<&str>, accepted: Option<&str>) -> Language {
        let asked = query.into_iter().flat_map(|query| query.split('&')).find_map(|part| part.strip_prefix("lang="));
        let accepted =
            accepted.unwrap_or_default().split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
        let words = asked.into_iter().chain(accepted);
        let of = |word: &str| match word.get(..2).map(str::to_ascii_lowercase).as_deref() {
            Some("zh") => Some(Language::Zh),
            Some("en") => Some(Language::En),
            _ => None,
        };
        words.into_iter().find_map(of).unwrap_or(Language::En)
    }

    fn code(self) -> &'static str {
        match self {
            Language::Zh => "zh",
            Language::En => "en",
        }
    }

    fn word<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Language::Zh => zh,
            Language::En => en,
        }
    }

    fn of_words(self, words: &Words) -> &str {
        words.of(self.code())
    }
}

/// The page of a board.
pub fn board(shown: &Shown, language: Language) -> String {
    let title = language.of_words(&shown.board.title);
    let mut body = format!("<h1>{}</h1>\n", escaped(title));
    if let Some(error) = &shown.board.error {
        let _ = writeln!(body, "<p class=\"error\">{}</p>", escaped(error));
    }
    for panel in &shown.panels {
        section(&mut body, panel, language);
    }
    let _ = writeln!(body, "<p><a href=\"/pipelines\">{}</a></p>", language.word("流水线", "Pipelines"));
    whole(language, title, Some(("board", &shown.board.name)), &body)
}

fn section(body: &mut String, panel: &ShownPanel, language: Language) {
    let content = &panel.content;
    let unit = content.unit.as_ref().map(|unit| format!(" ({})", language.of_words(unit))).unwrap_or_default();
    let _ = writeln!(body, "<section>\n<h2>{}{}</h2>", escaped(language.of_words(&content.title)), escaped(&unit));
    let _ = writeln!(
        body,
        "<p class=\"health\" data-state=\"{}\">{}</p>",
        state_word(panel.health.state),
        escaped(&age(panel, language))
    );
    if let Some(error) = &content.error {
        let _ = writeln!(body, "<p class=\"error\">{}</p>", escaped(error));
    }
    body.push_str("<table>\n<thead><tr>");
    for column in &content.columns {
        let _ = write!(body, "<th scope=\"col\">{}</th>", escaped(&column.name));
    }
    body.push_str("</tr></thead>\n<tbody>\n");
    for row in &content.rows {
        body.push_str("<tr>");
        for (cell, column) in row.iter().zip(&content.columns) {
            let class = if column.of == "number" { " class=\"number\"" } else { "" };
            let _ = write!(body, "<td{class}>{}</td>", escaped(&text(cell, column.of)));
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</tbody>\n</table>\n");
    if content.truncated {
        let _ = writeln!(
            body,
            "<p>{}</p>",
            language.word("还有更多行未显示。", "There are more rows, which aren't shown.")
        );
    }
    body.push_str("</section>\n");
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Unknown => "unknown",
        State::Lagging => "lagging",
        State::Stale => "stale",
        State::Held => "held",
        State::Disabled => "disabled",
        State::Stopped => "stopped",
    }
}

fn age(panel: &ShownPanel, language: Language) -> String {
    let seconds = |at: i64| ((now_ms() - at) / 1_000).max(0);
    let data = match panel.health.data_at.map(seconds) {
        Some(age) => language.word("数据为 {} 秒前", "data of {} s ago").replace("{}", &age.to_string()),
        None => language.word("数据时间未知", "age of the data not known").to_owned(),
    };
    if panel.health.state == State::Ok {
        data
    } else {
        format!("{}: {} ({data})", state_word(panel.health.state), panel.health.why)
    }
}

fn text(cell: &Json, of: &str) -> String {
    match cell {
        Json::Null => "–".to_owned(),
        Json::String(text) if of == "time" => text.replacen('T', " ", 1),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The page of all pipelines, or of one.
pub fn pipelines(all: &[Observed], one: Option<&str>, language: Language) -> String {
    let title = one.unwrap_or(language.word("流水线", "Pipelines"));
    let mut body = format!("<h1>{}</h1>\n<table>\n<thead><tr>", escaped(title));
    let heads = [
        ("流水线", "pipeline"),
        ("状态", "state"),
        ("每秒记录", "records/s"),
        ("积压", "lag"),
        ("代", "generation"),
        ("拒绝", "rejected"),
        ("来源", "source"),
        ("说明", "why"),
    ];
    for (zh, en) in heads {
        let _ = write!(body, "<th scope=\"col\">{}</th>", language.word(zh, en));
    }
    body.push_str("</tr></thead>\n<tbody>\n");
    for of in all.iter().filter(|of| one.is_none_or(|name| of.snapshot.name == name)) {
        let (snapshot, figures) = (&of.snapshot, &of.snapshot.figures);
        let unknown = |number: Option<u64>| number.map_or("–".to_owned(), |number| number.to_string());
        let cells = [
            snapshot.name.clone(),
            format!("{:?}", snapshot.activity.state).to_lowercase(),
            format!("{:.0}", snapshot.rate),
            unknown(figures.lag),
            unknown(snapshot.deployed.operator.as_ref().map(|operator| operator.generation)),
            figures.rejected.to_string(),
            super::health::source(of),
            snapshot.activity.reason.clone().unwrap_or_default(),
        ];
        body.push_str("<tr>");
        for (index, cell) in cells.iter().enumerate() {
            let cell = escaped(cell);
            let _ = match index {
                0 => write!(body, "<td><a href=\"/pipelines/{cell}\">{cell}</a></td>"),
                _ => write!(body, "<td>{cell}</td>"),
            };
        }
        body.push_str("</tr>\n");
    }
    let _ = writeln!(body, "</tbody>\n</table>\n<p><a href=\"/\">{}</a></p>", language.word("看板", "Boards"));
    let data = one.map_or(("pipelines", ""), |name| ("pipeline", name));
    whole(language, title, Some(data), &body)
}

/// The page where there is no board.
pub fn none(directory: &str, language: Language) -> String {
    let title = language.word("还没有看板", "There is no board yet");
    let example = "title = \"Gifts\"\n\n[[panel]]\ntitle = \"Gifts by type\"\nconnection = \"livedb\"\nchart = \"bar\"\nsql = \"SELECT gift_type, gift_total_amount FROM live_gift_total_amount\"\n";
    let body = format!(
        "<h1>{title}</h1>\n<p>{} <code>{}</code></p>\n<pre>{}</pre>\n<p><a href=\"/pipelines\">{}</a></p>\n",
        language.word("写一个文件，例如 gifts.toml，放在目录", "Write a file such as gifts.toml into the directory"),
        escaped(directory),
        escaped(example),
        language.word("流水线", "Pipelines"),
    );
    whole(language, title, None, &body)
}

/// A page that says what is wrong.
pub fn error(message: &str, language: Language) -> String {
    let body = format!("<h1>{}</h1>\n<p><a href=\"/\">{}</a></p>\n", escaped(message), language.word("看板", "Boards"));
    whole(language, message, None, &body)
}

fn whole(language: Language, title: &str, data: Option<(&str, &str)>, body: &str) -> String {
    let attributes = data
        .map(|(page, name)| format!(" data-page=\"{}\" data-name=\"{}\"", escaped(page), escaped(name)))
        .unwrap_or_default();
    format!(
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{} · Sluice</title>\n{}\n</head>\n\
         <body{attributes}>\n<main id=\"page\" class=\"plain\">\n{body}</main>\n</body>\n</html>\n",
        language.code(),
        escaped(title),
        assets::head(),
    )
}

/// A text as HTML, also between quotes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_decides_on_the_language_and_then_the_browser() {
        assert_eq!(Language::of(Some("kiosk=1&lang=zh"), Some("en")), Language::Zh);
        assert_eq!(Language::of(None, Some("de, zh-CN;q=0.8, en;q=0.5")), Language::Zh);
        assert_eq!(Language::of(Some("lang=xx"), Some("en-GB,zh")), Language::En);
        assert_eq!(Language::of(None, None), Language::En);
    }

    #[test]
    fn no_text_gets_out_of_its_place() {
        assert_eq!(escaped("<a b=\"c\" d='e'>&"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;");
    }
}
