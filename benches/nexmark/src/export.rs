//! Writes all events to files, for whoever checks the answers without any of the programs.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};

use crate::args::Events;
use crate::event::Event;

/// Writes `person.csv`, `auction.csv` and `bid.csv`, with `|` between the fields.
///
/// # Errors
/// If they cannot be written.
pub fn write(args: &Events) -> io::Result<()> {
    fs::create_dir_all(&args.folder)?;
    let open = |name: &str, heading: &str| {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(args.folder.join(name))?);
        writeln!(file, "{heading}").map(|()| file)
    };
    let mut persons = open("person.csv", "id|name|email|card|city|state|time|extra")?;
    let mut auctions =
        open("auction.csv", "id|item|description|initial_bid|reserve|time|expires|seller|category|extra")?;
    let mut bids = open("bid.csv", "auction|bidder|price|channel|url|time|extra")?;
    for event in args.input.generator().events(args.input.events, 0, 1) {
        match event {
            Event::Person(p) => writeln!(
                persons,
                "{}|{}|{:x}@example.org|{:016}|{}|{}|{}|{}",
                p.id,
                p.name.text(),
                p.email,
                p.card,
                p.city.text(),
                p.city.state(),
                p.time,
                p.extra
            ),
            Event::Auction(a) => writeln!(
                auctions,
                "{}|{}|{}|{}|{}|{}|{}|{}|{}|{}",
                a.id,
                a.item,
                a.description,
                a.initial_bid,
                a.reserve,
                a.time,
                a.expires,
                a.seller,
                a.category,
                a.extra
            ),
            Event::Bid(b) => writeln!(
                bids,
                "{}|{}|{}|{}|{}|{}|{}",
                b.auction,
                b.bidder,
                b.price,
                b.channel.text(),
                b.channel.url(),
                b.time,
                b.extra
            ),
        }?;
    }
    for mut file in [persons, auctions, bids] {
        file.flush()?;
    }
    Ok(())
}
