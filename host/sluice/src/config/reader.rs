//! Reads one TOML file key by key and keeps all that is wrong with it.
//!
//! ```text
//! text ──toml──▶ Section ──optional, required, entries──▶ Item ──text, whole, table, …──▶ value
//!                                        └───────────── Sheet: problems ─────────────┘
//! ```
//!
//! serde stops at the first problem; whoever edits a file wants all of them. So a value that can't be had is `None`, its
//! problem is noted in the [`Sheet`], and reading goes on; the caller puts its parts together at the end, with `?`.

use std::cell::{Cell, RefCell};
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::environment::{Env, Unexpanded, expand};
use super::nearest::{one_of, suggest};
use super::problem::Problem;
use super::secret::veil;

/// The most characters of a value that a problem shows.
const MAX_SHOWN: usize = 60;

/// Result of reading a file.
pub struct Reading<T> {
    /// Value of the file, as far as it could be read.
    pub value: Option<T>,
    /// Problems, from top to bottom.
    pub problems: Vec<Problem>,
    /// True if the file is TOML at all. If not, the value comes from the parts around the broken places.
    pub well_formed: bool,
}

/// Reads a file's text; `read` is given its top level. Of a text that isn't TOML only the syntax errors are reported,
/// since anything else may be their consequence.
pub fn read<T>(file: &Path, text: &str, env: Env<'_>, read: impl FnOnce(&Section<'_>) -> Option<T>) -> Reading<T> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let value = DeValue::Table(table.into_inner());
    let sheet = Sheet { file, text, env, problems: RefCell::default() };
    let root = Item { sheet: &sheet, key: String::new(), at: None, value: &value, confidential: false, veiled: false };
    let value = root.table("a table", read);
    if errors.is_empty() {
        return Reading { value, problems: sheet.into_problems(), well_formed: true };
    }
    sheet.problems.borrow_mut().clear();
    for error in errors {
        // Its Display shows the line, which may hold a password; its message doesn't.
        let found = format!("a syntax error ({})", error.message());
        sheet.note(error.span().map(|span| span.start), String::new(), found, "valid TOML");
    }
    let mut problems = sheet.into_problems();
    // One slip often makes the parser stumble several times in a line; the first time says it.
    problems.dedup_by_key(|problem| problem.line);
    Reading { value, problems, well_formed: false }
}

/// The file being read, and its problems so far.
struct Sheet<'a> {
    file: &'a Path,
    text: &'a str,
    env: Env<'a>,
    problems: RefCell<Vec<Problem>>,
}

impl Sheet<'_> {
    fn note(&self, at: Option<usize>, key: String, found: impl Into<String>, want: impl Into<String>) {
        let before = at.and_then(|at| self.text.as_bytes().get(..at));
        let line = before.map(|before| before.iter().filter(|byte| **byte == b'\n').count() + 1);
        self.problems.borrow_mut().push(Problem { line, ..Problem::new(self.file, key, found, want) });
    }

    fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line);
        problems
    }
}

/// Value of the file with its place.
#[derive(Clone)]
pub struct Item<'a> {
    sheet: &'a Sheet<'a>,
    key: String,
    at: Option<usize>,
    value: &'a DeValue<'a>,
    confidential: bool,
    veiled: bool,
}

impl<'a> Item<'a> {
    /// Makes the value confidential: no problem shows anything of it.
    pub fn confidential(mut self) -> Item<'a> {
        self.confidential = true;
        self
    }

    /// Veils the value: wherever a message would show a variable's value that stands in its texts, it shows the variable's name.
    pub fn veiled(mut self) -> Item<'a> {
        self.veiled = true;
        self
    }

    /// Notes a problem of this value.
    pub fn problem(&self, found: impl Into<String>, want: impl Into<String>) {
        self.sheet.note(self.at, self.key.clone(), found, want);
    }

    /// Notes that this value isn't the wanted one, and shows it if it may be shown.
    pub fn wrong(&self, want: impl Into<String>) {
        self.problem(self.shown(), want);
    }

    /// Returns true if this is a table.
    pub fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// The value as TOML gave it.
    pub fn raw(&self) -> &'a DeValue<'a> {
        self.value
    }

    /// Returns the text of this string, with environment variables put in.
    pub fn text(&self, want: &str) -> Option<String> {
        let DeValue::String(text) = self.value else {
            self.wrong(want);
            return None;
        };
        let env = |name: &str| {
            let value = (self.sheet.env)(name);
            value.inspect(|value| self.veil(value, &format!("${{{name}}}")))
        };
        let unexpanded = match expand(text, &env) {
            Ok(text) => return Some(text),
            Err(unexpanded) => unexpanded,
        };
        for problem in unexpanded {
            match problem {
                Unexpanded::NotSet(name) => self.problem(
                    format!("${{{name}}}, which isn't set"),
                    format!("the environment variable {name} to be set, or $${{ for a literal ${{"),
                ),
                Unexpanded::Malformed => self.problem(
                    "a ${ without a variable's name and a closing }",
                    "${NAME} for an environment variable, or $${ for a literal ${",
                ),
            }
        }
        None
    }

    /// Hides `value` in all later messages: they show `instead`. Does so only if this item is [veiled](Item::veiled). A list of
    /// servers is hidden as a whole and one by one. Text that stands in the file itself is no secret, and may be another
    /// server's.
    pub fn veil(&self, value: &str, instead: &str) {
        let hidden = |part: &&str| self.veiled && !self.sheet.text.contains(*part);
        value.split(',').map(str::trim).chain([value]).filter(hidden).for_each(|part| veil(part, instead));
    }

    /// Parses this string's text with `parse`, which returns none if the text isn't what is wanted.
    pub fn parse<T>(&self, want: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = parse(&self.text(want)?);
        if value.is_none() {
            self.wrong(want);
        }
        value
    }

    /// Reads one of a few words.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let text = self.text(&one_of(&words))?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            self.wrong(suggest(&text, &words));
        }
        found
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.wrong("true or false");
        }
        value
    }

    /// A whole number within bounds.
    pub fn whole(&self, least: u32, most: u32) -> Option<u32> {
        let number = match self.value {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.wrong(format!("a whole number from {least} to {most}"));
        }
        number
    }

    /// A finite number.
    pub fn number(&self) -> Option<f64> {
        let number = match self.value {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        let number = number.filter(|number: &f64| number.is_finite());
        if number.is_none() {
            self.wrong("a number");
        }
        number
    }

    /// The elements of this array, at least one and at most `most`.
    pub fn list(&self, want: &str, most: usize) -> Option<Vec<Item<'a>>> {
        let DeValue::Array(elements) = self.value else {
            self.problem(self.sort(), want);
            return None;
        };
        if elements.is_empty() {
            self.problem("an empty array", want);
            return None;
        }
        if elements.len() > most {
            self.problem(format!("{} elements", elements.len()), format!("at most {most}"));
            return None;
        }
        Some(self.elements())
    }

    /// The elements, if this is an array.
    pub fn elements(&self) -> Vec<Item<'a>> {
        let elements = self.value.as_array().map_or(&[][..], |elements| elements.as_ref());
        let item = |(index, element): (usize, &'a toml::Spanned<DeValue<'a>>)| Item {
            key: format!("{}[{index}]", self.key),
            at: Some(element.span().start),
            value: element.get_ref(),
            ..self.clone()
        };
        elements.iter().enumerate().map(item).collect()
    }

    /// Reads this table with `read`. Keys that `read` didn't ask for are problems.
    pub fn table<T>(&self, want: &str, read: impl FnOnce(&Section<'a>) -> Option<T>) -> Option<T> {
        let DeValue::Table(table) = self.value else {
            self.problem(self.sort(), want);
            return None;
        };
        let (asked, open) = (RefCell::default(), Cell::new(false));
        let section = Section { item: self.clone(), table, asked, open };
        let value = read(&section);
        section.refuse_unknown();
        value
    }

    /// Names the type of this value. Where a table is wanted, the value itself is not shown: `mysql = "mysql://…"` is a likely
    /// slip.
    fn sort(&self) -> &'static str {
        match self.value {
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
            DeValue::String(_) => "a string",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a time",
        }
    }

    /// Returns the value as a problem may show it. For strings that is the file's own text, never a variable's value.
    pub fn shown(&self) -> String {
        match self.value {
            DeValue::Array(_) | DeValue::Table(_) => self.sort().to_owned(),
            _ if self.confidential => "a value that isn't shown, since it may be a secret".to_owned(),
            DeValue::String(text) => quote(text),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(time) => time.to_string(),
        }
    }
}

/// A table being read.
pub struct Section<'a> {
    item: Item<'a>,
    table: &'a DeTable<'a>,
    /// The keys that were asked for: the known ones.
    asked: RefCell<Vec<&'static str>>,
    /// True if every key is allowed here.
    open: Cell<bool>,
}

impl<'a> Section<'a> {
    /// The value of this key, if it is there.
    pub fn optional(&self, key: &'static str) -> Option<Item<'a>> {
        self.asked.borrow_mut().push(key);
        let (name, value) = self.table.get_key_value(key)?;
        Some(self.child(name.get_ref(), name.span().start, value.get_ref()))
    }

    /// Reads the value of this key with `read`; its absence is a problem.
    pub fn required<T>(&self, key: &'static str, want: &str, read: impl FnOnce(Item<'a>) -> Option<T>) -> Option<T> {
        match self.optional(key) {
            Some(item) => read(item),
            None => {
                self.item.sheet.note(self.item.at, self.key_of(key), "nothing", want);
                None
            }
        }
    }

    /// Reads the value of this key with `read`, or returns the default if the key isn't there.
    pub fn or<T>(&self, key: &'static str, default: T, read: impl FnOnce(Item<'a>) -> Option<T>) -> Option<T> {
        self.optional(key).map_or(Some(default), read)
    }

    /// Returns all keys and values, in the order of the file. After this call no key counts as unknown.
    pub fn entries(&self) -> Vec<(&'a str, Item<'a>)> {
        self.open.set(true);
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let entry = |(name, value): (&'a toml::Spanned<_>, &'a toml::Spanned<_>)| {
            let name_text: &'a std::borrow::Cow<'a, str> = name.get_ref();
            (name_text.as_ref(), self.child(name_text, name.span().start, value.get_ref()))
        };
        entries.into_iter().map(entry).collect()
    }

    /// Makes these keys known without reading them.
    pub fn allow(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend(keys);
    }

    /// Returns true if the table has no keys.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The table itself.
    pub fn item(&self) -> &Item<'a> {
        &self.item
    }

    fn child(&self, name: &str, at: usize, value: &'a DeValue<'a>) -> Item<'a> {
        Item { key: self.key_of(name), at: Some(at), value, ..self.item.clone() }
    }

    fn key_of(&self, name: &str) -> String {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let name = if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quote(name) };
        if self.item.key.is_empty() { name } else { format!("{}.{name}", self.item.key) }
    }

    fn refuse_unknown(&self) {
        if self.open.get() {
            return;
        }
        let known = self.asked.borrow();
        for (name, _) in self.table.iter().filter(|(name, _)| !known.contains(&name.get_ref().as_ref())) {
            let (at, key) = (Some(name.span().start), self.key_of(name.get_ref()));
            self.item.sheet.note(at, key, "an unknown key", suggest(name.get_ref(), &known));
        }
    }
}

/// Puts a text between quotes, without line breaks, and shortens it to fit a line.
pub fn quote(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
