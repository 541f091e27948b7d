//! Queries that count each bidder and each auction of a day once. Whoever is seen first is known by a state of their own,
//! spread over all workers; only counts come together.

use malstrom_core::operators::{Emit, TimedOperator, Timers};
use malstrom_core::stage::Pipe;
use malstrom_core::stream::Stream;
use malstrom_core::time::Due;
use malstrom_runtime::prelude::*;
use serde::{Deserialize, Serialize};

use crate::calc::{DAY_MS, rank};
use crate::event::{Bid, Channel, Event};
use crate::out::Out;

/// Somebody in a group on a day, by its number: whether it is an auction, and which auction or bidder. As plain fields it
/// takes little, in memory and in snapshots: there are more of them than of anything else.
type Somebody<G> = (G, i32, bool, u64);

/// A bidder and an auction of a bid, each with its rank and its time.
fn seen<G: Copy>(group: G, bid: Bid) -> [(Somebody<G>, (u8, i64)); 2] {
    let (day, of) = ((bid.time / DAY_MS) as i32, (rank(bid.price), bid.time));
    [((group, day, false, bid.bidder), of), ((group, day, true, bid.auction), of)]
}

/// What a bid adds to the counts of its day.
#[derive(Clone, Copy, Debug)]
enum News {
    /// A bid, of this rank and time, and the ranks in which its bidder is new.
    Bid { rank: u8, time: i64, is_new: u8 },
    /// The ranks in which an auction is new.
    Auction { is_new: u8 },
}

/// The bit that stands for all ranks together.
const ALL: u8 = 1 << 3;

/// Remembers for a day in which ranks somebody was seen.
struct FirstSeen;

impl<G: 'static> TimedOperator<Somebody<G>, (u8, i64)> for FirstSeen {
    type State = u8;
    type Out = News;

    #[inline]
    fn process(
        &mut self,
        (_, day, is_auction, _): &Somebody<G>,
        state: &mut Option<u8>,
        record: Record<(u8, i64)>,
        timers: &mut Timers<'_>,
        out: &mut impl Emit<News>,
    ) {
        let (rank, time) = record.value;
        let seen = state.get_or_insert_with(|| {
            timers.set_at(Timestamp((i64::from(*day) + 1) * DAY_MS));
            0
        });
        let is_new = (1 << rank | ALL) & !*seen;
        *seen |= is_new;
        match is_auction {
            false => out.emit(Record::at(record.time, News::Bid { rank, time, is_new })),
            true if is_new > 0 => out.emit(Record::at(record.time, News::Auction { is_new })),
            true => {}
        }
    }

    fn on_timer(
        &mut self,
        _: &Somebody<G>,
        state: &mut Option<u8>,
        _: Due,
        _: &mut Timers<'_>,
        _: &mut impl Emit<News>,
    ) {
        *state = None;
    }
}

/// Bids, bidders and auctions: of each rank, and of all; and the last minute in which there was a bid.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Counts {
    n: [[u64; 4]; 3],
    last_minute: i64,
}

struct Count;

impl<K: 'static> Aggregate<(K, News)> for Count {
    type Acc = Counts;
    type Out = Counts;

    fn init(&self) -> Counts {
        Counts::default()
    }

    #[inline]
    fn add(&self, Counts { n: [bids, bidders, auctions], last_minute }: &mut Counts, (_, news): (K, News)) {
        let add = |counts: &mut [u64; 4], bits: u8| {
            counts.iter_mut().enumerate().for_each(|(at, n)| *n += u64::from(bits >> at & 1));
        };
        match news {
            News::Bid { rank, time, is_new } => {
                add(bids, 1 << rank | ALL);
                add(bidders, is_new);
                *last_minute = (*last_minute).max(time.rem_euclid(DAY_MS) / 60_000);
            }
            News::Auction { is_new } => add(auctions, is_new),
        }
    }

    fn merge(&self, counts: &mut Counts, other: &Counts) {
        for (counts, other) in counts.n.iter_mut().flatten().zip(other.n.iter().flatten()) {
            *counts += other;
        }
        counts.last_minute = counts.last_minute.max(other.last_minute);
    }

    fn finish(&self, counts: &Counts) -> Counts {
        counts.clone()
    }
}

/// Bids, bidders and auctions of a day.
pub(super) fn q15<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let seen = events.filter_map(Event::bid).flat_map(|bid| seen((), bid));
    let news = seen.into_keyed(|pair| pair).process_timed("seen", FirstSeen).into_pairs();
    let days = news.window_all(Tumbling::of(DAY_MS)).aggregate("days", Count).into_pairs();
    out.write(days.map(|(_, day)| {
        let [b, p, a] = day.value.n;
        (day.start.0, b[3], b[0], b[1], b[2], p[3], p[0], p[1], p[2], a[3], a[0], a[1], a[2])
    }));
}

/// The same of each channel, and the last minute of a bid.
pub(super) fn q16<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let seen = events.filter_map(Event::bid).flat_map(|bid| seen(bid.channel, bid));
    let news = seen.into_keyed(|pair| pair).process_timed("seen", FirstSeen).into_pairs();
    let channel = |news: &(Somebody<Channel>, News)| news.0.0;
    let days = news.window_by(channel, Tumbling::of(DAY_MS)).aggregate("days", Count).into_pairs();
    out.write(days.map(|(channel, day)| {
        let ([b, p, a], minute) = (day.value.n, day.value.last_minute);
        let name = channel.text();
        let start = day.start.0;
        (name, start, minute, b[3], b[0], b[1], b[2], p[3], p[0], p[1], p[2], a[3], a[0], a[1], a[2])
    }));
}
