//! `rebalance`: records to all workers in turn.

use super::{Emit, Operator};
use crate::element::{Keyed, Record};
use crate::exchange::hash_in_bin;

/// Names the bins one after the other, so that records go to the workers in turn, as the bins do. See
/// [`Stream::rebalance`](crate::stream::Stream::rebalance).
#[derive(Debug)]
pub struct Spread {
    next: u64,
    mask: u64,
}

/// From one bin to the next: about the golden part of 2^64, so that bins side by side, which one worker may own, are far
/// apart. It is odd, so that all have their turn.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

impl Spread {
    pub(crate) fn new(n_bins: u32) -> Self {
        Self { next: 0, mask: u64::from(n_bins) - 1 }
    }
}

impl<T: 'static> Operator<T> for Spread {
    type Out = Keyed<(), T>;

    #[inline]
    fn process(&mut self, record: Record<T>, out: &mut impl Emit<Keyed<(), T>>) {
        self.next = self.next.wrapping_add(STRIDE);
        // The upper bits of the sum are the ones that are spread evenly.
        let bin = ((u128::from(self.next) * u128::from(self.mask + 1)) >> 64) as usize;
        out.emit(Record {
            time: record.time,
            value: Keyed { hash: hash_in_bin(bin), key: (), value: record.value },
        });
    }
}

/// Takes the bin off again.
#[derive(Debug)]
pub struct Unspread;

impl<T: 'static> Operator<Keyed<(), T>> for Unspread {
    type Out = T;

    #[inline]
    fn process(&mut self, record: Record<Keyed<(), T>>, out: &mut impl Emit<T>) {
        out.emit(Record { time: record.time, value: record.value.value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::bin_of;

    struct Bins(u64, Vec<u32>);

    impl Emit<Keyed<(), u64>> for Bins {
        fn emit(&mut self, record: Record<Keyed<(), u64>>) {
            self.1[bin_of(record.value.hash, self.0)] += 1;
        }
    }

    #[test]
    fn all_bins_have_their_turn_also_in_short_runs() {
        for n_bins in [1_u32, 2, 4, 64, 4096] {
            let (mut spread, mut bins) =
                (Spread::new(n_bins), Bins(u64::from(n_bins) - 1, vec![0; n_bins as usize]));
            (0..u64::from(4 * n_bins)).for_each(|n| spread.process(Record::new(n), &mut bins));
            assert!(bins.1.iter().all(|n| (2..=6).contains(n)), "{n_bins} bins: {:?}", bins.1);
        }
        let (mut spread, mut bins) = (Spread::new(4096), Bins(4095, vec![0; 4096]));
        (0..40).for_each(|n| spread.process(Record::new(n), &mut bins));
        let of_first_half: u32 = bins.1[..2048].iter().sum();
        assert!((18..=22).contains(&of_first_half), "{of_first_half} of 40 go to the first half of the bins");
    }
}
