//! Queries that bring two kinds of events together.

use std::mem;

use malstrom_core::stage::Pipe;
use malstrom_core::stream::Stream;
use malstrom_runtime::prelude::*;
use serde::{Deserialize, Serialize};

use crate::calc::{CATEGORY, WINDOW_MS, is_near};
use crate::event::{Auction, Bid, City, Event, Name};
use crate::out::Out;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Local {
    Seller { name: Name, city: City },
    Auction(u64),
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Locals {
    seller: Option<(Name, City)>,
    /// Auctions of a seller who is not known yet.
    waiting: Vec<u64>,
}

/// Who sells things of a category in some states. Kept for ever: a seller may open another auction at any time.
pub(super) fn q3<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let locals = events.filter_map(|event| match event {
        Event::Person(person) if is_near(person.city.state()) => {
            Some((person.id, Local::Seller { name: person.name, city: person.city }))
        }
        Event::Auction(auction) if auction.category == CATEGORY => {
            Some((auction.seller, Local::Auction(auction.id)))
        }
        _ => None,
    });
    let sellers =
        locals.into_keyed(|pair| pair).process("sellers", |_, state: &mut Option<Locals>, local, made| {
            let state = state.get_or_insert_default();
            let row =
                |(name, city): (Name, City), auction: u64| (name.text(), city.text(), city.state(), auction);
            match local {
                Local::Seller { name, city } => {
                    state.seller = Some((name, city));
                    let waiting = mem::take(&mut state.waiting);
                    made.extend(waiting.into_iter().map(|auction| row((name, city), auction)));
                }
                Local::Auction(auction) => match state.seller {
                    Some(seller) => made.push(row(seller, auction)),
                    None => state.waiting.push(auction),
                },
            }
        });
    out.write(sellers.into_pairs().map(|(_, row)| row));
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Newcomer {
    Registers(Name),
    Sells,
}

/// A person that registers and opens an auction in one window.
struct NewSellers;

impl Aggregate<Newcomer> for NewSellers {
    type Acc = (Option<Name>, bool);
    type Out = Option<Name>;

    fn init(&self) -> Self::Acc {
        (None, false)
    }

    fn add(&self, (name, sells): &mut Self::Acc, newcomer: Newcomer) {
        match newcomer {
            Newcomer::Registers(registered) => *name = Some(registered),
            Newcomer::Sells => *sells = true,
        }
    }

    fn merge(&self, (name, sells): &mut Self::Acc, other: &Self::Acc) {
        *name = name.or(other.0);
        *sells |= other.1;
    }

    fn finish(&self, (name, sells): &Self::Acc) -> Option<Name> {
        name.filter(|_| *sells)
    }
}

/// Who opens an auction in the window in which they register.
pub(super) fn q8<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let newcomers = events.filter_map(|event| match event {
        Event::Person(person) => Some((person.id, Newcomer::Registers(person.name))),
        Event::Auction(auction) => Some((auction.seller, Newcomer::Sells)),
        Event::Bid(_) => None,
    });
    let windows = newcomers.into_keyed(|pair| pair).window(Tumbling::of(WINDOW_MS));
    let sellers = windows.aggregate("newcomers", NewSellers).into_pairs();
    out.write(sellers.filter_map(|(id, window)| Some((id, window.value?.text(), window.start.0))));
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
