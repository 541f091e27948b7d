//! # The most frequent words of each window of event time
//!
//! Every word has a time. Records come out of order, so a window is told when the watermark says that nothing of it is
//! missing: here half a second behind the newest record. Words are counted by window, combined on the worker that reads
//! them before they cross to the worker that owns them; then the counts of a window come together and the top three
//! are taken.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use malstrom_core::operators::{Collected, from_iters};
use malstrom_core::time::windows::Window;
use malstrom_runtime::prelude::*;

/// When a word was said, in milliseconds, and the word.
type Said = (i64, &'static str);

const TEXT: &str =
    "to be or not to be that is the question whether tis nobler in the mind to suffer the slings";

/// Two speakers, a word every 100 milliseconds, each word up to 300 milliseconds too late.
fn speaker(number: usize) -> impl Iterator<Item = Said> {
    let words = TEXT.split(' ').skip(3 * number).zip(0_i64..);
    words.map(|(word, n)| (100 * n + 300 * (n % 2), word))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tops = Collected::new();
    let shown = tops.clone();

    let job = MultiThread::builder()
        .job("top words", move |job: &Job| {
            job.source("speakers", from_iters(2, speaker))
                .assign_timestamps(
                    |(millis, _): &Said| Timestamp::from_millis(*millis),
                    Watermarks::bounded_disorder(Duration::from_millis(500)),
                )
                .window_by(|(_, word)| (*word).to_owned(), Tumbling::of(Duration::from_secs(1)))
                .aggregate("counts", aggregates::count())
                .into_pairs()
                // The results of a window bear its last moment as their time, so the same windows hold them.
                .into_keyed(|(word, window)| ((window.start, window.end), (window.value, word)))
                .window(Tumbling::of(Duration::from_secs(1)))
                .aggregate(
                    "top three",
                    aggregates::top_n(3, |(count, word): &(u64, String)| (*count, word.clone())),
                )
                .into_pairs()
                .map(|((start, end), top)| (Window { start, end }, top.value))
                .transactional_sink("tops", shown.sink());
        })
        .workers(2)
        .build()?;
    job.run()?;

    let mut tops = tops.take();
    tops.sort();
    for (window, top) in &tops {
        println!("{:>5} ms: {top:?}", window.start.0);
    }
    assert_eq!(tops[0].1.len(), 3);
    Ok(())
}
