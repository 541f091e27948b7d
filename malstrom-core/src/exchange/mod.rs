//! How records change workers.

mod hash;
mod parcel;

pub use hash::{StableHasher, bin_of, stable_hash};
pub use parcel::{
    AnyBatch, Batch, CodecError, Data, Decoder, Parcel, ParcelReceiver, ParcelSender, decode_batch,
};
