//! The entries of a job's log, and the objects they are kept in.
//!
//! # Steps
//! 1. A starting coordinator reads the log to its end and creates a [`LogEntry::Claimed`] at the next free number.
//! 2. It creates one [`LogEntry::Committed`] at the next number for every snapshot. That is the commit.
//! 3. A number that is taken settles who was first: an entry whose token is one's own is one's own put whose reply
//!    was lost; any other means that a newer coordinator is there.
//!
//! # Guarantees
//! Claims and commits share one sequence, so nothing is committed after a newer claim (I12).
//!
//! # Assumptions
//! Tokens are drawn once for every entry. What trimming adds to this is said in [`collect`](super::collect).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::frame::{FRAME_BYTES, Format, FrameError};
use super::manifest::Manifest;
use super::validate::ManifestError;
use crate::codec::{self, CodecError};
use crate::ids::Generation;
use crate::limits::MANIFEST_BYTES_MAX;

/// Not packed: a coordinator commits beside the workers, and to pack a manifest takes longer than to write what is saved.
const FORMAT: Format = Format { magic: *b"MsLg", bytes_max: MANIFEST_BYTES_MAX, packs: false };
/// The folder that holds the log.
pub const FOLDER: &str = "log/";
/// Enough for every `u64`, so that paths sort as numbers do.
const NUMBER_DIGITS: usize = 20;

/// What a reference to a block takes in an entry.
const BLOCK_LIKELY_BYTES: usize = 20;

/// What one object of the log says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogEntry {
    /// A coordinator has taken the job. From here on nothing of an older generation counts.
    Claimed {
        /// The job's name.
        job: String,
        /// The coordinator's generation.
        generation: Generation,
        /// Tells the writer its own entry.
        #[serde(with = "halves")]
        token: u128,
    },
    /// A snapshot is committed.
    Committed {
        /// Tells the writer its own entry.
        #[serde(with = "halves")]
        token: u128,
        /// Numbers of the entries below this one that hold savepoints, or that could not be read and may. A savepoint below
        /// that is not among them was written later, where the log had been trimmed. `None`: written before this was said.
        #[serde(default)]
        savepoints: Option<Vec<u64>>,
        /// The snapshot.
        manifest: Arc<Manifest>,
    },
}

impl LogEntry {
    /// The job it belongs to.
    #[must_use]
    pub fn job(&self) -> &str {
        match self {
            Self::Claimed { job, .. } => job,
            Self::Committed { manifest, .. } => &manifest.job,
        }
    }

    /// The generation that wrote it.
    #[must_use]
    pub fn generation(&self) -> Generation {
        match self {
            Self::Claimed { generation, .. } => *generation,
            Self::Committed { manifest, .. } => manifest.generation,
        }
    }

    /// What tells the writer its own entry.
    #[must_use]
    pub fn token(&self) -> u128 {
        match self {
            Self::Claimed { token, .. } | Self::Committed { token, .. } => *token,
        }
    }

    /// The manifest, if it is a commit.
    #[must_use]
    pub fn manifest(&self) -> Option<&Manifest> {
        match self {
            Self::Claimed { .. } => None,
            Self::Committed { manifest, .. } => Some(manifest),
        }
    }
}

/// Why an entry cannot be written or read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The bytes are damaged, too many, or of a version that this release does not know.
    #[error("an entry of the job log: {0}")]
    Frame(#[from] FrameError),
    /// The content is not an entry.
    #[error("an entry of the job log: {0}")]
    Codec(#[from] CodecError),
    /// The manifest contradicts itself.
    #[error("the manifest in an entry of the job log: {0}")]
    Manifest(#[from] ManifestError),
}

/// The bytes of an entry.
///
/// # Errors
/// If its manifest contradicts itself or is too large.
pub fn encode(entry: &LogEntry) -> Result<Vec<u8>, LogError> {
    entry.manifest().map_or(Ok(()), Manifest::validate)?;
    let mut content = Vec::with_capacity(entry.manifest().map_or(0, likely_bytes));
    codec::encode_into(entry, &mut content)?;
    let mut out = Vec::with_capacity(content.len() + FRAME_BYTES);
    FORMAT.seal(&content, &mut out)?;
    Ok(out)
}

/// The room that an encoded manifest is likely to take: nearly all of it are its blocks.
fn likely_bytes(manifest: &Manifest) -> usize {
    let n_blocks: usize = manifest.state.values().map(Vec::len).sum();
    n_blocks * BLOCK_LIKELY_BYTES + manifest.routes.owners.len()
}

/// The entry that `bytes` hold; a manifest in it agrees with itself.
///
/// # Errors
/// If they hold none.
pub fn decode(bytes: &[u8]) -> Result<LogEntry, LogError> {
    let entry: LogEntry = codec::decode(&FORMAT.open(bytes)?.0)?;
    entry.manifest().map_or(Ok(()), Manifest::validate)?;
    Ok(entry)
}

/// Where the entry of a number lies.
#[must_use]
pub fn path(number: u64) -> String {
    format!("{FOLDER}{number:0NUMBER_DIGITS$}")
}

/// The number of the entry that lies there; `None` if no entry would.
#[must_use]
pub fn number_of(path: &str) -> Option<u64> {
    let digits = path.strip_prefix(FOLDER)?;
    let is_number = digits.len() == NUMBER_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

/// MessagePack has no 128-bit numbers: a token is written as its upper and its lower half.
mod halves {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(token: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        ((token >> 64) as u64, *token as u64).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let (upper, lower) = <(u64, u64)>::deserialize(deserializer)?;
        Ok(u128::from(upper) << 64 | u128::from(lower))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{manifest, savepoint};
    use super::*;

    /// The entries that the fixtures hold.
    fn golden() -> [LogEntry; 2] {
        let token = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;
        let LogEntry::Committed { manifest, .. } = savepoint(3, 14) else { unreachable!() };
        let (job, savepoints) = ("job".to_owned(), Some(vec![7, 300]));
        let claimed = LogEntry::Claimed { job, generation: Generation(3), token };
        [claimed, LogEntry::Committed { token, savepoints, manifest }]
    }

    #[test]
    fn version_1_is_read_for_ever() {
        let [claimed, committed] = golden();
        let bytes = include_bytes!("../../tests/fixtures/log-v1-claimed.bin");
        assert_eq!(decode(bytes).unwrap(), claimed);
        let bytes = include_bytes!("../../tests/fixtures/log-v1-committed-savepoints.bin");
        assert_eq!(decode(bytes).unwrap(), committed);
        let LogEntry::Committed { token, manifest, .. } = committed else { unreachable!() };
        let bytes = include_bytes!("../../tests/fixtures/log-v1-committed.bin");
        assert_eq!(decode(bytes).unwrap(), LogEntry::Committed { token, savepoints: None, manifest });
    }

    #[test]
    fn i9_paths_sort_as_numbers_do() {
        assert_eq!(path(12), "log/00000000000000000012");
        assert_eq!(path(u64::MAX), "log/18446744073709551615");
    }

    #[test]
    fn only_the_path_of_an_entry_has_a_number() {
        for path in
            ["log/12", "log/+0000000000000000012", "log/99999999999999999999", "x/00000000000000000012"]
        {
            assert_eq!(number_of(path), None, "{path}");
        }
    }

    #[test]
    fn a_manifest_that_contradicts_itself_is_not_written_or_read() {
        let mut manifest = manifest("job", 1, 1);
        manifest.routes.n_workers = 0;
        let entry = LogEntry::Committed { token: 1, savepoints: None, manifest: Arc::new(manifest) };
        assert!(matches!(encode(&entry), Err(LogError::Manifest(ManifestError::NoWorkers))));
        let mut bytes = Vec::new();
        FORMAT.seal(&codec::encode(&entry).unwrap(), &mut bytes).unwrap();
        assert!(matches!(decode(&bytes), Err(LogError::Manifest(ManifestError::NoWorkers))));
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(
            token in any::<u128>(),
            generation in any::<u64>(),
            job in ".*",
            savepoints in any::<Option<Vec<u64>>>(),
        ) {
            let mut manifest = manifest(&job, generation, 1);
            manifest.savepoint = (token % 2 == 0).then(|| job.clone());
            let claim = LogEntry::Claimed { job, generation: Generation(generation), token };
            for entry in [claim, LogEntry::Committed { token, savepoints, manifest: Arc::new(manifest) }] {
                prop_assert_eq!(decode(&encode(&entry).unwrap()).unwrap(), entry);
            }
        }

        #[test]
        fn a_path_has_its_number(number in any::<u64>()) {
            prop_assert_eq!(number_of(&path(number)), Some(number));
        }

        #[test]
        fn i15_any_content_under_a_right_checksum_is_a_value_or_an_error(
            content in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut bytes = Vec::new();
            FORMAT.seal(&content, &mut bytes).unwrap();
            let _ = decode(&bytes);
        }

        #[test]
        fn i15_any_change_of_the_content_is_a_value_or_an_error(at in any::<usize>(), byte in any::<u8>()) {
            let [_, committed] = golden();
            let mut content = codec::encode(&committed).unwrap();
            let at = at % content.len();
            content[at] = byte;
            let mut bytes = Vec::new();
            FORMAT.seal(&content, &mut bytes).unwrap();
            let _ = decode(&bytes);
        }

        #[test]
        fn i8_every_flipped_bit_is_noticed(bit in any::<usize>()) {
            let mut bytes = encode(&golden()[1]).unwrap();
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode(&bytes).is_err());
        }
    }
}
