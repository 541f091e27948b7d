//! Makes events, by the rules of the NEXMark generator of Apache Beam and its successors: of 50 events one is a person,
//! three are auctions and 46 are bids; some auctions, sellers and bidders are hot.
//!
//! Event number `n` depends on `n` and the seed alone, so any part of the events can be made anywhere, again and in any
//! order.

use crate::event::{Auction, Bid, Channel, City, Event, Name, Person, Text, mix};

/// When the first event happens: 15 July 2015, in milliseconds.
pub const BEGIN_MS: i64 = 1_436_918_400_000;
/// No event is older than one before it by more than this.
pub const DISORDER_MS: i64 = 4;
/// Events in a millisecond of event time, if nobody says anything else.
pub const EVENTS_PER_MS: u64 = 10;

/// Events of one round.
const ROUND: u64 = 50;
const N_PERSONS: u64 = 1;
const N_AUCTIONS: u64 = 3;
/// The ids of the first person and the first auction.
const FIRST_ID: u64 = 1000;
/// The first category, and how many there are.
const FIRST_CATEGORY: u64 = 10;
const N_CATEGORIES: u64 = 5;
/// People that bid and sell now.
const ACTIVE_PERSONS: u64 = 1000;
/// Auctions that are open now.
const OPEN_AUCTIONS: u64 = 100;
/// How far events may run ahead of the people and auctions they name.
const LEAD: u64 = 10;
/// Of so many, one is hot.
const HOT_EVERY: u64 = 100;
/// One of so many bids is for any auction; of so many bids and auctions, by anybody.
const ANY_AUCTION: u64 = 2;
const ANY_PERSON: u64 = 4;
/// One of so many bids comes from a small site.
const SMALL_SITE: u64 = 2;
/// The bytes that a person, an auction and a bid have on average.
const PERSON_BYTES: u64 = 200;
const AUCTION_BYTES: u64 = 500;
const BID_BYTES: u64 = 100;

/// The events of one seed.
#[derive(Clone, Copy, Debug)]
pub struct Generator {
    /// Where randomness begins.
    pub seed: u64,
    /// Events in a millisecond of event time.
    pub events_per_ms: u64,
}

impl Default for Generator {
    fn default() -> Self {
        Self { seed: 1, events_per_ms: EVENTS_PER_MS }
    }
}

impl Generator {
    /// Event number `n`.
    #[inline]
    #[must_use]
    pub fn event(self, n: u64) -> Event {
        let mut random = Random::new(self.seed, n);
        let time = BEGIN_MS + (n / self.events_per_ms) as i64 - random.below(DISORDER_MS as u64) as i64;
        match n % ROUND {
            at if at < N_PERSONS => Event::Person(person(n, time, &mut random)),
            at if at < N_PERSONS + N_AUCTIONS => Event::Auction(self.auction(n, time, &mut random)),
            _ => Event::Bid(bid(n, time, &mut random)),
        }
    }

    /// Every `n_parts`th of `n_events` events, beginning with number `part`.
    pub fn events(self, n_events: u64, part: u64, n_parts: u64) -> impl Iterator<Item = Event> {
        (part..n_events).step_by(n_parts as usize).map(move |n| self.event(n))
    }

    /// The number of the first event that may happen as late as this.
    #[must_use]
    pub const fn number_at(self, time: i64) -> u64 {
        let since = time.saturating_sub(BEGIN_MS);
        if since > 0 { since as u64 * self.events_per_ms } else { 0 }
    }

    fn auction(self, n: u64, time: i64, random: &mut Random) -> Auction {
        let seller = if random.below(ANY_PERSON) > 0 {
            last_person(n) / HOT_EVERY * HOT_EVERY
        } else {
            any_person(n, random)
        };
        let initial_bid = price(random);
        // As long as it takes until about so many auctions have been opened, twice that at most.
        let horizon = OPEN_AUCTIONS * ROUND / N_AUCTIONS / self.events_per_ms;
        let length = 1 + random.below((horizon * 2).max(1));
        let (item, description) = (Text::new(random.next(), 20), Text::new(random.next(), 100));
        Auction {
            id: FIRST_ID + last_auction(n),
            item,
            description,
            initial_bid,
            reserve: initial_bid + price(random),
            time,
            expires: time + length as i64,
            seller: FIRST_ID + seller,
            category: FIRST_CATEGORY + random.below(N_CATEGORIES),
            extra: padding(AUCTION_BYTES, 170, random),
        }
    }
}

fn person(n: u64, time: i64, random: &mut Random) -> Person {
    Person {
        id: FIRST_ID + last_person(n),
        name: Name(random.below(Name::N) as u8),
        city: City(random.below(City::N) as u8, random.below(City::N_STATES) as u8),
        email: random.next() as u32,
        card: random.below(10_000_000_000_000_000),
        time,
        extra: padding(PERSON_BYTES, 80, random),
    }
}

#[inline]
fn bid(n: u64, time: i64, random: &mut Random) -> Bid {
    let auction = if random.below(ANY_AUCTION) > 0 {
        last_auction(n) / HOT_EVERY * HOT_EVERY
    } else {
        any_auction(n, random)
    };
    let bidder = if random.below(ANY_PERSON) > 0 {
        last_person(n) / HOT_EVERY * HOT_EVERY + 1
    } else {
        any_person(n, random)
    };
    let channel = if random.below(SMALL_SITE) > 0 {
        random.below(u64::from(Channel::N_GREAT))
    } else {
        u64::from(Channel::N_GREAT) + random.below(u64::from(Channel::N_SMALL))
    };
    Bid {
        auction: FIRST_ID + auction,
        bidder: FIRST_ID + bidder,
        price: price(random),
        channel: Channel(channel as u16),
        time,
        extra: padding(BID_BYTES, 32, random),
    }
}

/// The last person, and the last auction, up to event `n`.
#[inline]
const fn last_person(n: u64) -> u64 {
    n / ROUND * N_PERSONS
}

#[inline]
const fn last_auction(n: u64) -> u64 {
    let (round, at) = (n / ROUND, n % ROUND);
    if at < N_PERSONS {
        return (round * N_AUCTIONS).saturating_sub(1);
    }
    let at = at - N_PERSONS;
    round * N_AUCTIONS + if at < N_AUCTIONS { at } else { N_AUCTIONS - 1 }
}

#[inline]
fn any_person(n: u64, random: &mut Random) -> u64 {
    let n_persons = last_person(n) + 1;
    let n_active = n_persons.min(ACTIVE_PERSONS);
    n_persons - n_active + random.below(n_active + LEAD)
}

#[inline]
fn any_auction(n: u64, random: &mut Random) -> u64 {
    let last = last_auction(n);
    let first = last.saturating_sub(OPEN_AUCTIONS);
    first + random.below(last - first + 1 + LEAD)
}

/// A price in cents between one and a million, evenly distributed on a scale of logarithms.
#[inline]
fn price(random: &mut Random) -> u64 {
    let exponent = (random.next() >> 11) as f64 / (1_u64 << 53) as f64 * 6.0;
    (10_f64.powf(exponent) * 100.0).round() as u64
}

/// As many letters as bring an event of `bytes` to the average, give or take a fifth.
#[inline]
fn padding(average: u64, bytes: u64, random: &mut Random) -> Text {
    let about = average - bytes;
    let length = about - about / 5 + random.below(about / 5 * 2 + 1);
    Text::new(random.next(), length as u32)
}

/// The randomness of one event: splitmix64, begun anew for each.
struct Random(u64);

impl Random {
    #[inline]
    const fn new(seed: u64, n: u64) -> Self {
        Self(mix(seed ^ n.wrapping_mul(0xd134_2543_de82_ef95)))
    }

    #[inline]
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `n`.
    #[inline]
    const fn below(&mut self, n: u64) -> u64 {
        ((self.next() as u128 * n as u128) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proportions_are_those_of_the_benchmark() {
        let (mut persons, mut auctions, mut bids) = (0, 0, 0);
        for event in Generator::default().events(5000, 0, 1) {
            match event {
                Event::Person(_) => persons += 1,
                Event::Auction(_) => auctions += 1,
                Event::Bid(_) => bids += 1,
            }
        }
        assert_eq!((persons, auctions, bids), (100, 300, 4600));
    }

    #[test]
    fn ids_are_given_in_order_and_once() {
        let (mut person, mut auction) = (FIRST_ID, FIRST_ID);
        for event in Generator::default().events(5000, 0, 1) {
            match event {
                Event::Person(new) => {
                    assert_eq!(new.id, person);
                    person += 1;
                }
                Event::Auction(new) => {
                    assert_eq!(new.id, auction);
                    auction += 1;
                }
                Event::Bid(bid) => assert!(bid.auction < auction + LEAD && bid.bidder < person + LEAD + 1),
            }
        }
    }

    #[test]
    fn events_do_not_depend_on_the_part_they_are_in() {
        let generator = Generator::default();
        let whole: Vec<Event> = generator.events(1000, 0, 1).collect();
        let parts = [0, 1, 2].map(|part| generator.events(1000, part, 3).collect::<Vec<_>>());
        let again: Vec<Event> = (0..1000).map(|n| parts[n % 3][n / 3]).collect();
        assert_eq!(whole, again);
    }

    #[test]
    fn disorder_has_a_bound() {
        let mut newest = i64::MIN;
        let mut n_behind = 0;
        for event in Generator::default().events(10_000, 0, 1) {
            assert!(event.time() >= newest - DISORDER_MS);
            n_behind += u64::from(event.time() < newest);
            newest = newest.max(event.time());
        }
        assert!(n_behind > 1000);
    }
}
