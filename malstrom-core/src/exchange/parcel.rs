//! What crosses a channel: batches whose type only the two ends know, and control.

use std::any::Any;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::element::{Control, Record, Timestamp};
use crate::limits::BATCH_RECORDS;

/// What can be sent to another worker.
pub trait Data: Serialize + DeserializeOwned + Send + 'static {}
impl<T: Serialize + DeserializeOwned + Send + 'static> Data for T {}

/// Records that travel together. Times are kept as runs of equal ones, each with the place where it begins: a stream
/// without event time carries a few bytes of it per batch, and a record in a run writes nothing but its value.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Batch<T> {
    values: Vec<T>,
    times: Vec<(Timestamp, u32)>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { values: Vec::new(), times: Vec::new() }
    }
}

impl<T> Batch<T> {
    /// Adds a record at the end.
    #[inline]
    pub fn push(&mut self, record: Record<T>) {
        if self.times.last().is_none_or(|(time, _)| *time != record.time) {
            self.begin_run(record.time);
        }
        self.values.push(record.value);
    }

    /// Adds a value that has the time of the run begun last.
    #[inline(always)]
    pub(super) fn push_in_run(&mut self, value: T) {
        self.values.push(value);
    }

    /// What is added from here on has this time.
    #[cold]
    pub(super) fn begin_run(&mut self, time: Timestamp) {
        let start = u32::try_from(self.values.len()).expect("a batch has fewer than 2^32 records");
        self.times.push((time, start));
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values in order.
    #[must_use]
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// Takes all records in order and gives each to `each`, with the value `ahead` places behind it if there is one;
    /// the batch is empty afterwards and keeps its memory.
    #[inline]
    pub fn drain_ahead(&mut self, ahead: usize, mut each: impl FnMut(Option<&T>, Record<T>)) {
        let n = self.values.len();
        let mut values = self.values.drain(..);
        for (at, &(time, start)) in self.times.iter().enumerate() {
            let end = self.times.get(at + 1).map_or(n, |(_, start)| *start as usize);
            for _ in start as usize..end {
                let Some(value) = values.next() else { break };
                let upcoming = ahead.checked_sub(1).and_then(|at| values.as_slice().get(at));
                each(upcoming, Record { time, value });
            }
        }
        drop(values);
        self.times.clear();
    }

    /// Takes all records in order; the batch is empty afterwards and keeps its memory.
    #[inline]
    pub fn drain(&mut self) -> impl Iterator<Item = Record<T>> + '_ {
        let mut runs = self.times.drain(..).peekable();
        let mut time = Timestamp::MIN;
        self.values.drain(..).enumerate().map(move |(at, value)| {
            if let Some((began, _)) = runs.next_if(|(_, start)| *start as usize == at) {
                time = began;
            }
            Record { time, value }
        })
    }

    fn is_consistent(&self) -> bool {
        let mut starts = self.times.iter().map(|(_, start)| *start as usize);
        starts.next() == (!self.values.is_empty()).then_some(0)
            && self.times.is_sorted_by(|(_, one), (_, next)| one < next)
            && starts.all(|start| start < self.values.len())
    }
}

/// A batch of whatever type, as a transport sees it.
pub trait AnyBatch: Send {
    /// The batch as a value that its receiver can cast back.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
    /// Appends the batch's bytes; what a [`Decoder`] for the same type reads.
    ///
    /// # Errors
    /// If a value refuses to be serialized.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError>;
    /// How many records it holds.
    fn n_records(&self) -> usize;
}

impl<T: Data> AnyBatch for Batch<T> {
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        crate::codec::encode_into(self, out)
    }

    fn n_records(&self) -> usize {
        self.len()
    }
}

pub use crate::codec::CodecError;

/// Makes a batch from the bytes that [`AnyBatch::encode`] wrote.
pub type Decoder = fn(&[u8]) -> Result<Box<dyn AnyBatch>, CodecError>;

/// The [`Decoder`] for batches of `T`.
///
/// # Errors
/// If the bytes are not such a batch.
pub fn decode_batch<T: Data>(bytes: &[u8]) -> Result<Box<dyn AnyBatch>, CodecError> {
    let batch: Batch<T> = crate::codec::decode(bytes)?;
    if !batch.is_consistent() {
        return Err(CodecError::Malformed {
            what: "batch",
            reason: "its times do not match its values".into(),
        });
    }
    Ok(Box::new(batch))
}

/// What crosses a channel.
pub enum Parcel {
    /// Records.
    Batch(Box<dyn AnyBatch>),
    /// Anything else.
    Control(Control),
}

const TAG_BATCH: u8 = 0;
const TAG_CONTROL: u8 = 1;

impl Parcel {
    /// Appends its bytes; what [`decode`](Self::decode) reads.
    ///
    /// # Errors
    /// If a value refuses to be serialized.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Self::Batch(batch) => {
                out.push(TAG_BATCH);
                batch.encode(out)
            }
            Self::Control(control) => {
                out.push(TAG_CONTROL);
                crate::codec::encode_into(control, out)
            }
        }
    }

    /// The parcel that these bytes are; the decoder is the one for the records of its edge.
    ///
    /// # Errors
    /// If they are none.
    pub fn decode(bytes: &[u8], decoder: Decoder) -> Result<Self, CodecError> {
        match bytes {
            [TAG_BATCH, batch @ ..] => Ok(Self::Batch(decoder(batch)?)),
            [TAG_CONTROL, control @ ..] => Ok(Self::Control(crate::codec::decode(control)?)),
            _ => Err(CodecError::Malformed { what: "parcel", reason: "it is of no known kind".into() }),
        }
    }
}

impl std::fmt::Debug for Parcel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Batch(batch) => write!(f, "Batch({} records)", batch.n_records()),
            Self::Control(control) => control.fmt(f),
        }
    }
}

/// The sending end of a bounded channel between two workers.
pub trait ParcelSender {
    /// Sends, or gives the parcel back when the channel is full. A channel whose receiver is gone takes all and keeps
    /// nothing: the loss of a worker is the coordinator's business.
    ///
    /// # Errors
    /// The parcel itself, when there is no room.
    fn try_send(&mut self, parcel: Parcel) -> Result<(), Parcel>;
    /// A batch whose memory can be used again, if the receiver has returned one.
    fn recycled(&mut self) -> Option<Box<dyn AnyBatch>>;
    /// Records after which a batch is sent though more could follow at once.
    fn batch_records(&self) -> usize {
        BATCH_RECORDS
    }
}

/// The receiving end of a bounded channel between two workers.
pub trait ParcelReceiver {
    /// The next parcel, if one is there.
    fn try_recv(&mut self) -> Option<Parcel>;
    /// Returns an empty batch to the sender, so that its memory is used again.
    fn recycle(&mut self, batch: Box<dyn AnyBatch>);
}

#[cfg(test)]
mod tests;
