//! # Sessions
//!
//! A visit lasts as long as clicks of a visitor keep coming: when none comes for half a minute, it has ended. A click
//! that lies between two visits, and comes behind them, makes one of them. Clicks that come when their visit was told
//! long ago go to a stream of their own: how far behind the newest click one may be is what the watermarks say.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use malstrom_core::operators::{Collected, from_iter};
use malstrom_runtime::prelude::*;

/// Who clicked, and when, in seconds.
const CLICKS: [(&str, i64); 8] = [
    ("ann", 0),
    ("bob", 5),
    ("ann", 20),
    ("ann", 70),
    // It joins the two visits of ann.
    ("ann", 45),
    ("bob", 80),
    ("eve", 300),
    ("eve", 310),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (visits, late) = (Collected::new(), Collected::new());
    let (shown, shown_late) = (visits.clone(), late.clone());

    let job = SingleThread::builder()
        .job("visits", move |job: &Job| {
            let clicks = job
                .source("clicks", from_iter(|| CLICKS))
                .map(|(who, seconds)| (who.to_owned(), 1000 * seconds))
                .reassign_timestamps(
                    "times",
                    |(_, millis)| Timestamp::from_millis(*millis),
                    Watermarks::bounded_disorder(Duration::from_secs(30)),
                );
            let (visits, late) = clicks
                .into_keyed(|(who, millis)| (who, millis))
                .window(Session::with_gap(Duration::from_secs(30)))
                .aggregate_with_late("visits", aggregates::count());
            visits
                .map(|(who, visit)| (who, visit.start.0 / 1000, visit.end.0 / 1000, visit.value))
                .transactional_sink("told", shown.sink());
            late.transactional_sink("late", shown_late.sink());
        })
        .build()?;
    job.run()?;

    let mut visits = visits.take();
    visits.sort();
    for (who, start, end, clicks) in &visits {
        println!("{who} from {start} s to {end} s: {clicks} clicks");
    }
    assert_eq!(visits[0], ("ann".to_owned(), 0, 100, 4));
    assert!(late.is_empty());
    Ok(())
}
