//! Statements of boards: one that only reads, or the reason why it is refused.
//!
//! The words are taken apart as the server does it, so that nothing that it would run hides in a text, a comment or a quoted name.
//! What can't be told apart for sure is refused.

use std::collections::BTreeSet;
use std::time::Duration;

use super::dialect::Dialect;
use crate::query::{Query, QueryError, StatementNames};

/// Queries that a connection runs at a time. Fewer: a slow panel holds up the others. More: a server's processors are busy with these
/// already, and are there for the flushes first.
pub(crate) const READ_AT_ONCE: u32 = 4;

/// Wait for the server to end a query whose time is up, before it is left. Shorter: nobody hears the server's own word. Longer: a
/// board waits for a server that hangs.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// The longest statement, in bytes. Shorter: generated ones are refused. Longer: the server's own limits come first.
const MAX_BYTES: usize = 64 << 10;

/// Words that no statement that only reads has outside of quotes: both servers have them reserved.
const WRITES: [&str; 5] = ["into", "outfile", "dumpfile", "update", "delete"];

/// Pairs of words that take locks, or numbers from a sequence.
const PAIRS: [(&str, &str); 4] = [("for", "share"), ("lock", "in"), ("next", "value"), ("previous", "value")];

/// Functions that do something besides answering, read files, wait, or make texts of any size.
const FUNCTIONS: [&str; 33] = [
    "get_lock",
    "release_lock",
    "release_all_locks",
    "is_free_lock",
    "is_used_lock",
    "load_file",
    "sleep",
    "benchmark",
    "master_pos_wait",
    "source_pos_wait",
    "master_gtid_wait",
    "wait_for_executed_gtid_set",
    "wait_until_sql_thread_after_gtids",
    "asynchronous_connection_failover_reset",
    "group_replication_set_as_primary",
    "nextval",
    "setval",
    "lastval",
    "sys_exec",
    "sys_eval",
    "sys_get",
    "sys_set",
    "repeat",
    "space",
    "load_extension",
    "readfile",
    "writefile",
    "edit",
    "fts3_tokenizer",
    "randomblob",
    "zeroblob",
    "random_bytes",
    "last_insert_id",
];

/// A statement as it is sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadStatement {
    /// The text, with `?` in place of each parameter.
    pub(crate) text: String,
    pub(crate) names: StatementNames,
}

/// Part of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// A quoted name, without its quotes.
    Name(&'a str),
    Text,
    Parameter(&'a str),
    Symbol(char),
}

impl ReadStatement {
    /// Takes a statement apart.
    ///
    /// # Errors
    /// It isn't one statement that only reads.
    pub(crate) fn parse(dialect: Dialect, sql: &str) -> Result<ReadStatement, QueryError> {
        statement(dialect, sql).map_err(QueryError::Refused)
    }

    /// The values of the parameters, in the order of the marks.
    pub(crate) fn values<'a>(&self, query: &'a Query) -> Result<Vec<&'a str>, QueryError> {
        let value = |name: &String| {
            let value = query.parameters.get(name.as_str()).map(String::as_str);
            value.ok_or_else(|| QueryError::Refused(format!("there is no parameter :{name}")))
        };
        self.names.parameters.iter().map(value).collect()
    }
}

fn statement(dialect: Dialect, sql: &str) -> Result<ReadStatement, String> {
    if sql.len() > MAX_BYTES {
        return Err(format!("the statement has more than {MAX_BYTES} bytes"));
    }
    if sql.contains('\0') {
        return Err("the statement has a character of zero in it".to_owned());
    }
    let mut lexer = Lexer { dialect, sql, at: 0 };
    let (mut text, mut tokens, mut copied) = (String::with_capacity(sql.len()), Vec::new(), 0);
    let mut ended = false;
    while let Some((from, token)) = lexer.next()? {
        if ended {
            return Err("there are several statements: a panel has one".to_owned());
        }
        match token {
            Token::Symbol(';') => {
                ended = true;
                text.push_str(&sql[copied..from]);
                copied = sql.len();
                continue;
            }
            Token::Parameter(_) => {
                text.push_str(&sql[copied..from]);
                text.push('?');
                copied = lexer.at;
            }
            _ => {}
        }
        tokens.push(token);
    }
    text.push_str(&sql[copied..]);
    check(&tokens)?;
    Ok(ReadStatement { text, names: names(&tokens) })
}

/// Reports the first word that a statement which only reads doesn't have.
fn check(tokens: &[Token<'_>]) -> Result<(), String> {
    let first = tokens.iter().find(|token| **token != Token::Symbol('('));
    match first {
        Some(Token::Word(word)) if is(word, "select") || is(word, "with") => {}
        Some(Token::Word(word)) => {
            return Err(format!(
                "it begins with {}, and a panel only reads: begin with SELECT or WITH",
                word.to_uppercase()
            ));
        }
        _ => return Err("there is no statement: begin with SELECT or WITH".to_owned()),
    }
    let behind = tokens.iter().skip(1).map(Some).chain([None]);
    for (token, behind) in tokens.iter().zip(behind) {
        let is_called = behind == Some(&Token::Symbol('('));
        match *token {
            Token::Word(word) if WRITES.iter().any(|writes| is(word, writes)) => {
                return Err(format!(
                    "it has the word {}, and a panel only reads (a column of that name is put in quotes)",
                    word.to_uppercase()
                ));
            }
            Token::Word(word) | Token::Name(word)
                if is_called && FUNCTIONS.iter().any(|function| is(word, function)) =>
            {
                return Err(format!(
                    "it calls {}, which a panel may not, since it does more than answer",
                    word.to_uppercase()
                ));
            }
            Token::Word(word) => {
                let pair = PAIRS
                    .iter()
                    .find(|(one, other)| is(word, one) && matches!(behind, Some(Token::Word(next)) if is(next, other)));
                if let Some((one, other)) = pair {
                    let pair = format!("{one} {other}").to_uppercase();
                    return Err(format!("it has the words {pair}, which take a lock or a number: a panel only reads"));
                }
            }
            Token::Symbol('?') => return Err("it has a `?`: parameters have names, such as :now".to_owned()),
            Token::Symbol('@') => return Err("it has a variable (`@`), and a panel has none".to_owned()),
            Token::Symbol('$') => return Err("it has a `$`: parameters have names, such as :now".to_owned()),
            Token::Symbol('\\') => return Err("it has a `\\` outside of a text".to_owned()),
            _ => {}
        }
    }
    Ok(())
}

fn names(tokens: &[Token<'_>]) -> StatementNames {
    let mut names = StatementNames { parameters: Vec::new(), words: BTreeSet::new() };
    for token in tokens {
        match *token {
            Token::Parameter(name) => names.parameters.push(name.to_owned()),
            Token::Word(word) | Token::Name(word) => drop(names.words.insert(word.to_lowercase())),
            Token::Text | Token::Symbol(_) => {}
        }
    }
    names
}

fn is(word: &str, other: &str) -> bool {
    word.eq_ignore_ascii_case(other)
}

struct Lexer<'a> {
    dialect: Dialect,
    sql: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// The next token, and where it begins; none at the end.
    fn next(&mut self) -> Result<Option<(usize, Token<'a>)>, String> {
        self.skip_blanks()?;
        let from = self.at;
        let Some(first) = self.rest().chars().next() else { return Ok(None) };
        let token = match first {
            '\'' => self.quoted('\'', self.dialect == Dialect::Mysql).map(|_| Token::Text)?,
            // In sessions of MySQL as they are set here (without ANSI_QUOTES) it is a text.
            '"' if self.dialect == Dialect::Mysql => self.quoted('"', true).map(|_| Token::Text)?,
            '"' => self.quoted('"', false).map(Token::Name)?,
            '`' => self.quoted('`', false).map(Token::Name)?,
            '[' if self.dialect == Dialect::Sqlite => self.quoted(']', false).map(Token::Name)?,
            ':' => self.parameter()?,
            c if is_word(c) => Token::Word(self.word()),
            c => {
                self.at += c.len_utf8();
                Token::Symbol(c)
            }
        };
        Ok(Some((from, token)))
    }

    fn rest(&self) -> &'a str {
        &self.sql[self.at..]
    }

    fn skip_blanks(&mut self) -> Result<(), String> {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            let rest = &rest[blank..];
            self.at += blank;
            let is_line = rest.starts_with('#') && self.dialect == Dialect::Mysql || self.is_dashes(rest);
            if is_line {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if let Some(comment) = rest.strip_prefix("/*") {
                // MySQL and MariaDB run what is in the first two, and the third changes the statement's limits.
                if ["!", "M!", "m!", "+"].iter().any(|runs| comment.starts_with(runs)) {
                    return Err("it has a comment that the server reads (`/*!` or `/*+`): leave it out".to_owned());
                }
                let end = comment.find("*/").ok_or("it has a comment without an end")?;
                self.at += end + 4;
            } else {
                return Ok(());
            }
        }
    }

    /// Says whether a comment to the end of the line begins. MySQL wants a blank behind the dashes.
    fn is_dashes(&self, rest: &str) -> bool {
        rest.strip_prefix("--").is_some_and(|behind| {
            let blank = behind.chars().next().is_none_or(|c| c.is_ascii_whitespace() || c.is_control());
            self.dialect == Dialect::Sqlite || blank
        })
    }

    /// What is between quotes; a quote that is written twice is one of the text.
    fn quoted(&mut self, end: char, escapes: bool) -> Result<&'a str, String> {
        let from = self.at + 1;
        let mut chars = self.sql[from..].char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == '\\' && escapes {
                chars.next();
            } else if c == end {
                let twice = end != ']' && chars.peek().is_some_and(|(_, next)| *next == end);
                if !twice {
                    self.at = from + at + 1;
                    return Ok(&self.sql[from..from + at]);
                }
                chars.next();
            }
        }
        Err(format!("it has a text or name that isn't ended by {end}"))
    }

    fn parameter(&mut self) -> Result<Token<'a>, String> {
        self.at += 1;
        let name = self.word();
        if name.is_empty() {
            return Err("it has a `:` without a parameter's name".to_owned());
        }
        Ok(Token::Parameter(name))
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !is_word(c) && c != '$').unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }
}

/// Says whether the character is of a word: also numbers are words here.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || !c.is_ascii() && !c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: [Dialect; 2] = [Dialect::Mysql, Dialect::Sqlite];

    fn refusal(dialect: Dialect, sql: &str) -> String {
        match ReadStatement::parse(dialect, sql) {
            Err(QueryError::Refused(words)) => words,
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn parameters_become_marks_in_their_order_and_texts_stay_as_they_are() {
        for dialect in BOTH {
            let sql = "SELECT a, ':now', `:x` /* :y */ FROM t WHERE at >= :today AND at<:now AND c = ':' -- :z\n;  ";
            let statement = ReadStatement::parse(dialect, sql).unwrap();
            let sent = "SELECT a, ':now', `:x` /* :y */ FROM t WHERE at >= ? AND at<? AND c = ':' -- :z\n";
            assert_eq!(statement.text, sent);
            assert_eq!(statement.names.parameters, ["today", "now"]);
            assert!(["a", "t", "at", "c", ":x"].iter().all(|word| statement.names.words.contains(*word)));
        }
    }

    #[test]
    fn statements_that_read_are_taken() {
        for sql in [
            "select 1",
            "(SELECT 1) UNION (SELECT 2);",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "SELECT REPLACE(a, 'x', 'y'), INSERT('a', 1, 1, 'b') FROM t",
            "SELECT `update`, t.`delete` FROM `into` AS t",
            "SELECT 'INTO OUTFILE; DELETE' AS sleep FROM t",
            "SELECT sleep, repeat FROM t",
            "SELECT a FROM t WHERE b = '礼物' -- INTO\n",
            "SELECT a/b, a-b, a<=b, a||b, a % b FROM t",
        ] {
            for dialect in BOTH {
                ReadStatement::parse(dialect, sql).unwrap();
            }
        }
    }

    #[test]
    fn whatever_is_not_one_statement_that_reads_is_refused() {
        for sql in [
            "",
            ";",
            "-- SELECT 1",
            "INSERT INTO t VALUES (1)",
            "CREATE TABLE t (a INT)",
            "PRAGMA user_version = 1",
            "ATTACH 'x' AS y",
            "VACUUM INTO 'x'",
            "SET GLOBAL max_connections = 1",
            "CALL p()",
            "DO SLEEP(1)",
            "EXPLAIN ANALYZE DELETE FROM t",
            "SELECT 1; SELECT 2",
            "SELECT 1;; ",
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "SELECT 1 into @a",
            "SELECT @a",
            "SELECT @@version",
            "SELECT * FROM t FOR UPDATE",
            "SELECT * FROM t FOR/**/SHARE",
            "SELECT * FROM t LOCK IN SHARE MODE",
            "WITH a AS (SELECT 1) DELETE FROM t",
            "WITH a AS (SELECT 1) UPDATE t SET a = 1",
            "SELECT GET_LOCK('a', 1)",
            "SELECT `sleep` (1)",
            "SELECT Sleep/* */(1)",
            "SELECT load_file('/etc/passwd')",
            "SELECT load_extension('x')",
            "SELECT NEXT VALUE FOR s",
            "SELECT hex(zeroblob(1000000000))",
            "SELECT /*! SLEEP(1) */ 1",
            "SELECT /*M! SLEEP(1) */ 1",
            "SELECT /*+ MAX_EXECUTION_TIME(0) */ 1",
            "SELECT ?",
            "SELECT $1",
            "SELECT 'a",
            "SELECT /* a",
            "SELECT : a",
            "SELECT \\N",
            "SELECT 1\0",
        ] {
            for dialect in BOTH {
                assert!(!refusal(dialect, sql).is_empty());
            }
        }
        assert!(refusal(Dialect::Sqlite, &format!("SELECT '{}'", "x".repeat(MAX_BYTES))).contains("more than"));
    }

    #[test]
    fn quotes_are_those_of_the_dialect() {
        // A backslash is a character of SQLite's texts, and an escape in MySQL's.
        assert!(refusal(Dialect::Sqlite, r"SELECT '\' INTO OUTFILE '' FROM t").contains("INTO"));
        ReadStatement::parse(Dialect::Mysql, r"SELECT '\'', 1 FROM t").unwrap();
        ReadStatement::parse(Dialect::Mysql, r"SELECT '\' INTO OUTFILE ', 1 FROM t").unwrap();
        // SQLite ends these names where MySQL has none.
        assert!(refusal(Dialect::Sqlite, "SELECT [a'] INTO x, [']").contains("INTO"));
        // MySQL takes dashes without a blank for two minuses.
        assert!(refusal(Dialect::Mysql, "SELECT 1 --1 INTO @a").contains("INTO"));
        ReadStatement::parse(Dialect::Sqlite, "SELECT 1 --1 INTO a").unwrap();
        ReadStatement::parse(Dialect::Mysql, "SELECT 1 # INTO @a").unwrap();
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_without_a_panic(sql in r#"(SELECT )?[ a-z'"`\\\[\]:;?/*#-]{0,40}"#) {
            for dialect in BOTH {
                drop(ReadStatement::parse(dialect, &sql));
            }
        }

        #[test]
        fn no_text_hides_a_second_statement(text in r#"[ a-z'"`:;/*#-]{0,20}"#) {
            for dialect in BOTH {
                let sql = format!("SELECT '{}' FROM t; SELECT 1", text.replace('\'', "''"));
                prop_assert!(ReadStatement::parse(dialect, &sql).is_err());
            }
        }
    }
}
