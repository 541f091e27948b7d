//! Batches between threads: a ring from each thread to each other one, and one back for empty batches.

use rtrb::{Consumer, Producer, PushError, RingBuffer};

/// Batches that wait in one ring.
const RING_BATCHES: usize = 16;

/// What can travel: a buffer that is emptied and used again.
pub trait Batch: Default + Send {
    /// Forgets what it holds and keeps its memory.
    fn clear(&mut self);
}

impl<T: Send> Batch for Vec<T> {
    fn clear(&mut self) {
        Vec::clear(self);
    }
}

/// One thread's ends of all rings.
#[derive(Debug)]
pub struct Port<B> {
    to: Vec<Option<Outgoing<B>>>,
    from: Vec<Incoming<B>>,
}

#[derive(Debug)]
struct Outgoing<B> {
    full: Producer<B>,
    empty: Consumer<B>,
}

#[derive(Debug)]
struct Incoming<B> {
    full: Consumer<B>,
    empty: Producer<B>,
}

/// Connects `n` threads with one another.
#[must_use]
pub fn mesh<B: Batch>(n: usize) -> Vec<Port<B>> {
    let mut ports: Vec<Port<B>> = (0..n).map(|_| Port { to: Vec::new(), from: Vec::new() }).collect();
    for sender in 0..n {
        for receiver in 0..n {
            if sender == receiver {
                ports[sender].to.push(None);
                continue;
            }
            let (full, full_end) = RingBuffer::new(RING_BATCHES);
            let (empty, empty_end) = RingBuffer::new(RING_BATCHES + 2);
            ports[sender].to.push(Some(Outgoing { full, empty: empty_end }));
            ports[receiver].from.push(Incoming { full: full_end, empty });
        }
    }
    ports
}

impl<B: Batch> Port<B> {
    /// How many threads there are.
    #[must_use]
    pub fn n_threads(&self) -> usize {
        self.to.len()
    }

    /// Sends a batch and puts an empty one in its place. While there is no room, `take` is given what comes in.
    #[inline]
    pub fn send(&mut self, to: usize, batch: &mut B, mut take: impl FnMut(&B)) {
        let Some(outgoing) = &mut self.to[to] else { return };
        let fresh = outgoing.empty.pop().unwrap_or_default();
        let mut full = std::mem::replace(batch, fresh);
        while let Some(outgoing) = &mut self.to[to] {
            match outgoing.full.push(full) {
                Ok(()) => return,
                Err(PushError::Full(again)) => full = again,
            }
            if !self.receive(&mut take) {
                std::thread::yield_now();
            }
        }
    }

    /// Gives `take` what has come in; tells whether there was anything.
    #[inline]
    pub fn receive(&mut self, mut take: impl FnMut(&B)) -> bool {
        let mut any = false;
        for incoming in &mut self.from {
            while let Ok(mut batch) = incoming.full.pop() {
                take(&batch);
                batch.clear();
                // A batch too many is freed.
                let _ = incoming.empty.push(batch);
                any = true;
            }
        }
        any
    }

    /// Sends no more.
    pub fn stop_sending(&mut self) {
        self.to.clear();
    }

    /// Whether nobody sends any more and everything has been received.
    pub fn is_over(&self) -> bool {
        self.from.iter().all(|incoming| incoming.full.is_abandoned() && incoming.full.is_empty())
    }

    /// Sends no more, and gives `take` what comes in until nobody sends any more.
    pub fn finish(mut self, mut take: impl FnMut(&B)) {
        self.stop_sending();
        while !self.is_over() {
            if !self.receive(&mut take) {
                std::thread::yield_now();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_sent_arrives() {
        let sums: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = mesh::<Vec<u64>>(3)
                .into_iter()
                .enumerate()
                .map(|(me, mut port)| {
                    scope.spawn(move || {
                        let (mut sum, mut batch) = (0, Vec::new());
                        for n in 0..1000 {
                            batch.push(n);
                            port.send((me + 1 + n as usize % 2) % 3, &mut batch, |b| {
                                sum += b.iter().sum::<u64>()
                            });
                        }
                        port.finish(|b| sum += b.iter().sum::<u64>());
                        sum
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(sums, 3 * 999 * 1000 / 2);
    }
}
