//! Decimals and dates through a transform and a fold, as in the host.

use sluice_sdk::testing::{Null, Trial, table};
use sluice_sdk::{Date, Decimal, Reject, Sum, Timestamp, Transform, fold, row};

row! { struct Payment { paid_at: Timestamp, price: Decimal<10, 2> } }
row! { struct Paid { day: Date, price: Decimal<10, 2>, fee = untouched Decimal<38, 6> } }

/// Sums of payments by day.
#[derive(Default)]
struct Daily;

impl Transform for Daily {
    type In<'a> = Payment;
    type Out<'a> = Paid;

    fn row(&self, payment: Payment) -> Result<Paid, Reject> {
        let day = payment.paid_at.date().ok_or_else(|| Reject::because("no day of the calendar"))?;
        Ok(Paid { day, price: payment.price })
    }
}

fold! {
    Daily: state version 1, group by day {
        price = Sum<Decimal<10, 2>>(price),
        fee = Sum<Decimal<38, 6>>(fee),
    }
}

fn cents<const P: u8>(cents: i128) -> Decimal<P, 2> {
    Decimal::from_unscaled(cents).unwrap_or_default()
}

fn micros(fee: i128) -> Decimal<38, 6> {
    Decimal::from_unscaled(fee).unwrap_or_default()
}

fn at(day: i64) -> Timestamp {
    Timestamp::from_micros(day * 86_400_000_000 + 1)
}

#[test]
fn decimals_are_summed_by_date_whatever_the_batches() {
    let payments = table! {
        paid_at: Timestamp, price: Decimal<10, 2>, fee: Decimal<38, 6>;
        [at(0), cents(150), micros(1)],
        [at(-1), cents(-99), Null],
        [at(0), cents(9_999_999_999), micros(-3)],
        [Null, cents(1), micros(1)],
    };
    let metric = Trial::<Daily>::open("{}").unwrap();
    let result = metric.aggregate(&payments).unwrap();
    let expected = table! {
        day: Date, price: Decimal<38, 2>, fee: Decimal<38, 6>;
        [Date::new(1970, 1, 1).unwrap(), cents(10_000_000_149), micros(-2)],
        [Date::new(1969, 12, 31).unwrap(), cents(-99), Null],
    };
    assert_eq!(result.rows, expected);
    assert_eq!(result.rejected, [(3, "`paid_at` is null".to_owned())]);
    metric.check_laws(&payments).unwrap();
}

#[test]
fn a_sum_of_more_digits_than_38_is_an_error() {
    let payments = table! {
        paid_at: Timestamp, price: Decimal<10, 2>, fee: Decimal<38, 6>;
        [at(0), cents(0), Decimal::<38, 6>::MAX],
        [at(0), cents(0), micros(1)],
    };
    let refused = Trial::<Daily>::open("{}").unwrap().aggregate(&payments).unwrap_err();
    let most = "9".repeat(32);
    assert_eq!(refused, format!("`fee`: {most}.999999 + 0.000001 overflows decimal(38, 6)"));
}

#[test]
fn another_decimal_is_another_kind() {
    let payments = table! {
        paid_at: Timestamp, price: Decimal<10, 3>, fee: Decimal<38, 6>;
        [at(0), Decimal::<10, 3>::MAX, micros(1)],
    };
    let refused = Trial::<Daily>::open("{}").unwrap().aggregate(&payments).unwrap_err();
    assert!(refused.starts_with("column `price` must be decimal(10, 2), and it is decimal(10, 3)"), "{refused}");
}
