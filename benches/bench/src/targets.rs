//! What Malstrom means to reach, as ratios within one run.

use crate::figures::{Series, Spread};
use crate::plan::{ALLOCATORS, Case};

/// A target and how far it is reached.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) ratio: Spread,
    pub(crate) is_met: bool,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// The verdicts for each allocator.
pub(crate) fn verdicts(case: &Case, series: &[Series]) -> Vec<Verdict> {
    ALLOCATORS.into_iter().flat_map(|allocator| verdicts_with(case, series, allocator)).collect()
}

fn verdicts_with(case: &Case, series: &[Series], allocator: &str) -> Vec<Verdict> {
    let find = |program: &str| {
        series.iter().find(|series| series.who.program == program && series.who.allocator == allocator)
    };
    let Some(ours) = find("malstrom") else { return Vec::new() };
    let one = case.n_workers == 1;
    // To the plain program, to the tuned one, to the best peer.
    let (plain, tuned, peer) = match case.workload {
        "W1" | "W1b" if one => (1.2, Some(0.5), 2.0),
        "W1" | "W1b" => (1.0, Some(0.45), 2.0),
        "W2" => (0.6, None, 1.0),
        "W3" => (1.0, Some(0.75), 1.0),
        "W4" => (0.7, None, 1.0),
        _ => return Vec::new(),
    };
    let mut verdicts = Vec::new();
    let mut say = |what: String, ratio: Option<Spread>, bound: Bound| {
        let Some(ratio) = ratio else { return };
        let (what, is_met) = match bound {
            Bound::AtLeast(bound) => (format!("at least {bound} of {what}"), ratio.median >= bound),
            Bound::AtMost(bound) => (format!("at most {bound} of {what}"), ratio.median <= bound),
        };
        verdicts.push(Verdict { what: format!("{what}, {allocator}"), ratio, is_met });
    };
    if let Some(limit) = find("plain") {
        say("plain".to_owned(), ours.ratio_to(limit), Bound::AtLeast(plain));
        if case.workload == "W3" {
            say("the memory of plain".to_owned(), ours.memory_ratio_to(limit), Bound::AtMost(1.3));
        }
    }
    if let (Some(limit), Some(tuned)) = (find("tuned"), tuned) {
        say("tuned".to_owned(), ours.ratio_to(limit), Bound::AtLeast(tuned));
    }
    let rate = |series: &Series| series.rate().map_or(0.0, |rate| rate.median);
    let peers = ["timely", "renoir", "renoir-two-phase", "earlier"].into_iter().filter_map(find);
    if let Some(best) = peers.max_by(|one, two| rate(one).total_cmp(&rate(two))) {
        say(format!("the best peer ({})", best.who.program), ours.ratio_to(best), Bound::AtLeast(peer));
    }
    verdicts
}
