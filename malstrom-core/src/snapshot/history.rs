//! Which commits and claims of a log count.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::log::LogEntry;
use super::manifest::Manifest;
use crate::ids::Generation;
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};

/// An entry of the log as it was found: its number, and what it says or why that cannot be read.
pub type ReadEntry = (u64, Result<Rc<LogEntry>, String>);

/// The commits of a log, sorted out.
#[derive(Debug, Default)]
pub(super) struct History<'a> {
    /// Commits that count, ascending by number.
    pub(super) standing: Vec<(u64, &'a Manifest)>,
    /// Commits that do not, ascending.
    pub(super) void: Vec<u64>,
    /// Claims that count, ascending by number.
    pub(super) claims: Vec<(u64, Generation)>,
    /// A number whose entry is gone though it must not be.
    pub(super) hole: Option<u64>,
}

impl<'a> History<'a> {
    /// Sorts out entries that ascend by number.
    ///
    /// A **claim** is void when a commit of an older generation is above it. A coordinator appends at consecutive numbers,
    /// so it does not get past a claim that stands where it was to write next: the claim was written later, below what there
    /// was, at a number that had been trimmed. Whoever writes such a claim takes it back (see
    /// [`collect`](super::collect)); one who is lost before leaves it.
    ///
    /// A **commit** is void when
    /// 1. a commit before it is of a newer generation: it was fenced (I12); or
    /// 2. the number after it is missing though there are higher ones: trimming takes the lower number first, so the
    ///    commit was written after the trimming, by a coordinator that was fenced long ago; or
    /// 3. the very next entry shows that a newer generation was there before: it is that generation's commit, or the
    ///    claim of one newer still. That generation's claim is not between the two, so it came before both and has
    ///    been trimmed: this is the same as 2.
    ///
    /// Trimming always leaves a commit above what it takes. If none that counts is above a commit of rule 2, then the
    /// missing number is a hole: what the log says cannot be trusted. If none is above one of rule 3, then generations
    /// were left out because an entry could not be read, and the commit counts; unless what cannot be read is above it, and
    /// may be the commit that it is void for (seed 101003256/0).
    ///
    /// Rules 2 and 3 do not hold for **savepoints**, whose neighbours are trimmed while they stay. Each commit names those
    /// below it, so one is void when
    ///
    /// 4. the newest commit above it that says so does not name it: it was written later than that one (seed 170014501/6).
    ///
    /// If no commit above can be read, it is judged as other commits are. If all that can were written before commits named
    /// savepoints, it counts.
    pub(super) fn of(entries: &'a [ReadEntry]) -> Self {
        debug_assert!(entries.is_sorted_by_key(|(number, _)| *number), "entries ascend by number");
        let verdicts = verdicts(entries);
        let sound = verdicts.iter().filter(|(.., verdict)| *verdict == Verdict::Sound);
        let newest_sound = sound.map(|(number, ..)| *number).next_back();
        let unreadable = entries.iter().filter(|(_, entry)| entry.is_err());
        let newest_unreadable = unreadable.map(|(number, _)| *number).next_back();
        let mut history = Self { claims: claims(entries), ..Self::default() };
        for (number, manifest, verdict) in verdicts {
            let is_above = Some(number) > newest_sound;
            match verdict {
                Verdict::BelowGap if is_above => history.hole = Some(number.saturating_add(1)),
                Verdict::Sound => {}
                Verdict::Outdated if is_above && Some(number) > newest_unreadable => {}
                Verdict::Fenced | Verdict::BelowGap | Verdict::Outdated | Verdict::Unnamed => {
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
    /// Rule 4.
    Unnamed,
}

fn verdicts(entries: &[ReadEntry]) -> Vec<(u64, &Manifest, Verdict)> {
    let mut verdicts = Vec::new();
    let mut fence = Generation::default();
    let above = Above::of(entries);
    for (at, (number, entry)) in entries.iter().enumerate() {
        let Ok(entry) = entry else { continue };
        if let Some(manifest) = entry.manifest() {
            let of_savepoint =
                || manifest.savepoint.as_ref().and_then(|_| above.verdict_on_savepoint(*number));
            let verdict = if manifest.generation < fence && !mutant::is(Mutant::FenceIgnored) {
                Verdict::Fenced
            } else {
                of_savepoint().unwrap_or_else(|| compare_with_next(*number, manifest, entries.get(at + 1)))
            };
            verdicts.push((*number, manifest, verdict));
            fence = fence.max(manifest.generation);
        }
    }
    verdicts
}

/// What the newest commits say of savepoints.
struct Above {
    /// The number of the newest commit that can be read.
    newest: Option<u64>,
    /// The number of the newest that names savepoints, and theirs.
    naming: Option<(u64, BTreeSet<u64>)>,
}

impl Above {
    fn of(entries: &[ReadEntry]) -> Self {
        let commits = entries.iter().rev().filter_map(|(number, entry)| match entry.as_deref() {
            Ok(LogEntry::Committed { savepoints, .. }) => Some((*number, savepoints)),
            _ => None,
        });
        let naming = commits.clone().find_map(|(number, named)| Some((number, named.as_ref()?)));
        Self {
            newest: commits.map(|(number, _)| number).next(),
            naming: naming.map(|(number, named)| (number, named.iter().copied().collect())),
        }
    }

    /// `None` if no commit above it can be read.
    fn verdict_on_savepoint(&self, number: u64) -> Option<Verdict> {
        if self.newest <= Some(number) {
            return None;
        }
        let is_missing =
            self.naming.as_ref().is_some_and(|(by, named)| *by > number && !named.contains(&number));
        if is_missing && !mutant::is(Mutant::LateSavepointCounts) {
            mark::hit(Mark::LateSavepoint);
            return Some(Verdict::Unnamed);
        }
        Some(Verdict::Sound)
    }
}

/// The claims above which no older generation has gone on.
fn claims(entries: &[ReadEntry]) -> Vec<(u64, Generation)> {
    let mut claims = Vec::new();
    let mut oldest_above = Generation(u64::MAX);
    for (number, entry) in entries.iter().rev() {
        match entry.as_deref() {
            Ok(LogEntry::Committed { manifest, .. }) => oldest_above = oldest_above.min(manifest.generation),
            Ok(LogEntry::Claimed { generation, .. })
                if *generation <= oldest_above || mutant::is(Mutant::StrayClaimCounts) =>
            {
                claims.push((*number, *generation));
            }
            Ok(LogEntry::Claimed { .. }) => mark::hit(Mark::StrayClaim),
            Err(_) => {}
        }
    }
    claims.reverse();
    claims
}

/// The newest generation in a log, without that of claims which do not count and without `own` entries, which are known by
/// their tokens.
pub(crate) fn newest_generation(entries: &[ReadEntry], own: &[u128]) -> Generation {
    let claims = claims(entries);
    let counts = |number: &u64, entry: &LogEntry| match entry {
        LogEntry::Claimed { .. } => claims.iter().any(|(of, _)| of == number),
        LogEntry::Committed { .. } => true,
    };
    let readable = entries.iter().filter_map(|(number, entry)| Some((number, entry.as_deref().ok()?)));
    let others = readable.filter(|(number, entry)| counts(number, entry) && !own.contains(&entry.token()));
    others.map(|(_, entry)| entry.generation()).max().unwrap_or_default()
}

fn compare_with_next(number: u64, manifest: &Manifest, next: Option<&ReadEntry>) -> Verdict {
    let Some((next_number, next)) = next else { return Verdict::Sound };
    if *next_number > number.saturating_add(1) {
        return Verdict::BelowGap;
    }
    let before_next = match next.as_deref() {
        Ok(LogEntry::Committed { manifest, .. }) => manifest.generation.0,
        Ok(LogEntry::Claimed { generation, .. }) => generation.0.saturating_sub(1),
        Err(_) => return Verdict::Sound,
    };
    if before_next > manifest.generation.0 { Verdict::Outdated } else { Verdict::Sound }
}
