//! What happens at the auctions of NEXMark: people register, open auctions, and bid.
//!
//! Text that the generator takes from a fixed stock is carried as a place in this stock and spelled out when somebody
//! reads it, for all programs alike: what is measured is the work of a query and not copies of padding.

use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// Anything that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Somebody registers.
    Person(Person),
    /// Somebody offers something.
    Auction(Auction),
    /// Somebody bids.
    Bid(Bid),
}

/// Somebody who sells or bids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Who.
    pub id: u64,
    /// What they are called.
    pub name: Name,
    /// Where they live.
    pub city: City,
    /// The number that their e-mail address is made of.
    pub email: u32,
    /// Their credit card.
    pub card: u64,
    /// When, in milliseconds.
    pub time: i64,
    /// Padding.
    pub extra: Text,
}

/// Something that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Auction {
    /// Which.
    pub id: u64,
    /// What.
    pub item: Text,
    /// In more words.
    pub description: Text,
    /// The least bid, in cents.
    pub initial_bid: u64,
    /// The least price for which it is sold, in cents.
    pub reserve: u64,
    /// When, in milliseconds.
    pub time: i64,
    /// The last millisecond in which bids count.
    pub expires: i64,
    /// Who offers it.
    pub seller: u64,
    /// What kind of thing.
    pub category: u64,
    /// Padding.
    pub extra: Text,
}

/// What somebody would pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bid {
    /// For what.
    pub auction: u64,
    /// Who.
    pub bidder: u64,
    /// How much, in cents.
    pub price: u64,
    /// Where the bidder came from.
    pub channel: Channel,
    /// When, in milliseconds.
    pub time: i64,
    /// Padding.
    pub extra: Text,
}

impl Event {
    /// When it happens, in milliseconds.
    #[inline]
    #[must_use]
    pub const fn time(&self) -> i64 {
        match self {
            Self::Person(person) => person.time,
            Self::Auction(auction) => auction.time,
            Self::Bid(bid) => bid.time,
        }
    }

    /// The bid, if it is one.
    #[inline]
    #[must_use]
    pub const fn bid(self) -> Option<Bid> {
        if let Self::Bid(bid) = self { Some(bid) } else { None }
    }
}

/// A first name and a last name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Name(pub(crate) u8);

const FIRST_NAMES: [&str; 11] =
    ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
const LAST_NAMES: [&str; 9] =
    ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];

impl Name {
    /// How many there are.
    pub const N: u64 = (FIRST_NAMES.len() * LAST_NAMES.len()) as u64;

    /// In letters.
    #[must_use]
    pub fn text(self) -> &'static str {
        static NAMES: OnceLock<Vec<String>> = OnceLock::new();
        let names = NAMES.get_or_init(|| {
            let last = |first: &&str| LAST_NAMES.map(|last| format!("{first} {last}"));
            FIRST_NAMES.iter().flat_map(last).collect()
        });
        &names[usize::from(self.0)]
    }
}

/// A city and its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct City(pub(crate) u8, pub(crate) u8);

const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];

impl City {
    /// How many cities there are.
    pub const N: u64 = CITIES.len() as u64;
    /// How many states there are.
    pub const N_STATES: u64 = STATES.len() as u64;

    /// The name of the city.
    #[must_use]
    pub fn text(self) -> &'static str {
        CITIES[usize::from(self.0)]
    }

    /// The name of the state.
    #[inline]
    #[must_use]
    pub fn state(self) -> &'static str {
        STATES[usize::from(self.1)]
    }
}

/// Where a bidder came from: one of four great sites, or one of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Channel(pub(crate) u16);

const GREAT_SITES: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];

impl Channel {
    /// How many great sites there are.
    pub const N_GREAT: u16 = GREAT_SITES.len() as u16;
    /// How many others.
    pub const N_SMALL: u16 = 10_000;

    /// The name of the site.
    #[inline]
    #[must_use]
    pub fn text(self) -> &'static str {
        &self.stock().0
    }

    /// What the bidder has followed.
    #[inline]
    #[must_use]
    pub fn url(self) -> &'static str {
        &self.stock().1
    }

    #[inline]
    fn stock(self) -> &'static (String, String) {
        static STOCK: OnceLock<Vec<(String, String)>> = OnceLock::new();
        &STOCK.get_or_init(|| (0..Self::N_GREAT + Self::N_SMALL).map(Self::spell).collect())
            [usize::from(self.0)]
    }

    fn spell(n: u16) -> (String, String) {
        let random = mix(u64::from(n) + 1);
        let word = |at: u32| Text { start: (random >> at) as u32 & (STOCK_BYTES - 1), bytes: 5 }.text();
        let url = format!("https://www.nexmark.com/{}/{}/{}/item.htm?query=1", word(0), word(16), word(32));
        match GREAT_SITES.get(usize::from(n)) {
            Some(site) => ((*site).to_owned(), url),
            // One of ten tells no channel.
            None if random.is_multiple_of(10) => (format!("channel-{n}"), url),
            None => {
                (format!("channel-{n}"), format!("{url}&channel_id={}", u32::from(n).reverse_bits() >> 1))
            }
        }
    }
}

/// A piece of the stock of random letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Text {
    pub(crate) start: u32,
    pub(crate) bytes: u32,
}

/// Letters in stock; a power of two.
const STOCK_BYTES: u32 = 1 << 16;
/// The longest piece.
const TEXT_BYTES_MAX: u32 = 512;

impl Text {
    /// A piece of so many letters, which depends on `random`.
    #[inline]
    pub(crate) const fn new(random: u64, bytes: u32) -> Self {
        let bytes = if bytes > TEXT_BYTES_MAX { TEXT_BYTES_MAX } else { bytes };
        Self { start: random as u32 & (STOCK_BYTES - 1), bytes }
    }

    /// In letters.
    #[must_use]
    pub fn text(self) -> &'static str {
        static STOCK: OnceLock<String> = OnceLock::new();
        let stock = STOCK.get_or_init(|| {
            let letter = |i: u32| char::from(b'a' + (mix(u64::from(i)) % 26) as u8);
            (0..STOCK_BYTES + TEXT_BYTES_MAX).map(letter).collect()
        });
        &stock[self.start as usize..(self.start + self.bytes) as usize]
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// The finaliser of splitmix64 (Steele, Lea and Flood 2014), a bijection.
#[inline]
pub(crate) const fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
