//! The bounded channel between two workers: a queue for parcels one way, and a wait-free ring for emptied batches the
//! other.

use malstrom_core::exchange::{AnyBatch, Parcel, ParcelReceiver, ParcelSender};
use malstrom_core::limits::CHANNEL_MESSAGES_MAX;
use rtrb::{Consumer, Producer, RingBuffer};

use super::handover::{Giver, Taker, queue};
use super::wake::Wake;

pub(crate) struct Sender {
    parcels: Giver<Parcel>,
    empty: Consumer<Box<dyn AnyBatch>>,
}

pub(crate) struct Receiver {
    parcels: Taker<Parcel>,
    empty: Producer<Box<dyn AnyBatch>>,
}

/// A channel whose ends know how to wake each other.
pub(crate) fn channel(sender: Wake, receiver: Wake) -> (Sender, Receiver) {
    let (giver, taker) = queue(CHANNEL_MESSAGES_MAX, sender, receiver);
    let (empty_in, empty_out) = RingBuffer::new(CHANNEL_MESSAGES_MAX);
    (Sender { parcels: giver, empty: empty_out }, Receiver { parcels: taker, empty: empty_in })
}

impl ParcelSender for Sender {
    fn try_send(&mut self, parcel: Parcel) -> Result<(), Parcel> {
        self.parcels.try_send(parcel)
    }

    fn recycled(&mut self) -> Option<Box<dyn AnyBatch>> {
        self.empty.pop().ok()
    }
}

impl ParcelReceiver for Receiver {
    fn try_recv(&mut self) -> Option<Parcel> {
        self.parcels.try_recv()
    }

    fn recycle(&mut self, batch: Box<dyn AnyBatch>) {
        // When the ring is full, the memory is given back.
        let _ = self.empty.push(batch);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::threads::bell::{Bell, Lately, Rest};
    use malstrom_core::element::{Control, Timestamp};

    use super::*;

    fn parcel(n: i64) -> Parcel {
        Parcel::Control(Control::Watermark(Timestamp(n)))
    }

    #[test]
    fn a_full_channel_gives_the_parcel_back() {
        let here = Wake::Thread(Arc::new(Bell::of(std::thread::current())));
        let (mut sender, mut receiver) = channel(here.clone(), here);
        for n in 0..CHANNEL_MESSAGES_MAX {
            sender.try_send(parcel(n as i64)).unwrap();
        }
        assert!(sender.try_send(parcel(99)).is_err());
        assert!(matches!(receiver.try_recv(), Some(Parcel::Control(Control::Watermark(Timestamp(0))))));
        sender.try_send(parcel(99)).unwrap();
    }

    #[test]
    fn a_channel_without_receiver_takes_all() {
        let here = Wake::Thread(Arc::new(Bell::of(std::thread::current())));
        let (mut sender, receiver) = channel(here.clone(), here);
        drop(receiver);
        for n in 0..3 * CHANNEL_MESSAGES_MAX {
            sender.try_send(parcel(n as i64)).unwrap();
        }
    }

    #[test]
    fn two_threads_that_rest_when_they_can_do_nothing_pass_everything_on_in_order() {
        const N: i64 = 20_000;
        const REST: Rest = Rest { max: Duration::from_secs(10), look_max: Duration::from_micros(5) };
        let main = Arc::new(Bell::of(std::thread::current()));
        let (to_child, from_main) = flume::bounded::<(Receiver, Arc<Bell>)>(1);
        let child = std::thread::spawn(move || {
            let (mut receiver, bell) = from_main.recv().unwrap();
            let mut lately = Lately::new();
            let mut next = 0;
            while next < N {
                match receiver.try_recv() {
                    Some(Parcel::Control(Control::Watermark(Timestamp(n)))) => {
                        assert_eq!(n, next);
                        next += 1;
                    }
                    Some(other) => panic!("unexpected {other:?}"),
                    None => bell.rest(REST, &mut lately),
                }
            }
        });
        let bell = Arc::new(Bell::of(child.thread().clone()));
        let (mut sender, receiver) = channel(Wake::Thread(main.clone()), Wake::Thread(bell.clone()));
        to_child.send((receiver, bell)).unwrap();
        let mut lately = Lately::new();
        for n in 0..N {
            let mut parcel = parcel(n);
            while let Err(back) = sender.try_send(parcel) {
                parcel = back;
                main.rest(REST, &mut lately);
            }
        }
        child.join().unwrap();
    }
}
