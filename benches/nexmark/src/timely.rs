//! Queries on Timely Dataflow: operators written for the query, as its own examples have them. An event travels at the time
//! up to which its worker's input is complete; an operator that waits for event time holds a capability and looks at its
//! input's frontier.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use ::timely::container::CapacityContainerBuilder;
use ::timely::dataflow::channels::pact::{Exchange, Pipeline};
use ::timely::dataflow::operators::Input;
use ::timely::dataflow::operators::generic::Operator;
use ::timely::dataflow::operators::vec::Map;
use ::timely::dataflow::{InputHandle, StreamVec};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use malstrom_measure::outcome::{BoxError, Outcome};
use malstrom_measure::tally::Tally;

use crate::args::Run;
use crate::calc::{self, CATEGORY, DAY_MS, Offer, STEP_MS, WINDOW_MS, day_of, is_near, window_of};
use crate::event::{Auction, Bid, City, Event, Name};
use crate::generator::{BEGIN_MS, DISORDER_MS};
use crate::queries::{Summary, sale_row, summary_row};
use crate::rows::Row;

/// The queries that are written here.
pub const QUERIES: [u8; 15] = [0, 1, 2, 3, 5, 7, 8, 9, 11, 13, 14, 17, 20, 21, 22];
/// Events between two turns of a worker.
const TURN_EVENTS: usize = 1024;

type Stream<'scope, T> = StreamVec<'scope, u64, T>;
type Builder<T> = CapacityContainerBuilder<Vec<T>>;
type Table<K, V> = HashMap<K, V, FixedState>;

/// Runs the query.
///
/// # Errors
/// If it is not written here, or a worker fails.
pub fn run(args: &Run) -> Result<Outcome, BoxError> {
    if !QUERIES.contains(&args.query) {
        return Err("this query is not written for timely".into());
    }
    let (n_events, generator, query) = (args.input.events, args.input.generator(), args.query);
    let config = match args.workers {
        1 => ::timely::Config::thread(),
        n => ::timely::Config::process(n as usize),
    };
    let tally = Tally::start();
    let there = tally.clone();
    let guards = ::timely::execute(config, move |worker| {
        let (index, peers) = (worker.index() as u64, worker.peers() as u64);
        let mut input = InputHandle::new();
        worker.dataflow::<u64, _, _>(|scope| define(query, scope.input_from(&mut input), &there));
        let mut newest = BEGIN_MS;
        let mut events = generator.events(n_events, index, peers).peekable();
        while events.peek().is_some() {
            for event in events.by_ref().take(TURN_EVENTS) {
                newest = newest.max(event.time());
                input.send(event);
            }
            input.advance_to((newest - DISORDER_MS).unsigned_abs());
            worker.step();
        }
        input.close();
        while worker.step_or_park(None) {}
    })?;
    for result in guards.join() {
        result?;
    }
    Ok(tally.outcome(n_events))
}

fn define(query: u8, events: Stream<'_, Event>, tally: &Arc<Tally>) {
    match query {
        0 => write(events.flat_map(Event::bid).map(calc::passed), tally),
        1 => write(events.flat_map(Event::bid).map(calc::converted), tally),
        2 => write(events.flat_map(|event| event.bid().and_then(calc::selected)), tally),
        3 => write(q3(events), tally),
        5 => write(q5(events), tally),
        7 => write(q7(events), tally),
        8 => write(q8(events), tally),
        9 => write(q9(events), tally),
        11 => write(q11(events), tally),
        13 => write(events.flat_map(Event::bid).map(calc::enriched), tally),
        14 => write(events.flat_map(|event| event.bid().and_then(calc::calculated)), tally),
        17 => write(q17(events), tally),
        20 => write(q20(events), tally),
        21 => write(events.flat_map(|event| event.bid().and_then(calc::channel_id)), tally),
        22 => write(events.flat_map(Event::bid).map(calc::directories), tally),
        // Refused before.
        _ => {}
    }
}

fn write<R: Row>(rows: Stream<'_, R>, tally: &Arc<Tally>) {
    let mut tally = tally.local();
    rows.sink(Pipeline, "digest", move |(input, _)| {
        input.for_each_stamp(|_, data| {
            for row in data.flat_map(|batch| batch.drain(..)) {
                tally.add(row.digest());
            }
            tally.publish();
        });
    });
}

/// Not the hash of the tables: the keys of one worker would share the bits that choose it.
fn exchange<T: 'static, K: Hash>(key: impl Fn(&T) -> K + 'static) -> Exchange<T, impl FnMut(&T) -> u64> {
    let hasher = FixedState::with_seed(1);
    Exchange::new(move |value: &T| hasher.hash_one(key(value)))
}

/// Adds up by window and key, and gives both when the window's time has passed.
fn by_window<'scope, T, K, A, R>(
    values: Stream<'scope, T>,
    key: impl Fn(&T) -> K + Clone + 'static,
    end: impl Fn(&T) -> i64 + 'static,
    add: impl Fn(&mut A, T) + 'static,
    tell: impl Fn(i64, K, A) -> Option<R> + 'static,
) -> Stream<'scope, R>
where
    T: Clone + Send + serde::Serialize + for<'a> serde::Deserialize<'a> + 'static,
    K: Hash + Eq + 'static,
    A: Default + 'static,
    R: Clone + 'static,
{
    values.unary_frontier::<Builder<R>, _, _, _>(exchange(key.clone()), "windows", |_, _| {
        // The open windows, each with the capability to tell it.
        let mut open = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each_stamp(|cap, data| {
                for value in data.flat_map(|batch| batch.drain(..)) {
                    let end = end(&value);
                    let (_, table) = open.entry(end).or_insert_with(|| {
                        let capability = cap.delayed(&(end as u64), output.output_index());
                        (capability, Table::<K, A>::default())
                    });
                    add(table.entry(key(&value)).or_default(), value);
                }
            });
            while let Some(first) = open.first_entry()
                && !frontier.less_than(&(*first.key() as u64))
            {
                let (end, (capability, table)) = first.remove_entry();
                output
                    .session(&capability)
                    .give_iterator(table.into_iter().filter_map(|(key, acc)| tell(end, key, acc)));
            }
        }
    })
}

/// What event time has to have come to before a window is complete, counted from its end: nothing for events, which bear
/// a time within it; one for what bears the end itself.
const OF_EVENTS: i64 = 0;
const OF_ENDS: i64 = 1;

/// Of each window what ranks highest: first on each worker, then of all.
fn greatest<'scope, T>(ranked: Stream<'scope, (i64, u64, T)>, after: i64) -> Stream<'scope, (i64, u64, T)>
where
    T: Clone + Send + serde::Serialize + for<'a> serde::Deserialize<'a> + 'static,
{
    let local = greatest_by(ranked, Pipeline, after);
    greatest_by(local, exchange(|(end, _, _): &(i64, u64, T)| *end), OF_ENDS)
}

fn greatest_by<'scope, T, P>(
    ranked: Stream<'scope, (i64, u64, T)>,
    pact: P,
    after: i64,
) -> Stream<'scope, (i64, u64, T)>
where
    T: Clone + 'static,
    P: ::timely::dataflow::channels::pact::ParallelizationContract<u64, Vec<(i64, u64, T)>>,
{
    ranked.unary_frontier::<Builder<(i64, u64, T)>, _, _, _>(pact, "greatest", |_, _| {
        let mut open = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each_stamp(|cap, data| {
                for (end, rank, value) in data.flat_map(|batch| batch.drain(..)) {
                    let (_, greatest, values) = open.entry(end).or_insert_with(|| {
                        (cap.delayed(&(end as u64), output.output_index()), 0, Vec::new())
                    });
                    if rank > *greatest {
                        values.clear();
                        *greatest = rank;
                    }
                    if rank == *greatest {
                        values.push(value);
                    }
                }
            });
            while let Some(first) = open.first_entry()
                && !frontier.less_than(&((*first.key() + after) as u64))
            {
                let (end, (capability, rank, values)) = first.remove_entry();
                output.session(&capability).give_iterator(values.into_iter().map(|value| (end, rank, value)));
            }
        }
    })
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
enum Local {
    Seller(Name, City),
    Auction(u64),
}

fn q3(events: Stream<'_, Event>) -> Stream<'_, (&'static str, &'static str, &'static str, u64)> {
    let locals = events.flat_map(|event| match event {
        Event::Person(person) if is_near(person.city.state()) => {
            Some((person.id, Local::Seller(person.name, person.city)))
        }
        Event::Auction(auction) if auction.category == CATEGORY => {
            Some((auction.seller, Local::Auction(auction.id)))
        }
        _ => None,
    });
    type Output = (&'static str, &'static str, &'static str, u64);
    let by_seller = exchange(|(id, _): &(u64, Local)| *id);
    locals.unary::<Builder<Output>, _, _, _>(by_seller, "sellers", |_, _| {
        let mut table = Table::<u64, (Option<(Name, City)>, Vec<u64>)>::default();
        let row = |(name, city): (Name, City), auction| (name.text(), city.text(), city.state(), auction);
        move |input, output| {
            input.for_each_stamp(|cap, data| {
                let mut session = output.session(&cap);
                for (id, local) in data.flat_map(|batch| batch.drain(..)) {
                    let (seller, waiting) = table.entry(id).or_default();
                    match local {
                        Local::Seller(name, city) => {
                            *seller = Some((name, city));
                            waiting.drain(..).for_each(|auction| session.give(row((name, city), auction)));
                        }
                        Local::Auction(auction) => match seller {
                            Some(seller) => session.give(row(*seller, auction)),
                            None => waiting.push(auction),
                        },
                    }
                }
            });
        }
    })
}

/// Counts panes, and puts windows together of five of them.
fn q5(events: Stream<'_, Event>) -> Stream<'_, (u64, u64, i64)> {
    let auctions = events.flat_map(|event| event.bid().map(|bid| (bid.auction, bid.time)));
    let panes = by_window(
        auctions,
        |(auction, _)| *auction,
        |(_, time)| time - time.rem_euclid(STEP_MS) + STEP_MS,
        |n: &mut u64, _| *n += 1,
        |end, auction, n| Some((auction, end, n)),
    );
    // Each pane's counts go to the windows that hold it; they stay on their worker.
    let windows = panes.unary_frontier::<Builder<(i64, u64, u64)>, _, _, _>(Pipeline, "sliding", |_, _| {
        let mut open = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each_stamp(|cap, data| {
                for (auction, pane_end, n) in data.flat_map(|batch| batch.drain(..)) {
                    for step in 0..WINDOW_MS / STEP_MS {
                        let end = pane_end + step * STEP_MS;
                        let (_, counts) = open.entry(end).or_insert_with(|| {
                            let capability = cap.delayed(&(end as u64), output.output_index());
                            (capability, Table::<u64, u64>::default())
                        });
                        *counts.entry(auction).or_default() += n;
                    }
                }
            });
            while let Some(first) = open.first_entry()
                && !frontier.less_equal(&(*first.key() as u64))
            {
                let (end, (capability, counts)) = first.remove_entry();
                let told = counts.into_iter().map(|(auction, n)| (end, n, auction));
                output.session(&capability).give_iterator(told);
            }
        }
    });
    greatest(windows, OF_ENDS).map(|(end, n, auction)| (auction, n, end))
}

fn q7(events: Stream<'_, Event>) -> Stream<'_, (u64, u64, u64, i64)> {
    let bids = events.flat_map(|event| {
        let bid = event.bid()?;
        Some((window_of(bid.time) + WINDOW_MS, bid.price, (bid.auction, bid.bidder, bid.time)))
    });
    greatest(bids, OF_EVENTS).map(|(_, price, (auction, bidder, time))| (auction, price, bidder, time))
}

fn q8(events: Stream<'_, Event>) -> Stream<'_, (u64, &'static str, i64)> {
    let newcomers = events.flat_map(|event| match event {
        Event::Person(person) => Some((person.id, person.time, Some(person.name))),
        Event::Auction(auction) => Some((auction.seller, auction.time, None)),
        Event::Bid(_) => None,
    });
    by_window(
        newcomers,
        |(id, _, _)| *id,
        |(_, time, _)| window_of(*time) + WINDOW_MS,
        |(name, sells): &mut (Option<Name>, bool), (_, _, newcomer)| match newcomer {
            Some(registered) => *name = Some(registered),
            None => *sells = true,
        },
        |end, id, (name, sells)| Some((id, name.filter(|_| sells)?.text(), end - WINDOW_MS)),
    )
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
enum Lot {
    Opens { time: i64, expires: i64, seller: u64, category: u64 },
    Offer(Offer),
}

#[derive(Default)]
struct Auctioned {
    /// When it was opened, when it expires, who sells, what category.
    opened: Option<(i64, i64, u64, u64)>,
    best: Option<Offer>,
    early: Vec<Offer>,
}

type Won9 = (u64, u64, u64, i64, i64, u64, u64, i64);

/// The bids that win: told when the auction has expired.
fn q9(events: Stream<'_, Event>) -> Stream<'_, Won9> {
    let lots = events.flat_map(|event| match event {
        Event::Auction(a) => Some((
            a.id,
            Lot::Opens { time: a.time, expires: a.expires, seller: a.seller, category: a.category },
        )),
        Event::Bid(bid) => Some((bid.auction, Lot::Offer(Offer::of(&bid)))),
        Event::Person(_) => None,
    });
    let by_auction = exchange(|(id, _): &(u64, Lot)| *id);
    lots.unary_frontier::<Builder<Won9>, _, _, _>(by_auction, "auctions", |_, _| {
        let mut table = Table::<u64, Auctioned>::default();
        // What is to be looked at when event time has passed, and one capability for all of it.
        let mut due = BTreeMap::<i64, Vec<u64>>::new();
        let mut capability = None;
        move |(input, frontier), output| {
            input.for_each_stamp(|cap, data| {
                if capability.is_none() {
                    capability = cap.retain_least(output.output_index());
                }
                for (id, lot) in data.flat_map(|batch| batch.drain(..)) {
                    let kept = table.entry(id).or_default();
                    match (lot, kept.opened) {
                        (Lot::Opens { time, expires, seller, category }, _) => {
                            kept.opened = Some((time, expires, seller, category));
                            let early = std::mem::take(&mut kept.early);
                            let within = |offer: &Offer| (time..=expires).contains(&offer.time());
                            kept.best = early.into_iter().filter(within).max();
                            due.entry(expires).or_default().push(id);
                        }
                        (Lot::Offer(offer), Some((time, expires, ..))) => {
                            if (time..=expires).contains(&offer.time()) {
                                kept.best = kept.best.max(Some(offer));
                            }
                        }
                        (Lot::Offer(offer), None) => {
                            if kept.early.is_empty() {
                                due.entry(offer.time()).or_default().push(id);
                            }
                            kept.early.push(offer);
                        }
                    }
                }
            });
            while let Some(first) = due.first_entry()
                && !frontier.less_equal(&(*first.key() as u64))
            {
                let (at, ids) = first.remove_entry();
                for id in ids {
                    let Some(kept) = table.get_mut(&id) else { continue };
                    let Some((time, expires, seller, category)) = kept.opened else {
                        kept.early.retain(|offer| offer.time() > at);
                        match kept.early.iter().map(|offer| offer.time()).max() {
                            Some(time) => due.entry(time).or_default().push(id),
                            None => drop(table.remove(&id)),
                        }
                        continue;
                    };
                    if at >= expires {
                        if let (Some(best), Some(capability)) = (kept.best, &capability) {
                            output.session(capability).give((
                                id,
                                seller,
                                category,
                                time,
                                expires,
                                best.bidder(),
                                best.price,
                                best.time(),
                            ));
                        }
                        table.remove(&id);
                    }
                }
            }
            if due.is_empty() {
                capability = None;
            } else if let (Some(capability), Some(time)) = (&mut capability, frontier.frontier().first()) {
                capability.downgrade(time);
            }
        }
    })
}

/// Sessions: told when no bid can lengthen them.
fn q11(events: Stream<'_, Event>) -> Stream<'_, (u64, u64, i64, i64)> {
    let bidders = events.flat_map(|event| event.bid().map(|bid| (bid.bidder, bid.time)));
    let by_bidder = exchange(|(bidder, _): &(u64, i64)| *bidder);
    bidders.unary_frontier::<Builder<(u64, u64, i64, i64)>, _, _, _>(by_bidder, "sessions", |_, _| {
        // Beginning, end and bids of the sessions of a bidder: one, as a rule.
        let mut table = Table::<u64, Vec<(i64, i64, u64)>>::default();
        let mut due = BTreeMap::<i64, Vec<u64>>::new();
        let mut capability = None;
        move |(input, frontier), output| {
            input.for_each_stamp(|cap, data| {
                if capability.is_none() {
                    capability = cap.retain_least(output.output_index());
                }
                for (bidder, time) in data.flat_map(|batch| batch.drain(..)) {
                    let sessions = table.entry(bidder).or_default();
                    let (mut start, mut end, mut n) = (time, time + WINDOW_MS, 1);
                    let n_before = sessions.len();
                    sessions.retain(|session| {
                        let touches = session.0 < end && start < session.1;
                        if touches {
                            (start, end, n) = (start.min(session.0), end.max(session.1), n + session.2);
                        }
                        !touches
                    });
                    if sessions.len() == n_before {
                        due.entry(end).or_default().push(bidder);
                    }
                    sessions.push((start, end, n));
                }
            });
            while let Some(first) = due.first_entry()
                && !frontier.less_than(&(*first.key() as u64))
            {
                let (at, bidders) = first.remove_entry();
                for bidder in bidders {
                    let Some(sessions) = table.get_mut(&bidder) else { continue };
                    sessions.retain(|(start, end, n)| {
                        if *end <= at
                            && let Some(capability) = &capability
                        {
                            output.session(capability).give((bidder, *n, *start, *end));
                        }
                        *end > at
                    });
                    // One that grew is looked at again.
                    if let Some(end) = sessions.iter().map(|session| session.1).min() {
                        due.entry(end).or_default().push(bidder);
                    } else {
                        table.remove(&bidder);
                    }
                }
            }
            if due.is_empty() {
                capability = None;
            } else if let (Some(capability), Some(time)) = (&mut capability, frontier.frontier().first()) {
                capability.downgrade(time);
            }
        }
    })
}

fn q17(events: Stream<'_, Event>) -> Stream<'_, crate::queries::Summary17> {
    let prices = events.flat_map(|event| event.bid().map(|bid| (bid.auction, bid.time, bid.price)));
    by_window(
        prices,
        |(auction, _, _)| *auction,
        |(_, time, _)| day_of(*time) + DAY_MS,
        |summary: &mut Summary, (_, _, price)| summary.add(price),
        |end, auction, summary| Some(summary_row(auction, end - DAY_MS, &summary)),
    )
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
enum Sale {
    Auction(Auction),
    Other,
    Bid(Bid),
}

enum Sold {
    Auction(Auction),
    Other,
    Waiting(Vec<Bid>),
}

fn q20(events: Stream<'_, Event>) -> Stream<'_, crate::queries::Sale20> {
    let sales = events.flat_map(|event| match event {
        Event::Auction(auction) if auction.category == CATEGORY => Some((auction.id, Sale::Auction(auction))),
        Event::Auction(auction) => Some((auction.id, Sale::Other)),
        Event::Bid(bid) => Some((bid.auction, Sale::Bid(bid))),
        Event::Person(_) => None,
    });
    let by_auction = exchange(|(id, _): &(u64, Sale)| *id);
    sales.unary::<Builder<crate::queries::Sale20>, _, _, _>(by_auction, "sold", |_, _| {
        let mut table = Table::<u64, Sold>::default();
        move |input, output| {
            input.for_each_stamp(|cap, data| {
                let mut session = output.session(&cap);
                for (id, sale) in data.flat_map(|batch| batch.drain(..)) {
                    let sold = match sale {
                        Sale::Bid(bid) => {
                            match table.entry(id).or_insert_with(|| Sold::Waiting(Vec::new())) {
                                Sold::Auction(auction) => session.give(sale_row(bid, *auction)),
                                Sold::Other => {}
                                Sold::Waiting(bids) => bids.push(bid),
                            }
                            continue;
                        }
                        Sale::Auction(auction) => Sold::Auction(auction),
                        Sale::Other => Sold::Other,
                    };
                    let auction = if let Sold::Auction(auction) = &sold { Some(*auction) } else { None };
                    if let (Some(Sold::Waiting(bids)), Some(auction)) = (table.insert(id, sold), auction) {
                        bids.into_iter().for_each(|bid| session.give(sale_row(bid, auction)));
                    }
                }
            });
        }
    })
}
