//! Queries on Renoir, as its own NEXMark has them where that gives the right answer. Its windows begin with the first event
//! of their key, and what lies before that is lost: events bear the beginning of their window or pane as their time, which is
//! part of the key. Query 7 keeps all windows until the input ends.

use std::sync::Arc;

use ::renoir::operator::Operator;
use ::renoir::prelude::*;
use malstrom_measure::outcome::{BoxError, Outcome};
use malstrom_measure::tally::Tally;

use crate::args::Run;
use crate::calc::{self, CATEGORY, DAY_MS, STEP_MS, WINDOW_MS, day_of, is_near, window_of};
use crate::event::{Bid, Event};
use crate::generator::{BEGIN_MS, DISORDER_MS};
use crate::queries::{Summary, sale_row, summary_row};
use crate::rows::Row;

/// The queries that are written here.
pub const QUERIES: [u8; 13] = [0, 1, 2, 3, 5, 7, 8, 13, 14, 17, 20, 21, 22];
/// Events in a batch: what its examples take where latency does not matter.
const BATCH_EVENTS: usize = 1024;

/// Runs the query.
///
/// # Errors
/// If it is not written here.
pub fn run(args: &Run) -> Result<Outcome, BoxError> {
    if !QUERIES.contains(&args.query) {
        return Err("this query is not written for renoir".into());
    }
    let (n_events, generator) = (args.input.events, args.input.generator());
    let tally = Tally::start();
    let env = StreamContext::new(RuntimeConfig::local(u64::from(args.workers))?);
    let events = || {
        env.stream_par_iter(move |part, n_parts| generator.events(n_events, part, n_parts))
            .batch_mode(BatchMode::fixed(BATCH_EVENTS))
    };
    // With the beginning of a window of so much as the time of each event.
    let timed = |size: i64| {
        let begin = move |time: i64| time - time.rem_euclid(size);
        let (mut newest, mut n) = (BEGIN_MS, 0_u64);
        events().add_timestamps(
            move |event| begin(event.time()),
            move |event, _| {
                newest = newest.max(event.time());
                n += 1;
                // A watermark goes to every worker: not one an event.
                n.is_multiple_of(BATCH_EVENTS as u64).then(|| begin(newest - DISORDER_MS))
            },
        )
    };
    let bids = || events().filter_map(Event::bid);
    match args.query {
        0 => write(bids().map(calc::passed), &tally),
        1 => write(bids().map(calc::converted), &tally),
        2 => write(bids().filter_map(calc::selected), &tally),
        3 => write(
            events()
                .filter_map(|event| match event {
                    Event::Person(person) if is_near(person.city.state()) => {
                        Some((person.id, Some((person.name, person.city)), 0))
                    }
                    Event::Auction(auction) if auction.category == CATEGORY => {
                        Some((auction.seller, None, auction.id))
                    }
                    _ => None,
                })
                .group_by(|(id, _, _)| *id)
                .rich_flat_map({
                    let (mut seller, mut waiting) = (None, Vec::new());
                    move |(_, (_, registers, auction))| {
                        if registers.is_some() {
                            seller = registers;
                        } else {
                            waiting.push(auction);
                        }
                        let known = if seller.is_some() { std::mem::take(&mut waiting) } else { Vec::new() };
                        known.into_iter().filter_map(move |auction| {
                            let (name, city) = seller?;
                            Some((name.text(), city.text(), city.state(), auction))
                        })
                    }
                })
                .drop_key(),
            &tally,
        ),
        5 => write(
            timed(STEP_MS)
                .filter_map(|event| event.bid().map(|bid| (bid.auction, bid.time)))
                .group_by(|(auction, time)| (*auction, time - time.rem_euclid(STEP_MS)))
                .window(EventTimeWindow::tumbling(STEP_MS))
                .fold(0_u64, |n, _| *n += 1)
                .unkey()
                // Each pane's count goes to the windows that hold it.
                .flat_map(|((auction, pane), n)| {
                    (1..=WINDOW_MS / STEP_MS).map(move |step| ((auction, pane + step * STEP_MS), n))
                })
                .drop_timestamps()
                .group_by_reduce(|(window, _)| *window, |(_, n), (_, more)| *n += more)
                .drop_key()
                .map(|((auction, end), n)| (end, n, auction))
                .group_by_fold(
                    |(end, _, _)| *end,
                    (0_u64, Vec::new()),
                    |(most, auctions), (_, n, auction)| greatest(most, auctions, n, vec![auction]),
                    |(most, auctions), (n, others)| greatest(most, auctions, n, others),
                )
                .unkey()
                .flat_map(|(end, (n, auctions))| auctions.into_iter().map(move |auction| (auction, n, end))),
            &tally,
        ),
        7 => write(
            bids()
                .group_by_fold(
                    |bid: &Bid| window_of(bid.time),
                    (0_u64, Vec::new()),
                    |(price, bids), bid| {
                        greatest(price, bids, bid.price, vec![(bid.auction, bid.bidder, bid.time)])
                    },
                    |(price, bids), (other, others)| greatest(price, bids, other, others),
                )
                .drop_key()
                .flat_map(|(price, bids)| {
                    bids.into_iter().map(move |(auction, bidder, time)| (auction, price, bidder, time))
                }),
            &tally,
        ),
        8 => write(
            timed(WINDOW_MS)
                .filter_map(|event| match event {
                    Event::Person(person) => Some((person.id, person.time, Some(person.name))),
                    Event::Auction(auction) => Some((auction.seller, auction.time, None)),
                    Event::Bid(_) => None,
                })
                .group_by(|(id, time, _)| (*id, window_of(*time)))
                .window(EventTimeWindow::tumbling(WINDOW_MS))
                .fold((None, false), |(name, sells), (_, _, registered)| match registered {
                    Some(_) => *name = *registered,
                    None => *sells = true,
                })
                .unkey()
                .filter_map(|((id, window), (name, sells))| {
                    Some((id, name.filter(|_| sells)?.text(), window))
                }),
            &tally,
        ),
        13 => write(bids().map(calc::enriched), &tally),
        14 => write(bids().filter_map(calc::calculated), &tally),
        17 => write(
            timed(DAY_MS)
                .filter_map(|event| event.bid().map(|bid| (bid.auction, bid.time, bid.price)))
                .group_by(|(auction, time, _)| (*auction, day_of(*time)))
                .window(EventTimeWindow::tumbling(DAY_MS))
                .fold(Summary::default(), |summary, (_, _, price)| summary.add(*price))
                .unkey()
                .map(|((auction, day), summary)| summary_row(auction, day, &summary)),
            &tally,
        ),
        20 => write(
            events()
                .filter_map(|event| match event {
                    Event::Auction(auction) => Some((auction.id, Some(auction), None)),
                    Event::Bid(bid) => Some((bid.auction, None, Some(bid))),
                    Event::Person(_) => None,
                })
                .group_by(|(id, _, _)| *id)
                .rich_flat_map({
                    let (mut auction, mut waiting) = (None, Vec::new());
                    move |(_, (_, opened, bid))| {
                        auction = auction.or(opened);
                        waiting.extend(bid);
                        let known = if auction.is_some() { std::mem::take(&mut waiting) } else { Vec::new() };
                        let auction = auction.filter(|auction| auction.category == CATEGORY);
                        known.into_iter().filter_map(move |bid| Some(sale_row(bid, auction?)))
                    }
                })
                .drop_key(),
            &tally,
        ),
        21 => write(bids().filter_map(calc::channel_id), &tally),
        22 => write(bids().map(calc::directories), &tally),
        // Refused before.
        _ => {}
    }
    env.execute_blocking();
    Ok(tally.outcome(n_events))
}

fn write<Op>(rows: ::renoir::Stream<Op>, tally: &Arc<Tally>)
where
    Op: Operator<Out: Row + Send> + 'static,
{
    let mut tally = tally.local();
    rows.for_each(move |row| tally.add(row.digest()));
}

/// Keeps what ranks highest, all of it if several are equal.
fn greatest<T>(rank: &mut u64, values: &mut Vec<T>, its_rank: u64, its_values: Vec<T>) {
    if its_rank > *rank {
        values.clear();
        *rank = its_rank;
    }
    if its_rank == *rank {
        values.extend(its_values);
    }
}
