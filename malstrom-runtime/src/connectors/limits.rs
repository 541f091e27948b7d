//! Every bound of the connectors, by name and with its unit last.

/// What a text source reads at once, in bytes.
pub const READ_BLOCK_BYTES: usize = 256 << 10;
/// The longest line a text source yields, in bytes; past it reading fails.
pub const LINE_BYTES_MAX: usize = 16 << 20;
/// Files one [`TextFiles`](super::TextFiles) reads at most, repetitions counted.
pub const TEXT_PARTITIONS_MAX: usize = 1 << 20;

/// What is read from standard input before the job asks for it, in bytes; then reading waits.
pub const STDIN_AHEAD_BYTES_MAX: u64 = 8 << 20;
/// What was read from standard input and is kept for a recovery until it is acknowledged, in bytes; past it the oldest
/// is dropped.
pub const STDIN_KEPT_BYTES_MAX: u64 = 256 << 20;
/// How long a source of standard input waits when nothing is there, in milliseconds.
pub const STDIN_POLL_MS: u64 = 2;

/// What a sink gathers before it writes, in bytes.
pub const WRITE_BUFFER_BYTES: usize = 128 << 10;

/// Distinct words a [`ZipfText`](super::ZipfText) can have at most.
pub const ZIPF_VOCABULARY_WORDS_MAX: u32 = 1 << 24;
/// Words a line of a [`ZipfText`](super::ZipfText) can have at most.
pub const ZIPF_LINE_WORDS_MAX: u32 = 1 << 10;
/// Partitions a [`ZipfText`](super::ZipfText) can have at most.
pub const ZIPF_PARTITIONS_MAX: u32 = 1 << 16;
/// Made-up text that is written at once, in bytes: small enough to stay in a core's own cache.
pub const ZIPF_BLOCK_BYTES: usize = 32 << 10;
