//! Write a Sluice metric.
//!
//! A metric is a [`Transform`] over the rows of a source, and a [`Fold`] over what it makes: SQL's `SELECT` and
//! `GROUP BY`. The SDK makes columns of Arrow buffers into rows and back, and a WebAssembly component of the crate.
//!
//! ```text
//!            ┌────────────── the operator (one call a batch) ──────────────┐
//! columns ──▶│ row! In ──Transform::row──▶ row! Out │ Fold::add ──▶ state  │──▶ Fold::emit ──▶ rows of the table
//!            └─────────────────────────────────────────────────────────────┘
//! ```
//!
//! ```
//! use sluice_sdk::{Reject, Sum, Transform, fold, row};
//!
//! row! { pub struct Gift { user_id: i64 } }
//! row! { pub struct Given { user_id: i64, amount = untouched i64 } }
//!
//! /// `SELECT user_id, SUM(amount) AS total FROM gifts WHERE user_id IS NOT NULL GROUP BY user_id`
//! #[derive(Default)]
//! pub struct GiftByUser;
//!
//! impl Transform for GiftByUser {
//!     type In<'a> = Gift;
//!     type Out<'a> = Given;
//!
//!     fn row(&self, gift: Gift) -> Result<Given, Reject> {
//!         Ok(Given { user_id: gift.user_id })
//!     }
//! }
//!
//! fold! {
//!     GiftByUser: state version 1, group by user_id { total = Sum(amount) }
//! }
//!
//! sluice_sdk::aggregator!(GiftByUser);
//!
//! // A test, native, through the same code as in the host:
//! use sluice_sdk::testing::{Null, Trial, table};
//!
//! let gifts = table! {
//!     user_id: i64, amount: i64;
//!     [1, 10],
//!     [Null, 5],
//!     [1, 7],
//! };
//! let metric = Trial::<GiftByUser>::open("{}")?;
//! let result = metric.aggregate(&gifts)?;
//! assert_eq!(result.rows, table! { user_id: i64, total: i64; [1, 17] });
//! assert_eq!(result.rejected, [(1, "`user_id` is null".to_owned())]);
//! metric.check_laws(&gifts)?;
//! # Ok::<(), String>(())
//! ```

extern crate self as sluice_sdk;

pub mod aggregate;
pub mod cast;
#[doc(hidden)]
pub mod contract;
mod decimal;
#[doc(hidden)]
pub mod export;
mod fixed;
#[doc(hidden)]
pub mod fold;
pub mod log;
mod older;
#[doc(hidden)]
pub mod read;
mod reason;
#[doc(hidden)]
pub mod row;
mod schema;
pub mod testing;
mod text;
mod timestamp;
#[doc(hidden)]
pub mod transform;
#[doc(hidden)]
pub use wit_bindgen;
#[doc(hidden)]
pub mod write;

pub use aggregate::{Count, Sum};
pub use decimal::Decimal;
pub use fold::Fold;
pub use older::Older;
pub use read::Read;
pub use reason::{Fault, Reject};
pub use text::DecimalText;
pub use timestamp::{Date, Timestamp};
pub use transform::Transform;
pub use write::Write;
