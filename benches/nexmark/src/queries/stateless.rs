//! Queries that look at one bid at a time.

use malstrom_core::stage::Pipe;
use malstrom_core::stream::Stream;

use crate::calc;
use crate::event::Event;
use crate::out::Out;

/// All bids.
pub(super) fn q0<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    out.write(events.filter_map(Event::bid).map(calc::passed));
}

/// Prices in another currency.
pub(super) fn q1<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    out.write(events.filter_map(Event::bid).map(calc::converted));
}

/// Bids for some auctions.
pub(super) fn q2<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    out.write(events.filter_map(Event::bid).filter_map(calc::selected));
}

/// Bids with a value from a table. The table is small and never changes, so every worker has it and no bid crosses to
/// another for it, as a join would have it.
pub(super) fn q13<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    out.write(events.filter_map(Event::bid).map(calc::enriched));
}

/// Bids of some prices, with what can be calculated of them.
pub(super) fn q14<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    out.write(events.filter_map(Event::bid).filter_map(calc::calculated));
}

/// The number of a bid's channel.
pub(super) fn q21<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    out.write(events.filter_map(Event::bid).filter_map(calc::channel_id));
}

/// Pieces of a bid's address.
pub(super) fn q22<P: Pipe<Item = Event>>(events: Stream<P>, out: &Out) {
    out.write(events.filter_map(Event::bid).map(calc::directories));
}
