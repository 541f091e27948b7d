//! Keys that are byte strings, as most are: words, ids, names.

#![expect(
    unsafe_code,
    reason = "a short key lies in the record and in the table's slot itself, where a `Box<[u8]>` would cost an \
              allocation for each record and a cache miss for each comparison"
)]

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An owned byte string of 16 bytes: up to [15](KeyBytes::INLINE_BYTES_MAX) bytes lie within it, more on the heap.
///
/// It compares and is stored as the bytes it holds. It does not hash as they do: a short key hashes as its 16 bytes, of
/// which the last is the length. So look a byte string up by a key made of it, which is cheap.
///
/// ```
/// use malstrom_core::key::KeyBytes;
///
/// let word = KeyBytes::from("storm");
/// assert_eq!(word, b"storm"[..]);
/// assert_eq!(word.len(), 5);
/// assert!(word < KeyBytes::from("stormy"));
/// ```
// The last byte tells what the others are. Up to 15: so many bytes are the key, the rest is zero. `ON_HEAP`: `heap` is
// valid. A key of up to 15 bytes is never on the heap, so that equal keys have equal forms.
#[repr(C)]
pub union KeyBytes {
    inline: [u8; 16],
    words: Words,
    heap: ManuallyDrop<Heap>,
}

impl KeyBytes {
    /// The longest key that needs no memory of its own.
    pub const INLINE_BYTES_MAX: usize = 15;

    /// A key with a copy of these bytes.
    #[inline]
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        if bytes.len() <= Self::INLINE_BYTES_MAX {
            Self { inline: short(bytes) }
        } else {
            Self::on_heap(bytes.into())
        }
    }

    /// A key of the first `len` bytes of a word, counted from its least significant one. Cheaper than [`new`](Self::new)
    /// where 16 bytes can be read at once, since the length decides no branch.
    ///
    /// ```
    /// use malstrom_core::key::KeyBytes;
    ///
    /// let text = u128::from_le_bytes(*b"storm in a glass");
    /// assert_eq!(KeyBytes::from_first(text, 5), KeyBytes::from("storm"));
    /// ```
    ///
    /// # Panics
    /// If `len` is more than [`INLINE_BYTES_MAX`](Self::INLINE_BYTES_MAX).
    #[inline]
    #[must_use]
    pub fn from_first(word: u128, len: usize) -> Self {
        assert!(len <= Self::INLINE_BYTES_MAX, "a key of {len} bytes does not lie in one word");
        let kept = word & KEPT[len];
        // That the last byte is the length and nothing else is said once more, for the compiler: then it knows that this key
        // is not on the heap.
        let low = (kept as u64).to_le();
        let high = ((kept >> 64) as u64 & u64::MAX >> 8 | (len as u64) << 56).to_le();
        Self { words: Words([low, high]) }
    }

    /// The bytes.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        if self.is_on_heap() {
            // SAFETY: the last byte says that the key is on the heap.
            let heap = unsafe { &self.heap };
            // SAFETY: the pointer and the length are those of a boxed slice that `self` owns.
            unsafe { std::slice::from_raw_parts(heap.start.0.as_ptr(), heap.len()) }
        } else {
            // SAFETY: the key is inline, so all 16 bytes are initialised.
            let inline = unsafe { &self.inline };
            &inline[..usize::from(self.last()).min(Self::INLINE_BYTES_MAX)]
        }
    }

    #[inline]
    fn last(&self) -> u8 {
        // The word is read and not the byte: a key in registers is then not taken apart for it.
        // SAFETY: the last eight bytes are initialised in every form: on the heap they are `Heap::len_and_mark`. Of the
        // first ones some may be padding where pointers are short.
        let last = unsafe { (&raw const self.words).cast::<u64>().add(1).read() };
        (u64::from_le(last) >> 56) as u8
    }

    #[inline]
    fn is_on_heap(&self) -> bool {
        self.last() == ON_HEAP
    }

    #[cold]
    fn on_heap(bytes: Box<[u8]>) -> Self {
        debug_assert!(bytes.len() > Self::INLINE_BYTES_MAX);
        // No address space has more than 2^56 bytes, so the last byte of the length is free for the mark.
        let mut len_and_mark = (bytes.len() as u64).to_le_bytes();
        len_and_mark[7] = ON_HEAP;
        // SAFETY: the pointer of a box is not null.
        let start = unsafe { NonNull::new_unchecked(Box::into_raw(bytes).cast::<u8>()) };
        Self { heap: ManuallyDrop::new(Heap { start: Start(start), len_and_mark }) }
    }

    /// Both words, if the key is inline.
    #[inline]
    fn words(&self) -> Option<Words> {
        if self.is_on_heap() {
            return None;
        }
        // SAFETY: the key is inline, so all 16 bytes are initialised.
        Some(unsafe { self.words })
    }
}

/// The first bytes of a word, by how many of them there are. Looked up: to shift a word of 16 bytes takes as long as reading
/// two of eight.
static KEPT: [u128; 16] = {
    let mut kept = [0; 16];
    let mut len = 1;
    while len < 16 {
        kept[len] = u128::MAX >> (8 * (16 - len));
        len += 1;
    }
    kept
};

/// The last byte of a key on the heap.
const ON_HEAP: u8 = 0xff;

/// Elements for which memory is set aside on the word of the bytes being read.
const SEQUENCE_PREALLOCATED_MAX: usize = 4096;

/// A boxed slice in parts.
#[derive(Clone, Copy)]
#[repr(C)]
struct Heap {
    start: Start,
    len_and_mark: [u8; 8],
}

/// Eight bytes on every platform.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Start(NonNull<u8>);

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(8))]
struct Words([u64; 2]);

const _: () = assert!(size_of::<KeyBytes>() == 16 && size_of::<Heap>() == 16);

impl Heap {
    #[inline]
    fn len(&self) -> usize {
        let mut len = self.len_and_mark;
        len[7] = 0;
        u64::from_le_bytes(len) as usize
    }
}

/// The inline form of at most 15 bytes. Reads that overlap make up each word without a loop.
#[inline]
fn short(bytes: &[u8]) -> [u8; 16] {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let half = |at: usize| {
        let mut half = [0; 4];
        half.copy_from_slice(&bytes[at..at + 4]);
        u64::from(u32::from_le_bytes(half))
    };
    let byte = |at: usize| u64::from(bytes[at]) << (8 * at);
    let (low, high) = match bytes.len() {
        0 => (0, 0),
        n @ 1..4 => (byte(0) | byte(n / 2) | byte(n - 1), 0),
        n @ 4..8 => (half(0) | half(n - 4) << (8 * (n - 4)), 0),
        8 => (word(0), 0),
        n => (word(0), word(n - 8) >> (8 * (16 - n))),
    };
    let mut inline = [0; 16];
    inline[..8].copy_from_slice(&low.to_le_bytes());
    inline[8..].copy_from_slice(&high.to_le_bytes());
    inline[15] = bytes.len() as u8;
    inline
}

// SAFETY: a key owns its bytes, as a boxed slice does.
unsafe impl Send for KeyBytes {}
// SAFETY: a shared key gives out shared references to its bytes only.
unsafe impl Sync for KeyBytes {}

impl Drop for KeyBytes {
    #[inline]
    fn drop(&mut self) {
        #[cold]
        fn free(heap: Heap) {
            let bytes = std::ptr::slice_from_raw_parts_mut(heap.start.0.as_ptr(), heap.len());
            // SAFETY: these are the parts of a box that the key owned and that nobody uses any more.
            drop(unsafe { Box::from_raw(bytes) });
        }
        if self.is_on_heap() {
            // SAFETY: the last byte says that the key is on the heap.
            free(unsafe { *self.heap });
        }
    }
}

impl Clone for KeyBytes {
    #[inline]
    fn clone(&self) -> Self {
        match self.words() {
            Some(words) => Self { words },
            None => Self::on_heap(self.as_bytes().into()),
        }
    }
}

impl Default for KeyBytes {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl PartialEq for KeyBytes {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (self.words(), other.words()) {
            (Some(words), Some(others)) => words == others,
            (None, None) => self.as_bytes() == other.as_bytes(),
            _ => false,
        }
    }
}

impl Eq for KeyBytes {}

impl Ord for KeyBytes {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for KeyBytes {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for KeyBytes {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.words() {
            // A length that is always the same lets the hasher choose its path at compile time, where the length of the
            // text would be mispredicted for every other word.
            // SAFETY: the key is inline, so all 16 bytes are initialised.
            Some(_) => state.write(unsafe { &self.inline }),
            None => self.as_bytes().hash(state),
        }
    }
}

impl Deref for KeyBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for KeyBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq<[u8]> for KeyBytes {
    fn eq(&self, other: &[u8]) -> bool {
        self.as_bytes() == other
    }
}

impl PartialEq<&[u8]> for KeyBytes {
    fn eq(&self, other: &&[u8]) -> bool {
        self.as_bytes() == *other
    }
}

impl PartialEq<str> for KeyBytes {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for KeyBytes {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl From<&[u8]> for KeyBytes {
    #[inline]
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

impl From<&str> for KeyBytes {
    #[inline]
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl From<Vec<u8>> for KeyBytes {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() <= Self::INLINE_BYTES_MAX { Self::new(&bytes) } else { Self::on_heap(bytes.into()) }
    }
}

impl From<String> for KeyBytes {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

/// The bytes as text; what is not text shows as `�`.
impl fmt::Display for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from_utf8_lossy(self))
    }
}

/// The bytes as text in quotes; what is not text shows as `�`.
impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*String::from_utf8_lossy(self), f)
    }
}

impl Serialize for KeyBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for KeyBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(KeyVisitor)
    }
}

/// Takes bytes and text; and numbers one by one, which is what formats without bytes write.
struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = KeyBytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<KeyBytes, E> {
        Ok(bytes.into())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<KeyBytes, E> {
        Ok(bytes.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<KeyBytes, E> {
        Ok(text.into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<KeyBytes, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<KeyBytes, A::Error> {
        // What the input says of its length is not believed: memory beyond this grows with what is really there.
        let n_said = sequence.size_hint().unwrap_or(0);
        let mut bytes = Vec::with_capacity(n_said.min(SEQUENCE_PREALLOCATED_MAX));
        while let Some(byte) = sequence.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests;
