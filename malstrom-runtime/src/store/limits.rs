//! The bounds of stores, by name and with the unit last.

/// Objects that one listing returns at most; a folder with more is refused by name.
pub(super) const LISTED_OBJECTS_MAX: usize = 1 << 22;
/// Folders remembered as durable by a local store; past it they are made durable once more.
pub(super) const DURABLE_FOLDERS_MAX: usize = 1 << 12;
/// Objects that a local store writes at once: while one waits for the disk, another is copied.
pub(super) const WRITERS_MAX: usize = 2;
/// Objects of one worker that are on their way to a disk, beside the one that it fills.
pub(super) const PUTS_AT_ONCE: usize = 1;
/// Bytes of an object that a local store writes past the page cache, at least. A choice that was not measured: of smaller ones
/// little is saved.
pub(super) const DIRECT_BYTES_MIN: usize = 1 << 18;
/// What the address, the place and the length of a write past the page cache are multiples of. Disks ask for no more.
pub(super) const DIRECT_BLOCK_BYTES: usize = 1 << 12;
/// Files that writers which were stopped may have left beside the place of one object.
pub(super) const STAGED_NAMES_MAX: usize = 1 << 10;
