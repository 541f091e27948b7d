use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use proptest::prelude::*;

use super::probing::{OVERFLOW_MAX, OVERFLOW_SHIFT};
use super::*;
use crate::exchange::stable_hash;

/// Hashes of which many collide in the whole word, and more in home or tag.
fn poor_hash(key: &u64) -> u64 {
    match key % 4 {
        0 => 0,
        1 => stable_hash(&(key % 8)),
        2 => u64::MAX,
        _ => stable_hash(key),
    }
}

fn counted(keys: impl IntoIterator<Item = u64>) -> BinTable<u64, u64> {
    let mut table = BinTable::new();
    for key in keys {
        *table.get_or_insert_with(stable_hash(&key), key, || 0, stable_hash::<u64>).1 += 1;
    }
    table
}

#[test]
fn header_is_small() {
    assert!(size_of::<BinTable<u64, u64>>() <= 32);
}

#[test]
fn nothing_is_allocated_before_the_first_insert() {
    let mut table = BinTable::<u64, String>::new();
    assert_eq!((table.len(), table.memory_bytes()), (0, 0));
    table.prefetch(u64::MAX);
    assert_eq!(table.get(u64::MAX, &1), None);
    assert_eq!(table.remove(u64::MAX, &1), None);
    assert_eq!(table.iter_except(&[]).count(), 0);
    assert!(table.place_for(u64::MAX, |key| *key == 1).is_none());
    assert_eq!((table.iter().count(), table.drain().count()), (0, 0));
    assert_eq!(table.memory_bytes(), 0);
}

#[test]
fn a_table_of_one_key_takes_one_slot() {
    assert_eq!(counted([5]).memory_bytes(), size_of::<u64>() + size_of::<(u64, u64)>());
}

#[test]
fn many_keys_are_found_after_growth() {
    let n = if cfg!(miri) { 200 } else { 20_000 };
    let table = counted((0..n).chain(0..n));
    assert_eq!(table.len() as u64, n);
    for key in 0..n {
        assert_eq!(table.get(stable_hash(&key), &key), Some(&2));
    }
    assert_eq!(table.get(stable_hash(&n), &n), None);
}

#[test]
fn reserve_makes_room_once() {
    for n in [1, 2, 5, 7, 8, 100] {
        let mut table = BinTable::new();
        table.reserve(n, stable_hash::<u64>);
        let bytes = table.memory_bytes();
        for key in 0..n as u64 {
            table.get_or_insert_with(stable_hash(&key), key, || key, |_| panic!("grown"));
        }
        assert_eq!(table.memory_bytes(), bytes);
    }
}

#[test]
fn order_of_iteration_follows_from_the_operations() {
    let made = || {
        let mut table = counted(0..150);
        table.retain(|key, _| key % 3 != 0, stable_hash::<u64>);
        for key in 200..260_u64 {
            table.get_or_insert_with(stable_hash(&key), key, || 0, stable_hash::<u64>);
        }
        table.iter().map(|(key, _)| *key).collect::<Vec<_>>()
    };
    assert_eq!(made(), made());
}

#[test]
fn removal_leaves_no_trace_in_the_overflow_counts() {
    let mut table = BinTable::new();
    let keys = 0..60_u64;
    for key in keys.clone() {
        table.get_or_insert_with(0, key, || (), |_| 0);
    }
    assert!((0..table.n_chunks).any(|chunk| table.tags(chunk) >> OVERFLOW_SHIFT > 0));
    for key in keys {
        assert_eq!(table.remove(0, &key), Some((key, ())));
    }
    assert!((0..table.n_chunks).all(|chunk| table.tags(chunk) == 0));
}

#[test]
fn a_full_overflow_count_stays_and_everything_is_still_found() {
    let mut table = BinTable::new();
    let keys = 0..400_u64;
    for key in keys.clone() {
        table.get_or_insert_with(u64::MAX, key, || key, |_| u64::MAX);
    }
    assert!((0..table.n_chunks).any(|chunk| table.tags(chunk) >> OVERFLOW_SHIFT == OVERFLOW_MAX));
    for key in keys.clone().filter(|key| key % 2 == 0) {
        assert_eq!(table.remove(u64::MAX, &key), Some((key, key)));
    }
    for key in keys {
        assert_eq!(table.get(u64::MAX, &key).copied(), (key % 2 == 1).then_some(key));
    }
}

#[test]
fn keys_and_states_of_any_size_and_alignment_fit() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(align(128))]
    struct Wide([u8; 130]);
    let mut wide = BinTable::new();
    let mut nothing = BinTable::new();
    let mut bytes = BinTable::new();
    for key in 0..100_u8 {
        let hash = stable_hash(&key);
        let (_, state) = wide.get_or_insert_with(hash, key, || Wide([key; 130]), stable_hash::<u8>);
        assert_eq!(std::ptr::from_ref(state).addr() % 128, 0);
        nothing.get_or_insert_with(stable_hash(&()), (), || (), stable_hash::<()>);
        bytes.get_or_insert_with(hash, key, || [key; 3], stable_hash::<u8>);
    }
    for key in 0..100_u8 {
        assert_eq!(wide.get(stable_hash(&key), &key), Some(&Wide([key; 130])));
        assert_eq!(bytes.get(stable_hash(&key), &key), Some(&[key; 3]));
    }
    assert_eq!(nothing.len(), 1);
}

/// Counts how many live.
struct Counted(Rc<Cell<i32>>);

impl Counted {
    fn new(alive: &Rc<Cell<i32>>) -> Self {
        alive.set(alive.get() + 1);
        Self(alive.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

fn counted_entries(alive: &Rc<Cell<i32>>, n: u64) -> BinTable<u64, Counted> {
    let mut table = BinTable::new();
    for key in 0..n {
        table.get_or_insert_with(stable_hash(&key), key, || Counted::new(alive), stable_hash::<u64>);
    }
    table
}

#[test]
fn each_entry_is_dropped_once() {
    let alive = Rc::new(Cell::new(0));
    let mut table = counted_entries(&alive, 100);
    assert_eq!(alive.get(), 100);
    drop(table.remove(stable_hash(&3_u64), &3));
    table.retain(|key, _| *key < 50, stable_hash::<u64>);
    assert_eq!(alive.get(), 49);
    let mut drain = table.drain();
    drop(drain.next());
    assert_eq!(alive.get(), 48);
    drop(drain);
    assert_eq!((alive.get(), table.len()), (0, 0));
    drop(counted_entries(&alive, 20));
    assert_eq!(alive.get(), 0);
}

#[test]
fn a_panic_in_a_callers_function_leaves_the_table_whole() {
    let alive = Rc::new(Cell::new(0));
    let mut table = counted_entries(&alive, 7);
    let panics = |run: &mut dyn FnMut()| assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    // The table is full: `rehash` is called for each entry, and panics half-way.
    panics(&mut || {
        let rehash = |key: &u64| if *key == 4 { panic!("rehash") } else { stable_hash(key) };
        table.get_or_insert_with(stable_hash(&9_u64), 9, || Counted::new(&alive), rehash);
    });
    panics(&mut || {
        table.get_or_insert_with(stable_hash(&9_u64), 9, || panic!("init"), stable_hash::<u64>);
    });
    panics(&mut || {
        let _ = table.find_mut(stable_hash(&3_u64), |_| panic!("eq"));
    });
    assert_eq!((alive.get(), table.len()), (7, 7));
    panics(&mut || table.retain(|key, _| if *key == 5 { panic!("keep") } else { false }, stable_hash::<u64>));
    assert_eq!(alive.get() as usize, table.len());
    assert!(table.get(stable_hash(&5_u64), &5).is_some());
}

#[test]
fn a_panic_in_drop_drops_nothing_twice() {
    struct Bomb(u64, Rc<Cell<u64>>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            let seen = self.1.get();
            assert_eq!(seen & (1 << self.0), 0, "dropped twice");
            self.1.set(seen | 1 << self.0);
            if self.0 == 5 {
                panic!("drop");
            }
        }
    }
    let seen = Rc::new(Cell::new(0));
    let mut table = BinTable::new();
    for key in 0..20 {
        table.get_or_insert_with(stable_hash(&key), key, || Bomb(key, seen.clone()), stable_hash::<u64>);
    }
    let keep_few = || table.retain(|key, _| *key > 10, stable_hash::<u64>);
    assert!(catch_unwind(AssertUnwindSafe(keep_few)).is_err());
    assert!(table.get(stable_hash(&5_u64), &5).is_none());
    drop(table);
    assert_eq!(seen.get() >> 11, (1 << 9) - 1);
}

#[derive(Clone, Debug)]
enum Step {
    Add(u64),
    Get(u64),
    Remove(u64),
    Retain(u64),
    Reserve(usize),
    Except(Vec<u64>),
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..120_u64;
    prop_oneof![
        12 => key.clone().prop_map(Step::Add),
        4 => key.clone().prop_map(Step::Get),
        6 => key.prop_map(Step::Remove),
        1 => (2..6_u64).prop_map(Step::Retain),
        1 => (0..60_usize).prop_map(Step::Reserve),
        1 => proptest::collection::vec(0..120_u64, 0..80).prop_map(Step::Except),
        1 => Just(Step::Drain),
    ]
}

/// Applies steps to a table and to a map, which must agree. States own memory so that a wrong drop is noticed.
fn agree_with_a_map(steps: Vec<Step>, hash: fn(&u64) -> u64) {
    let mut table = BinTable::<u64, Box<u64>>::new();
    let mut model = BTreeMap::<u64, u64>::new();
    for step in steps {
        match step {
            Step::Add(key) => {
                let place = table.place_for(hash(&key), |found| *found == key);
                let n_chunks = table.n_chunks();
                let (found, state) = table.get_or_insert_with(hash(&key), key, || Box::new(0), hash);
                assert_eq!(*found, key);
                **state += 1;
                match place {
                    Some(place) => assert_eq!(table.at(place).map(|(found, _)| *found), Some(key)),
                    None => assert_ne!(table.n_chunks() + table.len(), n_chunks, "it has grown"),
                }
                *model.entry(key).or_default() += 1;
            }
            Step::Get(key) => {
                assert_eq!(table.get(hash(&key), &key).map(|state| **state), model.get(&key).copied());
                let state = table.get_mut(hash(&key), &key).map(|state| **state);
                assert_eq!(state, model.get(&key).copied());
            }
            Step::Remove(key) => {
                let removed = table.remove(hash(&key), &key).map(|(key, state)| (key, *state));
                assert_eq!(removed, model.remove_entry(&key));
            }
            Step::Retain(divisor) => {
                table.retain(|key, state| (key + **state) % divisor != 0, hash);
                model.retain(|key, state| (*key + *state) % divisor != 0);
            }
            Step::Reserve(n) => table.reserve(n, hash),
            Step::Except(keys) => {
                let mut left_out = vec![0; table.n_chunks()];
                for key in &keys {
                    // Where it would be put is free: to leave that out changes nothing.
                    let Some(place) = table.place_for(hash(key), |found| found == key) else { continue };
                    assert_eq!(table.at(place).map(|(key, _)| *key), model.get(key).map(|_| *key));
                    left_out[place.chunk as usize] |= 1 << place.slot;
                }
                let left: Vec<_> = table.iter_except(&left_out).map(|(key, state)| (*key, **state)).collect();
                let all = table.iter().map(|(key, state)| (*key, **state));
                assert_eq!(left, all.filter(|(key, _)| !keys.contains(key)).collect::<Vec<_>>());
            }
            Step::Drain => {
                let drained: BTreeMap<_, _> = table.drain().map(|(key, state)| (key, *state)).collect();
                assert_eq!(drained, std::mem::take(&mut model));
            }
        }
        assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
    }
    let left: BTreeMap<_, _> = table.iter().map(|(key, state)| (*key, **state)).collect();
    assert_eq!(left, model);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn behaves_as_a_map_does(steps in proptest::collection::vec(step(), 0..400)) {
        agree_with_a_map(steps, stable_hash::<u64>);
    }

    #[test]
    fn behaves_as_a_map_does_when_hashes_collide(steps in proptest::collection::vec(step(), 0..400)) {
        agree_with_a_map(steps, poor_hash);
    }
}
