//! What the fuzz targets do with bytes. The same functions replay the corpus as a test of `malstrom-core`.
//!
//! Each gives any bytes to a decoder and tells whether they were a value. A value is encoded and decoded again, which
//! must give the same; nothing may panic or take much memory.

use std::fmt::Debug;
use std::num::NonZeroU64;

use malstrom_core::codec;
use malstrom_core::exchange::{Data, decode_batch};
use malstrom_core::ids::{Bin, Generation, SnapshotId};
use malstrom_core::key::KeyBytes;
use malstrom_core::ports::Nanos;
use malstrom_core::session::{Frame, Incarnation, Session, SessionConfig};
use malstrom_core::snapshot::{block, log};
use malstrom_core::state::{AnyState, KeyedState, StateKey};
use malstrom_core::worker::messages::{Command, Mail, Report};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The length of what stands before the content of an object, in bytes: magic, version, packing, length.
const HEAD_BYTES: usize = 10;

/// An entry of the job log: the bytes as they are, with a right checksum, and as the content of an entry.
pub fn log_entry(bytes: &[u8]) -> bool {
    let decoded = variants(b"MsLg", bytes).map(|bytes| {
        let Ok(entry) = log::decode(&bytes) else { return false };
        let again = log::encode(&entry).expect("what was decoded can be encoded");
        assert_eq!(log::decode(&again).expect("and decoded again"), entry);
        true
    });
    decoded.contains(&true)
}

/// A block of state: the bytes as they are, with a right checksum, and as the content of a block.
pub fn block(bytes: &[u8]) -> bool {
    let decoded = variants(b"MsBk", bytes).map(|bytes| {
        let Ok(raw) = block::open(&bytes) else { return false };
        let mut again = Vec::new();
        block::seal(&raw, &mut again).expect("what was opened can be sealed");
        assert_eq!(block::open(&again).expect("and opened again"), raw);
        true
    });
    decoded.contains(&true)
}

/// The keys and states of one bin, for several types.
pub fn state(bytes: &[u8]) -> bool {
    let decoded = [
        bin::<KeyBytes, u64>(bytes),
        bin::<String, Vec<Option<i64>>>(bytes),
        bin::<u64, ()>(bytes),
        bin::<(u8, bool), [f64; 4]>(bytes),
    ];
    decoded.contains(&true)
}

/// A message, as each of the three that there are.
pub fn messages(bytes: &[u8]) -> bool {
    let decoded = [value::<Command>(bytes), value::<Report>(bytes), value::<Mail>(bytes)];
    decoded.contains(&true)
}

/// A batch of records, for several types.
pub fn batch(bytes: &[u8]) -> bool {
    let decoded = [
        records::<u64>(bytes),
        records::<String>(bytes),
        records::<KeyBytes>(bytes),
        records::<()>(bytes),
        records::<(u64, Option<Vec<u8>>)>(bytes),
    ];
    decoded.contains(&true)
}

/// Frames of a session, one behind another: the bytes as they are, and as the body of a frame with a right checksum. A
/// session is given whatever comes out.
pub fn frame(bytes: &[u8]) -> bool {
    let length = (bytes.len() as u32).to_le_bytes();
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&length), bytes).to_le_bytes();
    let wrapped = [&length[..], &checksum, bytes].concat();
    let decoded = [bytes, &wrapped].map(|mut bytes| {
        let me = Incarnation(NonZeroU64::MIN);
        let mut session = Session::new(Generation(1), me, SessionConfig::default());
        let mut is_frame = false;
        while let Ok(Some(frame)) = Frame::decode(&mut bytes) {
            is_frame = true;
            let mut again = Vec::new();
            frame.encode(&mut again);
            assert_eq!(Frame::decode(&mut again.as_slice()), Ok(Some(frame.clone())), "it can be encoded");
            session.receive(frame, Nanos(1));
            while session.take().is_some() {}
            while session.transmit(Nanos(1)).is_some() {}
        }
        is_frame
    });
    decoded.contains(&true)
}

/// No mutation finds a checksum, so the bytes are also tried with the right one, and as the content behind a right head.
fn variants(magic: &[u8; 4], bytes: &[u8]) -> [Vec<u8>; 3] {
    let mut mended = bytes.get(..bytes.len().saturating_sub(4)).unwrap_or_default().to_vec();
    mended.extend_from_slice(&crc32c::crc32c(&mended).to_le_bytes());
    let mut content = Vec::with_capacity(HEAD_BYTES + bytes.len() + 4);
    content.extend_from_slice(magic);
    content.extend_from_slice(&[1, 0]);
    content.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    content.extend_from_slice(bytes);
    content.extend_from_slice(&crc32c::crc32c(&content).to_le_bytes());
    [bytes.to_vec(), mended, content]
}

fn bin<K: StateKey, S: Data>(bytes: &[u8]) -> bool {
    // With one bin, every key belongs to it.
    let mut state = KeyedState::<K, S>::new("state", 1);
    if state.put(Bin(0), SnapshotId(1), bytes).is_err() {
        assert_eq!(state.n_keys(), 0, "what cannot be read leaves nothing behind");
        return false;
    }
    let n_keys = state.n_keys();
    let (_, encoded) = state.take(Bin(0)).expect("what was decoded can be encoded");
    assert_eq!(u64::from(encoded.keys), n_keys);
    state.put(Bin(0), SnapshotId(1), &encoded.bytes).expect("and decoded again");
    assert_eq!(state.n_keys(), n_keys);
    // Where there are more bins, a key can be in the wrong one.
    let _ = KeyedState::<K, S>::new("state", 2).put(Bin(1), SnapshotId(1), bytes);
    true
}

fn value<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> bool {
    let Ok(value) = codec::decode::<T>(bytes) else { return false };
    let again = codec::encode(&value).expect("what was decoded can be encoded");
    assert_eq!(codec::decode::<T>(&again).expect("and decoded again"), value);
    true
}

fn records<T: Data>(bytes: &[u8]) -> bool {
    let Ok(batch) = decode_batch::<T>(bytes) else { return false };
    let mut once = Vec::new();
    batch.encode(&mut once).expect("what was decoded can be encoded");
    let mut twice = Vec::new();
    let again = decode_batch::<T>(&once).expect("and decoded again");
    again.encode(&mut twice).expect("and encoded again");
    assert_eq!((batch.n_records(), once), (again.n_records(), twice));
    true
}
