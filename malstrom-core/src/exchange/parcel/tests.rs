use proptest::prelude::*;

use super::*;
use crate::codec::encode;

fn batch<T>(records: impl IntoIterator<Item = (i64, T)>) -> Batch<T> {
    let mut batch = Batch::default();
    records.into_iter().for_each(|(time, value)| batch.push(Record::at(Timestamp(time), value)));
    batch
}

fn bytes<T: Data>(batch: &Batch<T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    AnyBatch::encode(batch, &mut bytes).unwrap();
    bytes
}

fn returned<T: Data>(bytes: &[u8]) -> Batch<T> {
    *decode_batch::<T>(bytes).unwrap().into_any().downcast().unwrap()
}

fn records<T>(mut batch: Batch<T>) -> Vec<(i64, T)> {
    batch.drain().map(|record| (record.time.0, record.value)).collect()
}

/// The bytes of a batch whose parts need not fit.
fn bytes_of(values: &[u32], times: &[(i64, u32)]) -> Vec<u8> {
    encode(&Batch {
        values: values.to_vec(),
        times: times.iter().map(|(time, start)| (Timestamp(*time), *start)).collect(),
    })
    .unwrap()
}

#[test]
fn equal_times_are_one_run() {
    let batch = batch([(1, 'a'), (1, 'b'), (2, 'c'), (1, 'd')]);
    assert_eq!(batch.times, [(Timestamp(1), 0), (Timestamp(2), 2), (Timestamp(1), 3)]);
    assert_eq!((batch.len(), batch.n_records(), batch.is_empty()), (4, 4, false));
}

#[test]
fn draining_empties_a_batch_and_keeps_its_memory() {
    let mut batch = batch((0..100).map(|n| (n, n)));
    let capacity = batch.values.capacity();
    assert_eq!(batch.drain().count(), 100);
    assert!(batch.is_empty() && batch.times.is_empty());
    assert_eq!(batch.values.capacity(), capacity);
}

#[test]
fn a_batch_that_is_drained_halfway_is_empty_and_whole() {
    let mut batch = batch([(1, 'a'), (1, 'b'), (2, 'c')]);
    batch.drain().next().unwrap();
    assert!(batch.is_empty() && batch.is_consistent());
}

#[test]
fn draining_ahead_shows_the_value_so_many_places_behind() {
    let mut numbers = batch([(0, 'a'), (0, 'b'), (5, 'c')]);
    let mut seen = Vec::new();
    numbers.drain_ahead(2, |upcoming, record| seen.push((upcoming.copied(), record.time.0, record.value)));
    assert_eq!(seen, [(Some('c'), 0, 'a'), (None, 0, 'b'), (None, 5, 'c')]);
    assert!(numbers.is_empty() && numbers.is_consistent());
    let mut numbers = batch([(0, 'a'), (0, 'b')]);
    numbers.drain_ahead(0, |upcoming, _| assert_eq!(upcoming, None));
}

#[test]
fn i15_times_that_do_not_match_the_values_are_refused() {
    let whole = bytes_of(&[1, 2], &[(0, 0)]);
    assert_eq!(returned::<u32>(&whole).len(), 2);
    type Parts<'a> = (&'a [u32], &'a [(i64, u32)]);
    let broken: [Parts<'_>; 6] = [
        (&[1, 2], &[]),
        (&[1, 2], &[(0, 1)]),
        (&[1, 2], &[(0, 0), (0, 2)]),
        (&[1, 2], &[(0, 0), (0, u32::MAX)]),
        (&[1, 2, 3], &[(0, 0), (1, 2), (2, 1)]),
        (&[], &[(0, 0)]),
    ];
    for (values, times) in broken {
        assert!(decode_batch::<u32>(&bytes_of(values, times)).is_err(), "{values:?} {times:?}");
    }
}

#[test]
fn i15_a_batch_of_another_type_is_refused() {
    assert!(decode_batch::<u32>(&bytes(&batch([(0, "word".to_owned())]))).is_err());
    assert!(decode_batch::<String>(&bytes(&batch([(0, 7_u32)]))).is_err());
}

#[test]
fn i15_a_batch_cut_short_or_followed_by_more_is_refused() {
    let mut bytes = bytes(&batch([(1, 7_u32), (2, 8), (2, 900)]));
    for n in 0..bytes.len() {
        assert!(decode_batch::<u32>(&bytes[..n]).is_err(), "{n} bytes");
    }
    bytes.push(0);
    assert!(decode_batch::<u32>(&bytes).is_err());
}

#[test]
fn i15_a_length_that_lies_reserves_little() {
    // A map of one field `values`, an array that says it has 2^32 - 1 entries.
    let bytes = [&[0x82, 0xa6][..], b"values", &[0xdd, 0xff, 0xff, 0xff, 0xff]].concat();
    assert!(decode_batch::<u64>(&bytes).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_returns_from_its_bytes(made in prop::collection::vec((-3..3_i64, ".{0,4}"), 0..40)) {
        let sent = batch(made.clone());
        let came = returned::<String>(&bytes(&sent));
        prop_assert!(came.is_consistent());
        prop_assert_eq!(&came, &sent);
        prop_assert_eq!(records(came), made);
    }

    #[test]
    fn both_ways_to_drain_give_the_same(made in prop::collection::vec((-3..3_i64, any::<u8>()), 0..40), ahead in 0..50_usize) {
        let mut seen = Vec::new();
        batch(made.clone()).drain_ahead(ahead, |_, record| seen.push((record.time.0, record.value)));
        prop_assert_eq!(&records(batch(made)), &seen);
    }

    #[test]
    fn i15_any_bytes_are_a_batch_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode_batch::<u32>(&bytes);
        let _ = decode_batch::<String>(&bytes);
    }
}

#[test]
fn i15_a_parcel_is_read_back_and_other_bytes_are_an_error() {
    let mut bytes = Vec::new();
    Parcel::Batch(Box::new(batch([(1, 'a'), (2, 'b')]))).encode(&mut bytes).unwrap();
    let Ok(Parcel::Batch(read)) = Parcel::decode(&bytes, decode_batch::<char>) else { panic!("not a batch") };
    assert_eq!(records(*read.into_any().downcast::<Batch<char>>().unwrap()), [(1, 'a'), (2, 'b')]);
    let mut bytes = Vec::new();
    Parcel::Control(Control::Idle).encode(&mut bytes).unwrap();
    assert!(matches!(Parcel::decode(&bytes, decode_batch::<char>), Ok(Parcel::Control(Control::Idle))));
    for bytes in [&b""[..], b"\x02", b"\x00", b"\x01\xff", b"\x07storm"] {
        assert!(Parcel::decode(bytes, decode_batch::<char>).is_err(), "{bytes:?}");
    }
}
