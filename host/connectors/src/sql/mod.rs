//! The parts that the SQL databases share: the words of their statements, and whether a table takes what a pipeline writes.
//!
//! ```text
//! Target + fields ──▶ UpsertPlan ──create_table──▶ DDL
//!                        │  check(Table, as the server describes it) ──▶ constraints, or every problem as a sentence
//!                        └───────────▶ Upsert: statement texts; chunks(values) ──▶ ranges of rows, one statement each
//! ```
//!
//! No I/O here: the folders `mysql` and `sqlite` ask the server and bind the values.

mod checkpoint;
mod dialect;
mod fit;
mod letterbox;
mod letters;
pub(crate) mod lookup;
mod plan;
pub(crate) mod rows;
mod runtime;
mod search;
mod statement;
mod table;
mod upsert;
mod values;

pub(crate) use checkpoint::{CheckpointRow, CheckpointSql, TransactionPoint, line, written};
pub(crate) use dialect::Dialect;
pub(crate) use letterbox::{Session, TableLetters};
pub(crate) use letters::{Argument, LetterSql, Statement, letter, target as letter_target};
pub(crate) use plan::UpsertPlan;
pub(crate) use runtime::runtime;
pub(crate) use search::{Inserted, Search, Words};
pub(crate) use statement::{GRACE, READ_AT_ONCE, ReadStatement};
pub(crate) use table::{Alike, Column, Digits, Table, UniqueIndex};
pub(crate) use upsert::{Upsert, statement_bytes};
pub(crate) use values::Values;
