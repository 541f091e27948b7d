//! Damage to what was acknowledged: stored bytes that rot, and entries that are gone.

use std::collections::BTreeSet;

use super::Objects;
use super::calls::{Ask, Call};
use crate::snapshot::{LogEntry, log};

impl Objects {
    /// Harms an object of every commit that counts; how many. The job must say that it cannot be restored.
    pub(in crate::testing) fn damage_all(&mut self) -> Option<(&'static str, String)> {
        let mut paths = BTreeSet::new();
        for manifest in self.standing() {
            // One without state is restored all the same.
            paths.insert(manifest.objects.first()?.path.clone());
        }
        for path in &paths {
            let (bytes, _) = self.objects.get_mut(path)?;
            let at = self.rng.below(bytes.len() as u64) as usize;
            *bytes.get_mut(at)? ^= 1;
        }
        self.is_damaged |= !paths.is_empty();
        (!paths.is_empty()).then(|| ("damage: an object of every commit", format!("{paths:?} are damaged")))
    }

    /// Harms the log's entry of the newest commit or claim; which, and how. Mostly an older commit stays readable.
    pub(in crate::testing) fn damage_entry(
        &mut self,
        is_claim: bool,
        may_be_lost: bool,
    ) -> Option<(&'static str, String)> {
        let is_it = |entry: &LogEntry| entry.manifest().is_none() == is_claim;
        let number = *self.entries.iter().rev().find(|(_, entry)| is_it(entry))?.0;
        let n_commits = self.entries.values().filter(|entry| entry.manifest().is_some()).count();
        if n_commits < 2 && !self.rng.per_mille(200) {
            return None;
        }
        let path = log::path(number);
        self.is_damaged = true;
        // A claim that vanishes before there is a commit takes with it that there ever was a generation: the next coordinator
        // begins again with the first, and nobody could tell.
        // One whose put is still to take effect once more would come back, as no store that loses an object would have it.
        let is_put = |call: &Call| matches!(&call.ask, Ask::PutNew(of, _) if *of == path) && !call.is_applied;
        let is_under_way = self.calls.values().any(is_put);
        let may_be_lost = may_be_lost && !is_under_way && (!is_claim || n_commits > 0);
        let how = self.rng.below(if may_be_lost { 4 } else { 3 });
        let (bytes, _) = self.objects.get_mut(&path)?;
        let at = self.rng.below(bytes.len() as u64) as usize;
        let kind = match how {
            0 if !bytes.is_empty() => {
                bytes[at] ^= 1 << self.rng.below(8);
                if is_claim {
                    "damage: claim with a flipped bit"
                } else {
                    "damage: log entry with a flipped bit"
                }
            }
            1 => {
                bytes.truncate(at);
                if is_claim { "damage: claim truncated" } else { "damage: log entry truncated" }
            }
            3 => {
                self.objects.remove(&path);
                self.is_entry_lost = true;
                if is_claim { "damage: claim missing" } else { "damage: log entry missing" }
            }
            _ => {
                bytes.clear();
                if is_claim { "damage: claim empty" } else { "damage: log entry empty" }
            }
        };
        Some((kind, format!("{path}: {kind}")))
    }

    /// Harms an object of the newest commit; which, and how.
    pub(in crate::testing) fn damage(&mut self) -> Option<(&'static str, String)> {
        let objects = self.standing().first().map(|manifest| manifest.objects.clone())?;
        let path = objects.get(self.rng.below(objects.len() as u64) as usize)?.path.clone();
        self.is_damaged = true;
        let how = self.rng.below(5);
        let other = objects.iter().rfind(|object| object.path != path);
        let other = other.and_then(|object| self.objects.get(&object.path)).map(|(bytes, _)| bytes.clone());
        let (bytes, _) = self.objects.get_mut(&path)?;
        let at = self.rng.below(bytes.len() as u64) as usize;
        let kind = match (how, other) {
            (0, _) if !bytes.is_empty() => {
                bytes[at] ^= 1 << self.rng.below(8);
                "damage: object with a flipped bit"
            }
            (1, _) => {
                bytes.truncate(at);
                "damage: object truncated"
            }
            (2, _) => {
                bytes.clear();
                "damage: object empty"
            }
            (3, Some(other)) => {
                *bytes = other;
                "damage: object exchanged for another"
            }
            _ => {
                self.objects.remove(&path);
                "damage: object missing"
            }
        };
        Some((kind, format!("{path}: {kind}")))
    }
}
