//! What the keys of frozen bins were at the cut, if they were touched since.
//!
//! # Shape
//! - A slot of a frozen bin is *settled* once what it held at the cut has been saved, or it held nothing. There is a byte for
//!   each chunk of a bin that was touched, with a bit for each slot.
//! - What is saved of a bin is a chain of pieces of one size, from memory that all bins share: every bin is touched right
//!   behind a cut, so memory of its own for each would be asked for thousands of times at once, and the kernel clears what it
//!   gives. The pieces of a bin that has been encoded go to the next one that is touched.
//!
//! # Assumptions
//! Between two touches a table changes only in slots that are settled. One that grows or shrinks is settled as a whole
//! before.

use crate::state::table::prefetch_line;

/// Bytes of a piece: a small part of what a bin saves under load, and thousands of them are little memory.
const PIECE_BYTES: usize = 256;
/// Pieces that are allocated at once.
const BLOCK_PIECES: usize = 256;
/// Bytes of [`Saved::settled`] for each bin that there is memory for from the beginning: so many chunks are 50 keys and more.
const SETTLED_BYTES_READY: usize = 8;
/// No piece.
const NONE: u32 = u32::MAX;

/// What is saved of all bins of one state.
#[derive(Debug)]
pub(super) struct Saved {
    /// By bin.
    bins: Vec<Touched>,
    n_touched: usize,
    /// The bytes of the chunks of bins that were touched, each bin's side by side.
    settled: Vec<u8>,
    pieces: Pieces,
}

/// What is saved of one bin.
#[derive(Clone, Copy, Debug, Default)]
struct Touched {
    /// Whether it was touched at all.
    is_touched: bool,
    /// Whether all of it is settled, whatever its table has become since.
    is_whole: bool,
    /// Where its chunks begin in [`Saved::settled`], and how many there are.
    settled_at: u32,
    n_chunks: u32,
    /// Keys that were saved.
    n_keys: u32,
    bytes: Chain,
}

/// What a bin that was touched holds beside its table.
pub(super) struct AtCut<'a> {
    /// For each chunk of its table the slots that do not count; `None` if none does.
    pub(super) settled: Option<&'a [u8]>,
    /// Keys that were saved.
    pub(super) n_keys: usize,
}

impl Saved {
    /// Nothing, for a state of so many bins, in memory that was touched: it is asked for right behind a cut, under load, where
    /// the stream would stand still while the kernel finds and clears it.
    pub(super) fn new(n_bins: usize) -> Self {
        let mut settled = vec![u8::MAX; n_bins * SETTLED_BYTES_READY];
        settled.clear();
        let bins = vec![Touched::default(); n_bins];
        Self { bins, n_touched: 0, settled, pieces: Pieces::for_bins(n_bins) }
    }

    /// Whether no bin has been touched since all were forgotten.
    pub(super) fn is_unused(&self) -> bool {
        self.settled.is_empty()
    }

    /// Makes room at once, where memory that grows would be asked for again and again.
    pub(super) fn reserve(&mut self, n_chunks: usize) {
        self.settled.reserve(n_chunks);
    }

    /// A frozen bin is touched: from now on it has room for what is to be saved.
    pub(super) fn touch(&mut self, bin: usize, n_chunks: usize) {
        let touched = &mut self.bins[bin];
        if !touched.is_touched {
            let settled_at = in_word(self.settled.len());
            *touched =
                Touched { is_touched: true, settled_at, n_chunks: in_word(n_chunks), ..Touched::default() };
            self.settled.resize(self.settled.len() + n_chunks, 0);
            self.n_touched += 1;
        }
    }

    /// Whether all of a bin that was touched is settled.
    pub(super) fn is_whole(&self, bin: usize) -> bool {
        self.bins[bin].is_whole
    }

    /// Begins to load what saving a key of this chunk will touch. It changes nothing but the time that takes.
    pub(super) fn prefetch(&self, bin: usize, chunk: u32) {
        let touched = &self.bins[bin];
        if touched.is_touched {
            prefetch_line(self.settled.as_ptr().wrapping_add(touched.settled_at as usize + chunk as usize));
            self.pieces.prefetch_end(&touched.bytes);
        }
    }

    /// Settles a slot of a bin that was touched; whether it was not yet.
    pub(super) fn settle(&mut self, bin: usize, chunk: u32, slot: u32) -> bool {
        let chunk = &mut self.settled[self.bins[bin].settled_at as usize + chunk as usize];
        let was = *chunk;
        *chunk |= 1 << slot;
        was != *chunk
    }

    /// Settles all of a bin that was touched.
    pub(super) fn settle_whole(&mut self, bin: usize) {
        self.bins[bin].is_whole = true;
    }

    /// Saves keys of a bin that was touched.
    pub(super) fn save(&mut self, bin: usize, n_keys: usize, bytes: &[u8]) {
        let touched = &mut self.bins[bin];
        touched.n_keys += in_word(n_keys);
        self.pieces.append(&mut touched.bytes, bytes);
    }

    /// What there is of a bin, if it was touched.
    pub(super) fn of(&self, bin: usize) -> Option<AtCut<'_>> {
        let touched = self.bins.get(bin).filter(|touched| touched.is_touched)?;
        let (start, n_chunks) = (touched.settled_at as usize, touched.n_chunks as usize);
        let settled = (!touched.is_whole).then(|| &self.settled[start..start + n_chunks]);
        Some(AtCut { settled, n_keys: touched.n_keys as usize })
    }

    /// Appends what was saved of a bin that was touched.
    pub(super) fn copy(&self, bin: usize, out: &mut Vec<u8>) {
        self.pieces.copy(&self.bins[bin].bytes, out);
    }

    /// Forgets a bin; whether it was touched.
    pub(super) fn forget(&mut self, bin: usize) -> bool {
        let Some(touched) = self.bins.get_mut(bin).filter(|touched| touched.is_touched) else { return false };
        let touched = std::mem::take(touched);
        self.n_touched -= 1;
        self.pieces.free(touched.bytes);
        true
    }

    /// Forgets all bins, and tells of those that were touched. The memory stays for the next snapshot, as far as this one
    /// has needed it.
    pub(super) fn forget_all(&mut self, mut was_touched: impl FnMut(usize)) {
        if self.n_touched > 0 {
            for (bin, touched) in self.bins.iter_mut().enumerate().filter(|(_, touched)| touched.is_touched) {
                *touched = Touched::default();
                was_touched(bin);
            }
        }
        self.n_touched = 0;
        self.settled.clear();
        self.pieces.free_all();
    }
}

fn in_word(n: usize) -> u32 {
    u32::try_from(n).expect("the tables of a worker have fewer than 2^32 chunks, and fewer keys each")
}

/// Bytes in pieces, one after the other.
#[derive(Clone, Copy, Debug)]
struct Chain {
    first: u32,
    last: u32,
    n_bytes: usize,
}

impl Default for Chain {
    fn default() -> Self {
        Self { first: NONE, last: NONE, n_bytes: 0 }
    }
}

/// The memory of all chains.
#[derive(Debug)]
struct Pieces {
    /// Blocks that stay, used or not.
    n_blocks_min: usize,
    blocks: Vec<Box<[u8]>>,
    /// For each piece the one that follows it in its chain, or among those that are free.
    next: Vec<u32>,
    /// The first of those that were used and are free again.
    free: Option<u32>,
    /// How many were used at least once since all were freed.
    n_used: usize,
}

impl Pieces {
    /// A piece for each of some of the bins, where there are many.
    fn for_bins(n_bins: usize) -> Self {
        let n_blocks_min = usize::from(n_bins >= BLOCK_PIECES);
        let mut next = vec![NONE; n_bins];
        next.clear();
        // Not of zeros: those would be memory that nobody has touched yet.
        let block = || vec![u8::MAX; BLOCK_PIECES * PIECE_BYTES].into_boxed_slice();
        let blocks = std::iter::repeat_with(block).take(n_blocks_min).collect();
        Self { n_blocks_min, blocks, next, free: None, n_used: 0 }
    }

    fn append(&mut self, chain: &mut Chain, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let filled = chain.n_bytes % PIECE_BYTES;
            if filled == 0 {
                let piece = self.take();
                match chain.last {
                    NONE => chain.first = piece,
                    last => self.next[last as usize] = piece,
                }
                chain.last = piece;
            }
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - filled));
            self.piece_mut(chain.last)[filled..filled + now.len()].copy_from_slice(now);
            chain.n_bytes += now.len();
            bytes = later;
        }
    }

    /// Begins to load where the next bytes of a chain go.
    fn prefetch_end(&self, chain: &Chain) {
        let filled = chain.n_bytes % PIECE_BYTES;
        if filled > 0 {
            let start = chain.last as usize % BLOCK_PIECES * PIECE_BYTES;
            prefetch_line(&raw const self.blocks[chain.last as usize / BLOCK_PIECES][start + filled]);
        }
    }

    fn copy(&self, chain: &Chain, out: &mut Vec<u8>) {
        let (mut piece, mut left) = (chain.first, chain.n_bytes);
        while left > 0 {
            let n = left.min(PIECE_BYTES);
            let start = piece as usize % BLOCK_PIECES * PIECE_BYTES;
            out.extend_from_slice(&self.blocks[piece as usize / BLOCK_PIECES][start..start + n]);
            left -= n;
            piece = self.next[piece as usize];
        }
    }

    fn free(&mut self, chain: Chain) {
        if chain.first != NONE {
            self.next[chain.last as usize] = self.free.unwrap_or(NONE);
            self.free = Some(chain.first);
        }
    }

    fn free_all(&mut self) {
        self.blocks.truncate(self.n_used.div_ceil(BLOCK_PIECES).max(self.n_blocks_min));
        self.next.clear();
        self.free = None;
        self.n_used = 0;
    }

    fn take(&mut self) -> u32 {
        let piece = match self.free {
            Some(piece) => {
                self.free = Some(self.next[piece as usize]).filter(|next| *next != NONE);
                piece
            }
            None => {
                if self.n_used == self.blocks.len() * BLOCK_PIECES {
                    self.blocks.push(vec![0; BLOCK_PIECES * PIECE_BYTES].into_boxed_slice());
                }
                self.n_used += 1;
                self.next.push(NONE);
                u32::try_from(self.n_used - 1).expect("a worker saves less than 2^40 bytes")
            }
        };
        self.next[piece as usize] = NONE;
        piece
    }

    fn piece_mut(&mut self, piece: u32) -> &mut [u8] {
        let start = piece as usize % BLOCK_PIECES * PIECE_BYTES;
        &mut self.blocks[piece as usize / BLOCK_PIECES][start..start + PIECE_BYTES]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_bins(n_bins: usize) -> Saved {
        let mut saved = Saved::new(n_bins);
        saved.reserve(n_bins);
        saved
    }

    fn saved(saved: &Saved, bin: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        saved.copy(bin, &mut bytes);
        bytes
    }

    #[test]
    fn memory_of_a_bin_that_is_forgotten_serves_the_next_one() {
        let mut state = of_bins(1000);
        for bin in 0..1000 {
            state.touch(bin, 1);
            state.save(bin, 1, &[7; 5 * PIECE_BYTES]);
            assert!(state.forget(bin));
        }
        assert_eq!(state.pieces.blocks.len(), 1);
    }

    #[test]
    fn as_much_memory_stays_as_the_last_snapshot_needed() {
        let mut state = of_bins(1);
        let block = [7; BLOCK_PIECES * PIECE_BYTES];
        for (n_needed, n_kept) in [(3, 3), (2, 3), (1, 2), (1, 1)] {
            state.touch(0, 1);
            (0..n_needed).for_each(|_| state.save(0, 1, &block));
            assert_eq!(state.pieces.blocks.len(), n_kept);
            let mut touched = Vec::new();
            state.forget_all(|bin| touched.push(bin));
            assert_eq!(touched, [0]);
        }
    }

    #[test]
    fn a_slot_is_settled_once() {
        let mut state = of_bins(2);
        state.touch(1, 3);
        assert!(state.settle(1, 2, 6));
        assert!(!state.settle(1, 2, 6));
        assert_eq!(state.of(1).unwrap().settled, Some(&[0, 0, 1 << 6][..]));
        assert!(state.of(0).is_none());
        state.settle_whole(1);
        assert_eq!(state.of(1).unwrap().settled, None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn each_bin_gives_what_was_saved_of_it(
            steps in prop::collection::vec((0..5_usize, prop::collection::vec(any::<u8>(), 0..600), 0..9), 0..80),
        ) {
            let mut state = of_bins(5);
            let mut model = vec![Vec::new(); 5];
            for (bin, bytes, what) in steps {
                match what {
                    0 => {
                        state.forget(bin);
                        model[bin].clear();
                    }
                    1 if bin == 0 => {
                        state.forget_all(|_| {});
                        model.iter_mut().for_each(Vec::clear);
                    }
                    _ => {
                        state.touch(bin, 1);
                        state.save(bin, 1, &bytes);
                        model[bin].extend(bytes);
                    }
                }
                for (bin, bytes) in model.iter().enumerate() {
                    if state.of(bin).is_some() {
                        prop_assert_eq!(&saved(&state, bin), bytes);
                    }
                }
            }
        }
    }
}
