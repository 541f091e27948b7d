//! # Clicks and purchases
//!
//! Which click led to which purchase? A click on an advertisement counts for what its visitor buys within the next half
//! minute. Clicks come out of order, purchases in order, both at their own pace; the watermark says when a click can have no
//! purchase any more, and then it is told as one that led nowhere. What comes too late for an answer goes to a stream of
//! its own.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::time::Duration;

use malstrom_core::operators::{Collected, from_iters};
use malstrom_runtime::prelude::*;

/// How many clicks each of two sites yields, one every 100 milliseconds.
const CLICKS: u64 = 2_000;
/// How long a click counts.
const COUNTS_FOR: Duration = Duration::from_secs(30);

/// Visitor, moment in milliseconds, advertisement.
type Click = (u64, i64, u64);
/// Visitor, moment in milliseconds, price.
type Purchase = (u64, i64, u64);

/// A number that looks drawn, the same in each run.
fn drawn(n: u64, below: u64) -> u64 {
    n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23).wrapping_mul(0xBF58_476D_1CE4_E5B9)
        % below
}

/// Clicks of one site, up to two seconds out of order.
fn clicks(site: usize) -> impl Iterator<Item = Click> {
    let site = site as u64;
    (0..CLICKS).map(move |n| {
        let id = 2 * n + site;
        (drawn(id, 500), (100 * n + drawn(id + 7, 2_000)) as i64, drawn(id + 3, 4))
    })
}

/// One click in three is followed by a purchase within a minute, half of them too late to count.
fn purchases() -> impl Iterator<Item = Purchase> {
    let mut purchases: Vec<Purchase> = (0..2)
        .flat_map(clicks)
        .zip(0..)
        .filter(|(_, n)| n % 3 == 0)
        .map(|((visitor, millis, _), n)| {
            (visitor, millis + 1 + drawn(n, 60_000) as i64, 5 + drawn(n + 1, 95))
        })
        .collect();
    purchases.sort_by_key(|(_, millis, _)| *millis);
    purchases.into_iter()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (told, late) = (Collected::new(), Collected::new());
    let (told_sink, late_sink) = (told.clone(), late.clone());

    let job = MultiThread::builder()
        .job("clicks and purchases", move |job: &Job| {
            let clicks = job
                .source("clicks", from_iters(2, clicks))
                .assign_timestamps(
                    |click: &Click| Timestamp::from_millis(click.1),
                    Watermarks::bounded_disorder(Duration::from_secs(2)),
                )
                .into_keyed(|(visitor, millis, advertisement)| (visitor, (millis, advertisement)));
            let purchases = job
                .source("purchases", from_iters(1, |_| purchases()))
                .assign_timestamps(
                    |purchase: &Purchase| Timestamp::from_millis(purchase.1),
                    Watermarks::ascending(),
                )
                .into_keyed(|(visitor, millis, price)| (visitor, (millis, price)));
            let (outcomes, late) = clicks
                .join(purchases)
                .left_outer()
                .between(Duration::ZERO..=COUNTS_FOR)
                .combine_with_late("outcomes", |_visitor, (clicked, advertisement), purchase| {
                    (*advertisement, purchase.map(|(bought, price)| (bought - clicked, *price)))
                });
            outcomes.map_values(|_, outcome| outcome).transactional_sink("told", told_sink.sink());
            late.transactional_sink("late", late_sink.sink());
        })
        .workers(2)
        .build()?;
    job.run()?;

    // For each advertisement: clicks that led nowhere, purchases, what they brought, and after how long.
    let mut by_advertisement: BTreeMap<u64, (u64, u64, u64, i64)> = BTreeMap::new();
    for (_visitor, (advertisement, purchase)) in told.take() {
        let (nowhere, bought, brought, after) = by_advertisement.entry(advertisement).or_default();
        match purchase {
            None => *nowhere += 1,
            Some((millis, price)) => {
                (*bought, *brought, *after) = (*bought + 1, *brought + price, *after + millis);
            }
        }
    }
    for (advertisement, (nowhere, bought, brought, after)) in &by_advertisement {
        let seconds = *after as f64 / 1000.0 / (*bought).max(1) as f64;
        println!(
            "advertisement {advertisement}: {nowhere} clicks led nowhere, {bought} to a purchase, \
             after {seconds:.1} s on average, for {brought} in all"
        );
    }
    let n_late = late.take().len();
    println!("{n_late} came too late");

    // The same, reckoned without a stream.
    let all: Vec<Click> = (0..2).flat_map(clicks).collect();
    let mut by_visitor: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    purchases().for_each(|(visitor, millis, _)| by_visitor.entry(visitor).or_default().push(millis));
    let counts_for = COUNTS_FOR.as_millis() as i64;
    let n_of = |click: &Click| {
        let bought = by_visitor.get(&click.0).into_iter().flatten();
        bought.filter(|millis| (0..=counts_for).contains(&(**millis - click.1))).count() as u64
    };
    let expected: (u64, u64) =
        all.iter().map(n_of).fold((0, 0), |(nowhere, bought), n| (nowhere + u64::from(n == 0), bought + n));
    let found = by_advertisement.values().fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
    assert_eq!((found, n_late), (expected, 0));
    Ok(())
}
