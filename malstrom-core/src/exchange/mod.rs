//! How records change workers.

mod parcel;

pub use parcel::{
    AnyBatch, Batch, CodecError, Data, Decoder, Parcel, ParcelReceiver, ParcelSender, decode_batch,
};
