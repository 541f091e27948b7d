//! The queries on Malstrom, each what a user would write.
//!
//! - [`stateless`]: 0, 1, 2, 13, 14, 21, 22. [`joins`]: 3, 8, 20. [`winning`]: 4, 6, 9.
//! - [`windows`]: 5, 7, 11, 12, 17. [`distinct`]: 15, 16. [`changes`]: 18, 19.
//!
//! Query 10 writes to a file system that a stream processor's benchmark cannot bring with it, and is left out.

mod changes;
mod distinct;
mod joins;
mod stateless;
mod windows;
mod winning;

use malstrom_core::stage::Pipe;
use malstrom_core::stream::Stream;

use crate::event::Event;
use crate::out::Out;

pub(crate) use joins::{Sale20, row as sale_row};
pub(crate) use windows::{Summary, Summary17, summary_row};

/// All queries.
pub const ALL: [u8; 22] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22];

/// Builds a query.
pub(crate) fn define<P: Pipe<Item = Event>>(query: u8, events: Stream<P>, out: &Out) {
    match query {
        0 => stateless::q0(events, out),
        1 => stateless::q1(events, out),
        2 => stateless::q2(events, out),
        3 => joins::q3(events, out),
        4 => winning::q4(events, out),
        5 => windows::q5(events, out),
        6 => winning::q6(events, out),
        7 => windows::q7(events, out),
        8 => joins::q8(events, out),
        9 => winning::q9(events, out),
        11 => windows::q11(events, out),
        12 => windows::q12(events, out),
        13 => stateless::q13(events, out),
        14 => stateless::q14(events, out),
        15 => distinct::q15(events, out),
        16 => distinct::q16(events, out),
        17 => windows::q17(events, out),
        18 => changes::q18(events, out),
        19 => changes::q19(events, out),
        20 => joins::q20(events, out),
        21 => stateless::q21(events, out),
        22 => stateless::q22(events, out),
        // Refused with the flags.
        _ => {}
    }
}
