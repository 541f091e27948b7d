//! Medians and paired ratios of what the runs said.

use crate::plan::Contestant;
use crate::run::Outcome;

/// All runs of one contestant.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) who: Contestant,
    pub(crate) outcomes: Vec<Result<Outcome, String>>,
}

impl Series {
    pub(crate) fn new(who: Contestant) -> Self {
        Self { who, outcomes: Vec::new() }
    }

    /// The runs that succeeded.
    pub(crate) fn done(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter_map(|outcome| outcome.as_ref().ok())
    }

    /// Why a run did not.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.outcomes.iter().find_map(|outcome| outcome.as_ref().err()).map(String::as_str)
    }

    /// Millions of records a second.
    pub(crate) fn rate(&self) -> Option<Spread> {
        Spread::of(self.done().map(Outcome::rate))
    }

    /// Megabytes at most.
    pub(crate) fn peak_mb(&self) -> Option<Spread> {
        Spread::of(self.done().map(|outcome| outcome.peak_bytes as f64 / 1e6))
    }

    /// How many times as fast this is as the other, run by run: what slows the machine down slows both.
    pub(crate) fn ratio_to(&self, other: &Self) -> Option<Spread> {
        self.paired(other, Outcome::rate)
    }

    /// How many times as much memory this takes as the other.
    pub(crate) fn memory_ratio_to(&self, other: &Self) -> Option<Spread> {
        self.paired(other, |outcome| outcome.peak_bytes as f64)
    }

    fn paired(&self, other: &Self, figure: impl Fn(&Outcome) -> f64) -> Option<Spread> {
        let pairs = self.outcomes.iter().zip(&other.outcomes);
        Spread::of(
            pairs.filter_map(|(one, two)| Some(figure(one.as_ref().ok()?) / figure(two.as_ref().ok()?))),
        )
    }
}

/// The middle one of several figures, and the outermost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = match figures.len() % 2 {
            0 => (figures[middle - 1] + figures[middle]) / 2.0,
            _ => figures[middle],
        };
        Some(Self { median, min, max })
    }
}

/// Says who gave another answer than the first; only contestants with the same share of the records are compared.
pub(crate) fn disagreement(series: &[Series]) -> Option<String> {
    let answers = || {
        series.iter().flat_map(|series| {
            series.done().map(|done| (series.who, (done.records, done.outputs, done.digest.as_str())))
        })
    };
    for (who, answer) in answers() {
        let (first, expected) = answers().find(|(first, _)| first.share == who.share)?;
        if answer != expected {
            return Some(format!("{who} says {answer:?}, {first} says {expected:?}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let spread = |figures: &[f64]| Spread::of(figures.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(spread(&[3.0, 1.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
    }

    #[test]
    fn ratios_are_between_runs_of_one_round() {
        let series = |seconds: &[f64]| Series {
            who: Contestant { program: "p", allocator: "a", share: 1.0 },
            outcomes: seconds
                .iter()
                .map(|seconds| {
                    Ok(Outcome {
                        records: 1,
                        outputs: 1,
                        digest: seconds.to_string(),
                        seconds: *seconds,
                        seconds_to_end: *seconds,
                        cpu_seconds: 0.0,
                        peak_bytes: 1,
                        snapshots: None,
                    })
                })
                .collect(),
        };
        let (fast, slow) = (series(&[1.0, 10.0, 1.0]), series(&[2.0, 20.0, 2.0]));
        assert_eq!(fast.ratio_to(&slow), Some(Spread { median: 2.0, min: 2.0, max: 2.0 }));
        assert!(disagreement(std::slice::from_ref(&fast)).is_some());
        assert_eq!(disagreement(&[series(&[1.0]), series(&[1.0])]), None);
    }
}
