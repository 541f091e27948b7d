//! Which commits of a log count.

use super::log::LogEntry;
use super::manifest::Manifest;
use crate::ids::Generation;
use crate::mutant::{self, Mutant};

/// An entry of the log as it was found: its number, and what it says or why that cannot be read.
pub type ReadEntry = (u64, Result<LogEntry, String>);

/// The commits of a log, sorted out.
#[derive(Debug, Default)]
pub(super) struct History<'a> {
    /// Commits that count, ascending by number.
    pub(super) standing: Vec<(u64, &'a Manifest)>,
    /// Commits that do not, ascending.
    pub(super) void: Vec<u64>,
    /// A number whose entry is gone though it must not be.
    pub(super) hole: Option<u64>,
}

impl<'a> History<'a> {
    /// Sorts out the commits among entries that ascend by number.
    ///
    /// A commit is void when
    /// 1. an entry before it is of a newer generation: it was fenced (I12); or
    /// 2. the number after it is missing though there are higher ones: trimming takes the lower number first, so the
    ///    commit was written after the trimming, by a coordinator that was fenced long ago; or
    /// 3. the very next entry shows that a newer generation was there before: it is that generation's commit, or the
    ///    claim of one newer still. That generation's claim is not between the two, so it came before both and has
    ///    been trimmed: this is the same as 2.
    ///
    /// Trimming always leaves a commit above what it takes. If none that counts is above a commit of rule 2, then the
    /// missing number is a hole: what the log says cannot be trusted. If none is above one of rule 3, then generations
    /// were left out because an entry could not be read, and the commit counts.
    ///
    /// **Caveat.** Rules 2 and 3 are not for savepoints, which trimming leaves in place: one that a fenced coordinator
    /// wrote late cannot be told from others. Its writer is told that it failed (see [`collect`](super::collect)).
    pub(super) fn of(entries: &'a [ReadEntry]) -> Self {
        debug_assert!(entries.is_sorted_by_key(|(number, _)| *number), "entries ascend by number");
        let verdicts = verdicts(entries);
        let sound = verdicts.iter().filter(|(.., verdict)| *verdict == Verdict::Sound);
        let newest_sound = sound.map(|(number, ..)| *number).next_back();
        let mut history = Self::default();
        for (number, manifest, verdict) in verdicts {
            let is_above = Some(number) > newest_sound;
            match verdict {
                Verdict::BelowGap if is_above => history.hole = Some(number.saturating_add(1)),
                Verdict::Sound => {}
                Verdict::Outdated if is_above => {}
                Verdict::Fenced | Verdict::BelowGap | Verdict::Outdated => {
                    history.void.push(number);
                    continue;
                }
            }
            history.standing.push((number, manifest));
        }
        let first = entries.first().map_or(0, |(number, _)| *number);
        if first > 0 && history.standing.is_empty() {
            history.hole = Some(first - 1);
        }
        history
    }
}

/// What speaks against a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing.
    Sound,
    /// Rule 1.
    Fenced,
    /// Rule 2.
    BelowGap,
    /// Rule 3.
    Outdated,
}

fn verdicts(entries: &[ReadEntry]) -> Vec<(u64, &Manifest, Verdict)> {
    let mut verdicts = Vec::new();
    let mut fence = Generation::default();
    for (at, (number, entry)) in entries.iter().enumerate() {
        let Ok(entry) = entry else { continue };
        if let Some(manifest) = entry.manifest() {
            let verdict = if manifest.generation < fence && !mutant::is(Mutant::FenceIgnored) {
                Verdict::Fenced
            } else if manifest.savepoint.is_some() {
                Verdict::Sound
            } else {
                compare_with_next(*number, manifest, entries.get(at + 1))
            };
            verdicts.push((*number, manifest, verdict));
        }
        fence = fence.max(entry.generation());
    }
    verdicts
}

fn compare_with_next(number: u64, manifest: &Manifest, next: Option<&ReadEntry>) -> Verdict {
    let Some((next_number, next)) = next else { return Verdict::Sound };
    if *next_number > number.saturating_add(1) {
        return Verdict::BelowGap;
    }
    let before_next = match next {
        Ok(LogEntry::Committed { manifest, .. }) => manifest.generation.0,
        Ok(LogEntry::Claimed { generation, .. }) => generation.0.saturating_sub(1),
        Err(_) => return Verdict::Sound,
    };
    if before_next > manifest.generation.0 { Verdict::Outdated } else { Verdict::Sound }
}
