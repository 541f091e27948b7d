//! The dataflow.

use std::sync::Arc;

use malstrom_core::stage::Pipe;
use malstrom_core::stream::{Job, Stream};
use malstrom_runtime::connectors::{Line, Stdin};

use crate::live::{Live, LiveSink};
use crate::pace::{Pace, Paced};
use crate::text::Text;

/// The name of the state that holds the counts.
pub(crate) const COUNT: &str = "count";

/// Counts the words of a text.
pub(crate) fn count_words(job: &Job, text: &Text, pace: Option<&Arc<Pace>>, live: &Arc<Live>) {
    let pace = pace.cloned();
    match text {
        Text::Generated { text, .. } => count(job.source("text", Paced::new(text.clone(), pace)), live),
        Text::Files { files, .. } => count(job.source("text", Paced::new(files.clone(), pace)), live),
        Text::Stdin => {
            count(job.source("text", Paced::new(Stdin::new(), pace)), live);
        }
    }
}

fn count<P: Pipe<Item = Line>>(lines: Stream<P>, live: &Arc<Live>) {
    lines
        .flat_map(Line::into_words)
        .into_keyed(|word| (word, ()))
        .fold(COUNT, || 0_u64, |n, ()| *n += 1)
        .sink("live", LiveSink::new(live.clone()));
}
