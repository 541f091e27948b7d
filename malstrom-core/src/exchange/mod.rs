//! How records change workers: the stable hash of a key, its bin, the worker that owns the bin, and the channels
//! between stages with their alignment.

mod channels;
mod everywhere;
mod hash;
mod lane;
mod lanes;
mod outbox;
mod parcel;

pub use hash::{StableHasher, bin_of, stable_hash};
pub use outbox::Outbox;
pub use parcel::{
    AnyBatch, Batch, CodecError, Data, Decoder, Parcel, ParcelReceiver, ParcelSender, decode_batch,
};

pub(crate) use channels::{Arrival, Channels};
pub(crate) use everywhere::{Everywhere, EverywhereInbox};
pub(crate) use hash::hash_in_bin;
#[cfg(test)]
pub(crate) use lane::Message;
pub(crate) use lane::{Lane, Receive, Remote, drain_all, local_channel};
