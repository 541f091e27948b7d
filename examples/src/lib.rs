//! Short programs for Malstrom, in reading order. Each is a file in `src/bin` and runs with
//! `cargo run --release --bin NAME`:
//!
//! 1. `hello_stream`: a source, two operators, a sink.
//! 2. `keyed_state`: state for each key, and reading it when the job has ended.
//! 3. `split_and_union`: one stream into several and several into one.
//! 4. `custom_operator`: an operator of one's own, without and with keyed state.
//! 5. `custom_source_and_sink`: a source and a sink of one's own.
//! 6. `windowed_top_words`: event time, and the most frequent words of each window.
//! 7. `sessions`: windows that last as long as records keep coming.
//! 8. `clicks_and_purchases`: two streams joined in event time.
//! 9. `enrich`: what a slow service knows, added to each record.
//! 10. `rescale`: more workers and fewer, from another thread, while records flow.
//! 11. `suspend_and_resume`: stop, and go on at another scale.
//! 12. `wordcount`: the main job.

/// The program in the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// So does the one in the guide for users of Flink.
#[cfg(doctest)]
#[doc = include_str!("../../docs/coming-from-flink.md")]
struct ComingFromFlink;
