//! Queries with windows and sessions.

use std::time::Duration;

use malstrom_core::operators::{Emit, TimedOperator, Timers};
use malstrom_core::stage::Pipe;
use malstrom_core::stream::Stream;
use malstrom_core::time::Due;
use malstrom_runtime::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::calc::{DAY_MS, STEP_MS, WINDOW_MS, rank};
use crate::event::{Bid, Event};
use crate::out::Out;

/// What ranks highest, all of it if several are equal.
struct Greatest<F>(F);

impl<V, T, F> Aggregate<V> for Greatest<F>
where
    T: Clone + Serialize + DeserializeOwned + Send + 'static,
    F: Fn(V) -> (u64, T) + 'static,
{
    type Acc = (u64, Vec<T>);
    type Out = (u64, Vec<T>);

    fn init(&self) -> Self::Acc {
        (0, Vec::new())
    }

    #[inline]
    fn add(&self, (rank, equals): &mut Self::Acc, value: V) {
        let (its_rank, value) = (self.0)(value);
        if its_rank >= *rank {
            if its_rank > *rank {
                equals.clear();
            }
            *rank = its_rank;
            equals.push(value);
        }
    }

    fn merge(&self, (rank, equals): &mut Self::Acc, other: &Self::Acc) {
        if other.0 >= *rank {
            if other.0 > *rank {
                equals.clear();
            }
            *rank = other.0;
            equals.extend_from_slice(&other.1);
        }
    }

    fn finish(&self, acc: &Self::Acc) -> Self::Out {
        acc.clone()
    }
}

/// The auctions with most bids, of the last ten seconds every two.
pub(super) fn q5<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let bids = events.filter_map(Event::bid).map(|bid| bid.auction);
    let counts = bids
        .window_by(|auction| *auction, Sliding::of(WINDOW_MS, STEP_MS))
        .aggregate("bids", aggregates::count())
        .into_pairs();
    // A count bears the last time of its window, and windows end every step: each step has the counts of one.
    let hottest = counts
        .window_all(Tumbling::of(STEP_MS))
        .aggregate("hottest", Greatest(|(auction, window): (u64, WindowResult<u64>)| (window.value, auction)))
        .into_pairs();
    out.write(hottest.flat_map(|(_, window)| {
        let (n_bids, auctions) = window.value;
        auctions.into_iter().map(move |auction| (auction, n_bids, window.end.0))
    }));
}

/// The highest bids of every ten seconds.
pub(super) fn q7<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let highest = Greatest(|bid: Bid| (bid.price, (bid.auction, bid.bidder, bid.time)));
    let windows = events.filter_map(Event::bid).window_all(Tumbling::of(WINDOW_MS));
    let highest = windows.aggregate("highest", highest).into_pairs();
    out.write(highest.flat_map(|(_, window)| {
        let (price, bids) = window.value;
        bids.into_iter().map(move |(auction, bidder, time)| (auction, price, bidder, time))
    }));
}

/// How many bids each bidder makes in a session.
pub(super) fn q11<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let bidders = events.filter_map(Event::bid).into_keyed(|bid| (bid.bidder, ()));
    let sessions = bidders.window(Session::with_gap(WINDOW_MS)).aggregate("sessions", aggregates::count());
    out.write(
        sessions
            .into_pairs()
            .map(|(bidder, session)| (bidder, session.value, session.start.0, session.end.0)),
    );
}

/// Counts by the clock.
struct ByClock;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counted(u64);

impl TimedOperator<u64, ()> for ByClock {
    type State = Counted;
    type Out = u64;

    #[inline]
    fn process(
        &mut self,
        _: &u64,
        state: &mut Option<Counted>,
        _: Record<()>,
        timers: &mut Timers<'_>,
        _: &mut impl Emit<u64>,
    ) {
        let counted = state.get_or_insert_with(|| {
            let window = Duration::from_millis(WINDOW_MS as u64).as_nanos() as u64;
            timers.set_after(Duration::from_nanos(window - timers.now().0 % window));
            // The clock does not come to the end of a window that the stream's end cuts short.
            timers.set_at(Timestamp::MAX);
            Counted::default()
        });
        counted.0 += 1;
    }

    fn on_timer(
        &mut self,
        _: &u64,
        state: &mut Option<Counted>,
        _: Due,
        timers: &mut Timers<'_>,
        out: &mut impl Emit<u64>,
    ) {
        timers.cancel_at(Timestamp::MAX);
        if let Some(Counted(n)) = state.take() {
            out.emit(Record::at(timers.watermark(), n));
        }
    }
}

/// How many bids each bidder makes in ten seconds of the clock.
pub(super) fn q12<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let bidders = events.filter_map(Event::bid).into_keyed(|bid| (bid.bidder, ()));
    out.write(bidders.process_timed("by clock", ByClock).into_pairs());
}

/// What the bids of an auction come to.
struct Prices;

/// Bids of each rank, the least, the greatest and the sum of prices.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) ranks: [u64; 3],
    pub(crate) least: u64,
    pub(crate) greatest: u64,
    pub(crate) sum: u64,
}

impl Default for Summary {
    fn default() -> Self {
        Self { ranks: [0; 3], least: u64::MAX, greatest: 0, sum: 0 }
    }
}

impl Summary {
    #[inline]
    pub(crate) fn add(&mut self, price: u64) {
        self.ranks[usize::from(rank(price))] += 1;
        self.least = self.least.min(price);
        self.greatest = self.greatest.max(price);
        self.sum += price;
    }
}

impl Aggregate<(u64, u64)> for Prices {
    type Acc = Summary;
    type Out = Summary;

    fn init(&self) -> Summary {
        Summary::default()
    }

    #[inline]
    fn add(&self, summary: &mut Summary, (_, price): (u64, u64)) {
        summary.add(price);
    }

    fn merge(&self, summary: &mut Summary, other: &Summary) {
        for (n, more) in summary.ranks.iter_mut().zip(other.ranks) {
            *n += more;
        }
        summary.least = summary.least.min(other.least);
        summary.greatest = summary.greatest.max(other.greatest);
        summary.sum += other.sum;
    }

    fn finish(&self, summary: &Summary) -> Summary {
        summary.clone()
    }
}

/// What the bids of each auction come to in a day.
pub(super) fn q17<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let bids = events.filter_map(Event::bid).map(|bid| (bid.auction, bid.price));
    let days = bids.window_by(|(auction, _)| *auction, Tumbling::of(DAY_MS)).aggregate("prices", Prices);
    out.write(days.into_pairs().map(|(auction, day)| summary_row(auction, day.start.0, &day.value)));
}

/// A row of query 17.
pub(crate) type Summary17 = (u64, i64, u64, u64, u64, u64, u64, u64, u64);

pub(crate) fn summary_row(auction: u64, day: i64, summary: &Summary) -> Summary17 {
    let [cheap, middling, dear] = summary.ranks;
    let n = cheap + middling + dear;
    (auction, day, n, cheap, middling, dear, summary.least, summary.greatest, summary.sum)
}
