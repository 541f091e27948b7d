//! What is done to one bid alone: the same for all programs.

use std::sync::OnceLock;

use crate::event::Bid;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;
/// Milliseconds of a window of queries 5, 7, 8 and 12, and the silence that ends a session of query 11.
pub const WINDOW_MS: i64 = 10_000;
/// How often a window of query 5 begins.
pub const STEP_MS: i64 = 2_000;
/// The category of queries 3 and 20.
pub const CATEGORY: u64 = 10;
/// Rows of the table of query 13.
const TABLE_ROWS: u64 = 10_000;

/// Query 0: as it is.
#[inline]
#[must_use]
pub fn passed(bid: Bid) -> (u64, u64, u64, &'static str, &'static str, i64, &'static str) {
    (bid.auction, bid.bidder, bid.price, bid.channel.text(), bid.channel.url(), bid.time, bid.extra.text())
}

/// A price in thousandths of a euro cent, of one in dollar cents.
#[inline]
#[must_use]
pub const fn converted_price(price: u64) -> u64 {
    price * 908
}

/// Query 1: the price in another currency.
#[inline]
#[must_use]
pub fn converted(bid: Bid) -> (u64, u64, u64, i64, &'static str) {
    (bid.auction, bid.bidder, converted_price(bid.price), bid.time, bid.extra.text())
}

/// Query 2: bids for some auctions.
#[inline]
#[must_use]
pub fn selected(bid: Bid) -> Option<(u64, u64)> {
    bid.auction.is_multiple_of(123).then_some((bid.auction, bid.price))
}

/// Query 3: the states whose people count.
#[inline]
#[must_use]
pub fn is_near(state: &str) -> bool {
    matches!(state, "OR" | "ID" | "CA")
}

/// Query 13: with a value from a table that is there before.
#[inline]
#[must_use]
pub fn enriched(bid: Bid) -> (u64, u64, u64, i64, &'static str) {
    static TABLE: OnceLock<Vec<String>> = OnceLock::new();
    let table = TABLE.get_or_init(|| (0..TABLE_ROWS).map(|n| format!("side-{n}")).collect());
    (bid.auction, bid.bidder, bid.price, bid.time, &table[(bid.auction % TABLE_ROWS) as usize])
}

/// Query 14: the price in another currency, the time of day, and how often a letter is in the padding.
#[inline]
#[must_use]
pub fn calculated(bid: Bid) -> Option<(u64, u64, u64, &'static str, i64, &'static str, u64)> {
    let price = converted_price(bid.price);
    if price <= 1_000_000_000 || price >= 50_000_000_000 {
        return None;
    }
    let time_of_day = match bid.time.rem_euclid(DAY_MS) / 3_600_000 {
        8..=18 => "dayTime",
        ..=6 | 20.. => "nightTime",
        _ => "otherTime",
    };
    let extra = bid.extra.text();
    let n = extra.bytes().filter(|letter| *letter == b'c').count() as u64;
    Some((bid.auction, bid.bidder, price, time_of_day, bid.time, extra, n))
}

/// Queries 15 to 17: cheap, middling or dear.
#[inline]
#[must_use]
pub const fn rank(price: u64) -> u8 {
    match price {
        0..10_000 => 0,
        10_000..1_000_000 => 1,
        _ => 2,
    }
}

/// The beginning of a day.
#[inline]
#[must_use]
pub const fn day_of(time: i64) -> i64 {
    time - time.rem_euclid(DAY_MS)
}

/// The beginning of a window of [`WINDOW_MS`].
#[inline]
#[must_use]
pub const fn window_of(time: i64) -> i64 {
    time - time.rem_euclid(WINDOW_MS)
}

/// Query 21: the number of the channel, from its name or from what was followed.
#[must_use]
pub fn channel_id(bid: Bid) -> Option<(u64, u64, u64, &'static str, &'static str)> {
    let name = bid.channel.text();
    let known = [("apple", "0"), ("google", "1"), ("facebook", "2"), ("baidu", "3")];
    let known = known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, id)| id);
    let id = known.or_else(|| {
        let (_, rest) = bid.channel.url().split_once("&channel_id=")?;
        rest.split('&').next()
    })?;
    Some((bid.auction, bid.bidder, bid.price, name, id))
}

/// Query 22: three pieces of the path.
#[must_use]
pub fn directories(bid: Bid) -> (u64, u64, u64, &'static str, &'static str, &'static str, &'static str) {
    let mut pieces = bid.channel.url().split('/').skip(3);
    let mut next = || pieces.next().unwrap_or_default();
    (bid.auction, bid.bidder, bid.price, bid.channel.text(), next(), next(), next())
}

/// Queries 4, 6 and 9: a bid that may win. The greatest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Offer {
    /// In cents.
    pub price: u64,
    /// When, negated: of equal offers the first wins.
    pub earliness: i64,
    /// Whose, negated: of equal offers at one time that of the least number.
    pub precedence: i64,
}

impl Offer {
    /// What a bid offers.
    #[inline]
    #[must_use]
    pub const fn of(bid: &Bid) -> Self {
        Self { price: bid.price, earliness: -bid.time, precedence: -(bid.bidder as i64) }
    }

    /// When it was made.
    #[inline]
    #[must_use]
    pub const fn time(self) -> i64 {
        -self.earliness
    }

    /// Whose it is.
    #[inline]
    #[must_use]
    pub const fn bidder(self) -> u64 {
        -self.precedence as u64
    }
}
