//! Every bound of the engine, by name and with its unit last.

use std::time::Duration;

/// Records in a batch that crosses an exchange.
pub const BATCH_RECORDS: usize = 1024;
/// Messages that wait in one channel between two stages before its sender keeps what it has.
pub const CHANNEL_MESSAGES_MAX: usize = 16;
/// Records a source stage emits between two looks at its outlet.
pub const SOURCE_READ_RECORDS: usize = 1024;
/// The same at least, where each of them makes many: a stage asks its source for as many as make about one batch.
pub const SOURCE_READ_RECORDS_MIN: usize = 16;
/// How long a stage whose rate is limited may make up for what did not pass in time.
pub const RATE_BURST: Duration = Duration::from_millis(20);
/// How long a source, or one of its partitions, has nothing before it is idle, and left out of the merge of watermarks,
/// unless it says otherwise. What a partition yields that was left out may be late, so a pause in which others go on must
/// not be enough.
pub const IDLE_AFTER: Duration = Duration::from_secs(60);
/// Time after which a busy stage flushes batches that are not full, and what is combined before an exchange; one that has
/// nothing to do flushes at once. Combining gains by more, and what is held is later by as much.
pub const FLUSH_EVERY: Duration = Duration::from_millis(2);
/// Records that wait, per stage, for bins that are on their way; past it the stage reads no further.
pub const ASIDE_RECORDS_MAX: usize = 1 << 20;
/// Records ahead of the current one whose state is prefetched.
pub const LOOKAHEAD_RECORDS: usize = 16;
/// Timers that fire, per operator, between two looks at what else there is to do.
pub const TIMERS_FIRED_SLICE: usize = 256;
/// Keys with something due at one time that lie in one list.
pub const DUE_PIECE_KEYS: usize = 1024;
/// Keys whose records are combined before an exchange at once; a power of two. Many times as many as are common: two keys
/// that share a place cost branches foretold wrong and partial results that cross (W4 with 1,000 keys takes 1.2 times as long
/// with 4096).
pub const COMBINED_KEYS_MAX: usize = 1 << 14;

/// The least number of bins a job can have.
pub const BINS_MIN: u32 = 1;
/// The number of bins a job gets when its user names none.
pub const BINS_DEFAULT: u32 = 4096;
/// The largest number of bins a job can have.
pub const BINS_MAX: u32 = 1 << 15;

/// Levels of lists and maps within one encoded value. Each costs stack while it is read, up to some kilobytes in a build
/// without optimisation, and bytes from outside may claim any number.
pub const NESTING_LEVELS_MAX: usize = 128;
/// Bytes of encoded state after which a worker starts a new object: so many at least, ...
pub const OBJECT_BYTES_MIN: usize = 1 << 20;
/// ... so many at most, and between the two this part of what it has written for the snapshot. So little of a snapshot is on
/// its way to the store at once, and a large one is not a thousand objects.
pub const OBJECT_BYTES_MAX: usize = 8 << 20;
/// See [`OBJECT_BYTES_MAX`].
pub const OBJECT_PART_OF_SNAPSHOT: usize = 32;
/// Buffers for objects that a worker keeps to fill them again: one is on its way to a disk, one is filled, and as many more as
/// a snapshot in a hurry has on their way.
pub const OBJECT_BUFFERS_MAX: usize = 2 + OBJECTS_HURRIED_MAX;
/// Those of them that a worker has from its beginning: one is filled while one is on its way.
pub const OBJECT_BUFFERS_READY: usize = 2;
/// Objects of one worker that are on their way to the store while it goes on to encode, beside the one that it fills, if
/// the store does not say otherwise: enough for one that is far away. Keys that are saved meanwhile take memory and time
/// too, so there may be more of them, [`ENCODE_BYTES_PER_SAVED_KEY`] for each: ...
pub const OBJECTS_STORING_MAX: usize = 8;
/// ... but so many at most. Each is memory that the kernel may have to clear first, which takes longer than to wait.
pub const OBJECTS_HURRIED_MAX: usize = 2;
/// Bytes a block of one bin may have once it is unpacked.
pub const BLOCK_BYTES_MAX: usize = 1 << 30;
/// Bytes a manifest may have once it is unpacked.
pub const MANIFEST_BYTES_MAX: usize = 1 << 30;
/// State encoded between two batches, in bytes, with [`ENCODE_BYTES_PER_BIN`] for each bin; at least one bin.
pub const ENCODE_SLICE_BYTES: usize = 32 << 10;
/// What encoding a bin counts beside its bytes, in bytes: to seal one costs about as much as encoding this, and where bins are
/// small a slice would else be hundreds of them.
pub const ENCODE_BYTES_PER_BIN: usize = 1 << 10;
/// Bytes that a key and its state take at least, encoded: a worker that has never stored an object makes room by it.
pub const ENCODE_BYTES_PER_KEY_MIN: usize = 4;
/// State encoded in addition for each key that had to be saved since the last slice, in bytes. Saving a key costs about as
/// much as encoding this: under load a snapshot hurries, so that fewer keys are touched before it is done.
pub const ENCODE_BYTES_PER_SAVED_KEY: usize = 256;
/// Memory in which a key of a frozen bin was encoded that stays for the next one, in bytes: a table that grows saves all of
/// its bin at once.
pub const SAVED_ENTRY_BYTES_KEPT: usize = 4 << 10;
/// State encoded between two batches at most, in bytes, beside the bin that goes beyond it.
pub const ENCODE_SLICE_BYTES_MAX: usize = 256 << 10;
/// Store reads one worker has under way at once while it restores.
pub const RESTORE_READS_MAX: usize = 8;

/// Requests that wait while another operation is under way; the next one is refused.
pub const REQUESTS_QUEUED_MAX: usize = 16;
/// Attempts to append to the job log before a coordinator gives up.
pub const LOG_APPEND_ATTEMPTS_MAX: u32 = 8;
/// Attempts to read a job log that somebody trims meanwhile.
pub const LOG_READ_ATTEMPTS_MAX: u32 = 16;
/// Entries of the job log that are read at most when a coordinator starts.
pub const LOG_ENTRIES_MAX: usize = 1 << 20;
/// Bins moved in the first step of a rescale; later steps follow what that one weighed.
pub const MOVE_BINS_FIRST: usize = 32;
/// Bytes of encoded state that a step of a rescale should move, or what costs as much, with [`ENCODE_BYTES_PER_BIN`] for each
/// bin. Records for what moves wait until it has arrived, so this bounds how long.
pub const MOVE_STEP_BYTES: u64 = 512 << 10;
/// Bins moved in one step of a rescale at most.
pub const MOVE_BINS_MAX: usize = 512;

/// Snapshots after which what nothing needs any more is collected at the latest: to list a store, to read its log and to
/// delete costs more than to commit a small snapshot.
pub const COLLECT_SNAPSHOTS: u32 = 16;
/// Bytes that snapshots have stored after which it is collected at the latest: a large one is worth it each time.
pub const COLLECT_BYTES: u64 = 64 << 20;

/// Bytes of one frame of a session, without its length and checksum.
pub const SESSION_FRAME_BYTES_MAX: usize = 64 << 20;
/// Payloads a session keeps until they are acknowledged, and as many until they are taken.
pub const SESSION_WINDOW_FRAMES: usize = 16;
/// Bytes of payloads that wait to be acknowledged, after which a session takes in no more.
pub const SESSION_UNACKNOWLEDGED_BYTES_MAX: usize = 64 << 20;
/// How long a session waits before it sends something again first; each further attempt waits twice as long.
pub const SESSION_RETRY_MIN: Duration = Duration::from_millis(200);
/// The longest time between two attempts of a session.
pub const SESSION_RETRY_MAX: Duration = Duration::from_secs(2);
/// How long a session waits for an acknowledgement before the other end is lost.
pub const SESSION_DEADLINE: Duration = Duration::from_secs(10);
