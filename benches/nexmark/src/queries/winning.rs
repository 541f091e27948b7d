//! Queries about the bid that wins an auction: the highest that came while it was open.

use malstrom_core::operators::{Emit, TimedOperator, Timers};
use malstrom_core::stage::Pipe;
use malstrom_core::stream::Stream;
use malstrom_core::time::Due;
use malstrom_runtime::prelude::*;
use serde::{Deserialize, Serialize};

use crate::calc::Offer;
use crate::event::Event;
use crate::out::Out;

/// How many sales an average of query 6 is over.
const SALES: usize = 10;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Lot {
    Opens(Opened),
    Offer(Offer),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Opened {
    time: i64,
    expires: i64,
    seller: u64,
    category: u64,
}

impl Opened {
    fn takes(&self, offer: &Offer) -> bool {
        (self.time..=self.expires).contains(&offer.time())
    }
}

/// An auction that has been won.
#[derive(Clone, Copy, Debug)]
struct Won {
    opened: Opened,
    offer: Offer,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Auctioned {
    opened: Option<Opened>,
    best: Option<Offer>,
    /// Offers for an auction that is not known yet; those that are for none are forgotten soon.
    early: Vec<Offer>,
}

/// Tells the best offer when no other can come.
struct Hammer;

impl TimedOperator<u64, Lot> for Hammer {
    type State = Auctioned;
    type Out = Won;

    #[inline]
    fn process(
        &mut self,
        _: &u64,
        state: &mut Option<Auctioned>,
        record: Record<Lot>,
        timers: &mut Timers<'_>,
        _: &mut impl Emit<Won>,
    ) {
        let state = state.get_or_insert_default();
        match (record.value, state.opened) {
            (Lot::Opens(opened), _) => {
                state.opened = Some(opened);
                let early = std::mem::take(&mut state.early);
                state.best = early.into_iter().filter(|offer| opened.takes(offer)).max();
                timers.set_at(Timestamp(opened.expires + 1));
            }
            (Lot::Offer(offer), Some(opened)) => {
                if opened.takes(&offer) {
                    state.best = state.best.max(Some(offer));
                }
            }
            (Lot::Offer(offer), None) => {
                if state.early.is_empty() {
                    timers.set_at(known_at(&offer));
                }
                state.early.push(offer);
            }
        }
    }

    fn on_timer(
        &mut self,
        _: &u64,
        state: &mut Option<Auctioned>,
        due: Due,
        timers: &mut Timers<'_>,
        out: &mut impl Emit<Won>,
    ) {
        let (Due::Event(due), Some(kept)) = (due, &mut *state) else { return };
        let Some(opened) = kept.opened else {
            kept.early.retain(|offer| offer.time() >= timers.watermark().0);
            match kept.early.iter().map(known_at).max() {
                Some(time) => timers.set_at(time),
                None => *state = None,
            }
            return;
        };
        if due.0 > opened.expires {
            if let Some(offer) = kept.best {
                out.emit(Record::at(Timestamp(opened.expires), Won { opened, offer }));
            }
            *state = None;
        }
    }
}

/// When the auction of an offer is known, if there is one that was opened before it.
fn known_at(offer: &Offer) -> Timestamp {
    Timestamp(offer.time() + 1)
}

/// An auction has an interval of its own in which it takes bids, so this is none of the engine's joins: they have one
/// interval for all rows.
fn won<P: Pipe<Item = Event>>(events: Stream<P>) -> Stream<impl Pipe<Item = (u64, Won)>> {
    let lots = events.filter_map(|event| match event {
        Event::Auction(auction) => {
            let (time, expires) = (auction.time, auction.expires);
            let (seller, category) = (auction.seller, auction.category);
            Some((auction.id, Lot::Opens(Opened { time, expires, seller, category })))
        }
        Event::Bid(bid) => Some((bid.auction, Lot::Offer(Offer::of(&bid)))),
        Event::Person(_) => None,
    });
    lots.into_keyed(|pair| pair).process_timed("auctions", Hammer).into_pairs()
}

/// The average price of each category so far, whenever it changes.
pub(super) fn q4<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let prices = won(events).into_keyed(|(_, won)| (won.opened.category, won.offer.price));
    let sums =
        prices.fold("categories", || (0_u64, 0_u64), |(n, sum), price| (*n, *sum) = (*n + 1, *sum + price));
    out.write(sums.into_pairs().map(|(category, (n, sum))| (category, n, sum)));
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Sales {
    /// Sales that may be preceded by others: when, which auction, for how much.
    unordered: Vec<(i64, u64, u64)>,
    last: Vec<u64>,
}

/// Adds up the last sales of a seller, in the order in which the auctions ended.
struct LastSales;

impl TimedOperator<u64, (u64, u64)> for LastSales {
    type State = Sales;
    type Out = (u64, u64, u64);

    fn process(
        &mut self,
        _: &u64,
        state: &mut Option<Sales>,
        record: Record<(u64, u64)>,
        timers: &mut Timers<'_>,
        _: &mut impl Emit<Self::Out>,
    ) {
        let (auction, price) = record.value;
        state.get_or_insert_default().unordered.push((record.time.0, auction, price));
        timers.set_at(record.time.saturating_add(1));
    }

    fn on_timer(
        &mut self,
        _: &u64,
        state: &mut Option<Sales>,
        due: Due,
        _: &mut Timers<'_>,
        out: &mut impl Emit<Self::Out>,
    ) {
        let (Due::Event(due), Some(sales)) = (due, state) else { return };
        let mut now: Vec<_> = sales.unordered.extract_if(.., |(time, ..)| *time < due.0).collect();
        now.sort_unstable();
        for (time, auction, price) in now {
            if sales.last.len() == SALES {
                sales.last.remove(0);
            }
            sales.last.push(price);
            let (n, sum) = (sales.last.len() as u64, sales.last.iter().sum());
            out.emit(Record::at(Timestamp(time), (auction, n, sum)));
        }
    }
}

/// The average price of each seller's last ten sales.
pub(super) fn q6<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let sales = won(events).into_keyed(|(auction, won)| (won.opened.seller, (auction, won.offer.price)));
    let averages = sales.process_timed("sellers", LastSales).into_pairs();
    out.write(averages.map(|(seller, (auction, n, sum))| (seller, auction, n, sum)));
}

/// The bids that win.
pub(super) fn q9<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    out.write(won(events).map(|(auction, Won { opened, offer })| {
        (
            auction,
            opened.seller,
            opened.category,
            opened.time,
            opened.expires,
            offer.bidder(),
            offer.price,
            offer.time(),
        )
    }));
}
