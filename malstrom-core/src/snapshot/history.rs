//! Which commits of a log count.

use super::log::LogEntry;
use super::manifest::Manifest;
use crate::ids::Generation;

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
    /// 2. it is not a savepoint and the number after it is missing though there are higher ones: trimming takes the
    ///    lower number first, so this entry was written after the trimming, by a coordinator that was fenced long ago;
    ///    or
    /// 3. it is not a savepoint and the very next entry is a commit of a newer generation. That generation's claim is
    ///    not between them, so it came before and has been trimmed: this is the same as 2.
    ///
    /// If a commit is void by rule 2 and none that counts is above it, then it is not trimming that explains the
    /// missing number. That is a hole: what the log says cannot be trusted.
    ///
    /// **Caveat.** A savepoint written late by a fenced coordinator cannot be told from one that trimming left in
    /// place. Its writer is told that it failed (see [`collect`](super::collect)).
    pub(super) fn of(entries: &'a [ReadEntry]) -> Self {
        debug_assert!(entries.is_sorted_by_key(|(number, _)| *number), "entries ascend by number");
        let mut history = Self::default();
        let mut fence = Generation::default();
        let mut hole = None;
        for (at, (number, entry)) in entries.iter().enumerate() {
            let Ok(entry) = entry else { continue };
            if let Some(manifest) = entry.manifest() {
                let next = entries.get(at + 1);
                let may_be_trimmed = manifest.savepoint.is_none();
                let before_gap = next.is_some_and(|(next, _)| *next > number.saturating_add(1));
                if entry.generation() < fence || may_be_trimmed && is_outdated_by(manifest, next) {
                    history.void.push(*number);
                } else if may_be_trimmed && before_gap {
                    history.void.push(*number);
                    hole = Some(number.saturating_add(1));
                } else {
                    history.standing.push((*number, manifest));
                    hole = None;
                }
            }
            fence = fence.max(entry.generation());
        }
        history.hole = hole;
        let trimmed = entries.first().map_or(0, |(number, _)| *number);
        if trimmed > 0 && history.standing.is_empty() {
            history.hole = history.hole.or(Some(trimmed - 1));
        }
        history
    }
}

fn is_outdated_by(manifest: &Manifest, next: Option<&ReadEntry>) -> bool {
    let next = next.and_then(|(_, entry)| entry.as_ref().ok()).and_then(LogEntry::manifest);
    next.is_some_and(|next| next.generation > manifest.generation)
}
