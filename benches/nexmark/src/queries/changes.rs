//! Queries whose answer changes with every bid: each change is told.

use malstrom_core::stage::Pipe;
use malstrom_core::stream::Stream;
use serde::{Deserialize, Serialize};

use crate::calc::Offer;
use crate::event::Event;
use crate::out::Out;

/// Bids that query 19 keeps of an auction.
const BEST: usize = 10;

/// The last bid of each bidder for each auction.
pub(super) fn q18<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let bids =
        events.filter_map(Event::bid).into_keyed(|bid| ((bid.bidder, bid.auction), (bid.time, bid.price)));
    let last = bids.process("last", |_, last: &mut Option<(i64, u64)>, bid, made| {
        if last.is_none_or(|last| bid > last) {
            *last = Some(bid);
            made.push(bid);
        }
    });
    out.write(last.into_pairs().map(|((bidder, auction), (time, price))| (auction, bidder, price, time)));
}

/// The best offers for an auction, the best first.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Best(Vec<Offer>);

/// The ten best bids for each auction: each one that comes among them is told.
pub(super) fn q19<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    let offers = events.filter_map(Event::bid).into_keyed(|bid| (bid.auction, Offer::of(&bid)));
    let best = offers.process("best", |_, best: &mut Option<Best>, offer, made| {
        let Best(best) = best.get_or_insert_default();
        if best.len() == BEST && best.last().is_some_and(|last| *last >= offer) {
            return;
        }
        best.insert(best.partition_point(|better| *better >= offer), offer);
        best.truncate(BEST);
        made.push(offer);
    });
    out.write(best.into_pairs().map(|(auction, offer)| (auction, offer.bidder(), offer.price, offer.time())));
}
