//! Queries that bring two kinds of events together.

use malstrom_core::element::Either;
use malstrom_core::stage::Pipe;
use malstrom_core::stream::Stream;
use malstrom_core::time::Ttl;
use malstrom_runtime::prelude::*;
use serde::{Deserialize, Serialize};

use crate::calc::{CATEGORY, WINDOW_MS, is_near, window_of};
use crate::event::{Auction, Bid, City, Event, Name};
use crate::out::Out;

/// Who sells things of a category in some states. Kept for ever: a seller may open another auction at any time.
pub(super) fn q3<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let locals = events.filter_map(|event| match event {
        Event::Person(person) if is_near(person.city.state()) => {
            Some((person.id, Either::Left((person.name, person.city))))
        }
        Event::Auction(auction) if auction.category == CATEGORY => {
            Some((auction.seller, Either::Right(auction.id)))
        }
        _ => None,
    });
    let sellers = locals.into_keyed(|pair| pair).joined().at_any_time();
    let row = |_: &u64, (name, city): &(Name, City), auction: &u64| {
        (name.text(), city.text(), city.state(), *auction)
    };
    out.write(sellers.combine("sellers", row).into_pairs().map(|(_, row)| row));
}

/// Who opens an auction in the window in which they register.
pub(super) fn q8<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let newcomers = events.filter_map(|event| match event {
        Event::Person(person) => Some((person.id, Either::Left((person.name, window_of(person.time))))),
        Event::Auction(auction) => Some((auction.seller, Either::Right(()))),
        Event::Bid(_) => None,
    });
    let windows = newcomers.into_keyed(|pair| pair).joined().window(Tumbling::of(WINDOW_MS));
    let sellers = windows.combine("newcomers", |_, newcomer: &(Name, i64), ()| *newcomer);
    // A pair for each auction; who sells is told once.
    let sellers = sellers.deduplicate("once", Ttl::event_time(WINDOW_MS)).into_pairs();
    out.write(sellers.map(|(id, (name, start))| (id, name.text(), start)));
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Sale {
    Auction(Auction),
    /// Of another category: bids for it go nowhere.
    Other,
    Bid(Bid),
}

#[derive(Debug, Serialize, Deserialize)]
enum Sold {
    Auction(Auction),
    Other,
    /// Bids for an auction that is not known yet.
    Waiting(Vec<Bid>),
}

/// Bids for things of a category, with what they are for. Kept for ever: anybody may bid at any time.
///
/// A join of the engine would keep every bid for ever too, or as long as an interval says that the query does not have. That
/// an auction comes once is known here and not there: a bid for a known auction is told, or goes nowhere, at once.
pub(super) fn q20<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let sales = events.filter_map(|event| match event {
        Event::Auction(auction) if auction.category == CATEGORY => Some((auction.id, Sale::Auction(auction))),
        Event::Auction(auction) => Some((auction.id, Sale::Other)),
        Event::Bid(bid) => Some((bid.auction, Sale::Bid(bid))),
        Event::Person(_) => None,
    });
    let sold =
        sales.into_keyed(|pair| pair).process("sold", |_, state: &mut Option<Sold>, sale, made| match sale {
            Sale::Bid(bid) => match state.get_or_insert_with(|| Sold::Waiting(Vec::new())) {
                Sold::Auction(auction) => made.push((bid, *auction)),
                Sold::Other => {}
                Sold::Waiting(bids) => bids.push(bid),
            },
            Sale::Auction(auction) => {
                if let Some(Sold::Waiting(bids)) = state.replace(Sold::Auction(auction)) {
                    made.extend(bids.into_iter().map(|bid| (bid, auction)));
                }
            }
            Sale::Other => *state = Some(Sold::Other),
        });
    out.write(sold.into_pairs().map(|(_, (bid, auction))| row(bid, auction)));
}

/// A row of query 20.
pub(crate) type Sale20 = (
    u64,
    u64,
    u64,
    &'static str,
    &'static str,
    i64,
    &'static str,
    &'static str,
    u64,
    u64,
    i64,
    i64,
    u64,
    u64,
);

/// A bid and what it is for.
#[inline]
pub(crate) fn row(bid: Bid, auction: Auction) -> Sale20 {
    (
        bid.auction,
        bid.bidder,
        bid.price,
        bid.channel.text(),
        bid.channel.url(),
        bid.time,
        auction.item.text(),
        auction.description.text(),
        auction.initial_bid,
        auction.reserve,
        auction.time,
        auction.expires,
        auction.seller,
        auction.category,
    )
}
