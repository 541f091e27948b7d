use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

type State = KeyedState<u32, u64>;
type Model = BTreeMap<u32, u64>;

fn state(n_bins: u32) -> State {
    KeyedState::new("count", n_bins)
}

fn set(state: &mut State, key: u32, value: u64) {
    *state.get_or_insert_with(stable_hash(&key), &key, || 0).1 = value;
}

fn remove(state: &mut State, key: u32) {
    state.remove(stable_hash(&key), &key);
}

fn bin(state: &State, key: u32) -> Bin {
    bin_number(bin_of(stable_hash(&key), state.mask))
}

fn contents(state: &State) -> Model {
    state.iter().map(|(key, value)| (*key, *value)).collect()
}

/// `N` keys of different bins.
fn keys<const N: usize>(state: &State) -> [u32; N] {
    let mut bins = BTreeSet::new();
    let mut candidates = (0_u32..).filter(|key| bins.insert(bin(state, *key)));
    std::array::from_fn(|_| candidates.next().unwrap())
}

fn drain(state: &mut State) -> BTreeMap<Bin, EncodedBin> {
    let mut encoded = BTreeMap::new();
    while let Some(next) = state.encode_next().unwrap() {
        assert_eq!(next.bytes.is_empty(), next.keys == 0);
        assert_eq!(encoded.insert(next.bin, next), None, "a bin is encoded once");
    }
    encoded
}

/// What an encoded bin says, read by a state that has nothing else.
fn read(encoded: &EncodedBin, n_bins: u32) -> Model {
    let mut state = state(n_bins);
    state.put(encoded.bin, SnapshotId(0), &encoded.bytes).unwrap();
    assert_eq!(state.n_keys(), u64::from(encoded.keys));
    contents(&state)
}

#[test]
fn a_first_snapshot_holds_every_bin_that_has_keys() {
    let mut state = state(64);
    let [a, b] = keys(&state);
    set(&mut state, a, 1);
    set(&mut state, b, 2);
    state.freeze(SnapshotId(1), None);
    let encoded = drain(&mut state);
    assert_eq!(encoded.len(), 2);
    assert_eq!(read(&encoded[&bin(&state, a)], 64), Model::from([(a, 1)]));
    assert_eq!(read(&encoded[&bin(&state, b)], 64), Model::from([(b, 2)]));
}

#[test]
fn an_increment_holds_exactly_the_bins_changed_since_the_cut_of_its_base() {
    let mut state = state(64);
    let [a, b, c] = keys(&state);
    [a, b, c].iter().for_each(|key| set(&mut state, *key, 1));
    state.freeze(SnapshotId(1), None);
    drain(&mut state);
    set(&mut state, a, 2);
    state.freeze(SnapshotId(2), Some(SnapshotId(1)));
    assert_eq!(Vec::from_iter(drain(&mut state).into_keys()), [bin(&state, a)]);
    set(&mut state, b, 2);
    state.freeze(SnapshotId(3), Some(SnapshotId(1)));
    assert_eq!(BTreeSet::from_iter(drain(&mut state).into_keys()), [a, b].map(|key| bin(&state, key)).into());
    state.freeze(SnapshotId(4), Some(SnapshotId(3)));
    assert!(drain(&mut state).is_empty());
}

#[test]
fn a_frozen_bin_that_is_touched_is_encoded_as_it_was_at_the_cut() {
    let mut state = state(64);
    let [a, b] = keys(&state);
    set(&mut state, a, 1);
    set(&mut state, b, 1);
    state.freeze(SnapshotId(1), None);
    set(&mut state, b, 2);
    set(&mut state, b, 3);
    remove(&mut state, a);
    let encoded = drain(&mut state);
    assert_eq!(read(&encoded[&bin(&state, a)], 64), Model::from([(a, 1)]));
    assert_eq!(read(&encoded[&bin(&state, b)], 64), Model::from([(b, 1)]));
    assert_eq!(contents(&state), Model::from([(b, 3)]));
}

#[test]
fn a_bin_touched_after_its_turn_is_not_encoded_again_but_belongs_to_the_next_increment() {
    let mut state = state(1);
    set(&mut state, 7, 1);
    state.freeze(SnapshotId(1), None);
    assert_eq!(drain(&mut state).len(), 1);
    set(&mut state, 7, 2);
    assert!(drain(&mut state).is_empty());
    state.freeze(SnapshotId(2), Some(SnapshotId(1)));
    assert_eq!(read(&drain(&mut state)[&Bin(0)], 1), Model::from([(7, 2)]));
}

#[test]
fn a_bin_without_keys_that_is_touched_after_the_cut_is_not_in_the_snapshot() {
    let mut state = state(64);
    state.freeze(SnapshotId(1), None);
    set(&mut state, 7, 1);
    assert!(drain(&mut state).is_empty());
}

#[test]
fn removal_of_the_last_key_is_an_empty_bin_in_the_next_increment() {
    let mut state = state(64);
    set(&mut state, 7, 1);
    state.freeze(SnapshotId(1), None);
    drain(&mut state);
    remove(&mut state, 7);
    state.freeze(SnapshotId(2), Some(SnapshotId(1)));
    let empty = EncodedBin { bin: bin(&state, 7), keys: 0, bytes: Vec::new() };
    assert_eq!(Vec::from_iter(drain(&mut state).into_values()), [empty]);
    state.freeze(SnapshotId(3), None);
    assert!(drain(&mut state).is_empty(), "a snapshot without a base has nothing to take back");
}

#[test]
fn what_a_snapshot_that_is_given_up_held_is_in_the_next_one() {
    let mut state = state(64);
    let [a, b, c] = keys(&state);
    [a, b, c].iter().for_each(|key| set(&mut state, *key, 1));
    state.freeze(SnapshotId(1), None);
    drain(&mut state);
    set(&mut state, a, 2);
    set(&mut state, b, 2);
    state.freeze(SnapshotId(2), Some(SnapshotId(1)));
    set(&mut state, b, 3);
    state.freeze(SnapshotId(3), Some(SnapshotId(1)));
    let encoded = drain(&mut state);
    assert_eq!(encoded.len(), 2);
    assert_eq!(read(&encoded[&bin(&state, a)], 64), Model::from([(a, 2)]));
    assert_eq!(read(&encoded[&bin(&state, b)], 64), Model::from([(b, 3)]));
}

/// Moves a bin: by its bytes, or as it is.
fn move_bin(from: &mut State, to: &mut State, bin: Bin, is_as_it_is: bool) -> SnapshotId {
    if !is_as_it_is {
        let (changed_at, encoded) = from.take(bin).unwrap();
        to.put(bin, changed_at, &encoded.bytes).unwrap();
        return changed_at;
    }
    let (changed_at, table) = from.take_table(bin);
    match table {
        Some(table) => to.put_table(bin, changed_at, table).unwrap(),
        None => to.put(bin, changed_at, &[]).unwrap(),
    }
    changed_at
}

#[test]
fn a_bin_that_moves_keeps_its_mark() {
    [false, true].into_iter().for_each(keeps_its_mark);
}

fn keeps_its_mark(is_as_it_is: bool) {
    let (mut from, mut to) = (state(64), state(64));
    let [old, new] = keys(&from);
    set(&mut from, old, 1);
    for side in [&mut from, &mut to] {
        side.freeze(SnapshotId(1), None);
        drain(side);
    }
    set(&mut from, new, 2);
    for key in [old, new] {
        let moved = bin(&from, key);
        move_bin(&mut from, &mut to, moved, is_as_it_is);
    }
    for side in [&mut from, &mut to] {
        side.freeze(SnapshotId(2), Some(SnapshotId(1)));
    }
    assert!(drain(&mut from).is_empty(), "who has given a bin away says nothing about it");
    assert_eq!(read(&drain(&mut to)[&bin(&to, new)], 64), Model::from([(new, 2)]));
    assert!(drain(&mut to).is_empty(), "a clean bin stays clean");
    assert_eq!((from.n_keys(), to.n_keys()), (0, 2));
}

#[test]
fn a_bin_touched_while_frozen_for_a_given_up_snapshot_moves_as_it_is_now() {
    for is_as_it_is in [false, true] {
        let (mut from, mut to) = (state(4), state(4));
        set(&mut from, 7, 1);
        from.freeze(SnapshotId(1), None);
        set(&mut from, 7, 2);
        let moved = bin(&from, 7);
        let changed_at = move_bin(&mut from, &mut to, moved, is_as_it_is);
        assert_eq!(contents(&to), Model::from([(7, 2)]));
        assert_eq!(changed_at, SnapshotId(1));
    }
}

#[test]
fn a_bin_that_was_emptied_and_moves_is_still_an_empty_bin_in_the_next_increment() {
    [false, true].into_iter().for_each(is_still_an_empty_bin);
}

#[test]
fn a_table_of_another_type_is_refused() {
    let mut from = KeyedState::<u32, String>::new("names", 1);
    from.get_or_insert_with(stable_hash(&7), &7, || "seven".to_owned());
    let (changed_at, table) = from.take_table(Bin(0));
    assert!(state(1).put_table(Bin(0), changed_at, table.unwrap()).is_err());
}

fn is_still_an_empty_bin(is_as_it_is: bool) {
    let (mut from, mut to) = (state(1), state(1));
    set(&mut from, 7, 1);
    for side in [&mut from, &mut to] {
        side.freeze(SnapshotId(1), None);
        drain(side);
    }
    remove(&mut from, 7);
    move_bin(&mut from, &mut to, Bin(0), is_as_it_is);
    to.freeze(SnapshotId(2), Some(SnapshotId(1)));
    assert_eq!(drain(&mut to)[&Bin(0)].keys, 0);
}

#[test]
fn restored_state_is_clean_and_what_changes_then_is_not() {
    let mut before = state(64);
    let [a, b] = keys(&before);
    set(&mut before, a, 1);
    set(&mut before, b, 1);
    before.freeze(SnapshotId(5), None);
    let mut state = state(64);
    state.restored(SnapshotId(5));
    for encoded in drain(&mut before).into_values() {
        state.put(encoded.bin, SnapshotId(0), &encoded.bytes).unwrap();
    }
    set(&mut state, b, 2);
    state.freeze(SnapshotId(9), Some(SnapshotId(5)));
    let encoded = drain(&mut state);
    assert_eq!(Vec::from_iter(encoded.keys().copied()), [bin(&state, b)]);
    assert_eq!(contents(&state), Model::from([(a, 1), (b, 2)]));
}

/// A state that refuses to be serialized while it is 13.
#[derive(Debug, serde::Deserialize)]
struct Unlucky(u64);

impl serde::Serialize for Unlucky {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            13 => Err(serde::ser::Error::custom("unlucky")),
            luck => serializer.serialize_u64(luck),
        }
    }
}

#[test]
fn a_state_that_refuses_to_be_encoded_on_a_touch_is_told_with_the_snapshot() {
    let mut state = KeyedState::<u32, Unlucky>::new("luck", 1);
    state.get_or_insert_with(stable_hash(&7_u32), &7, || Unlucky(13));
    state.freeze(SnapshotId(1), None);
    state.get_or_insert_with(stable_hash(&7_u32), &7, || Unlucky(0)).1.0 = 1;
    assert!(matches!(state.encode_next(), Err(CodecError::Encode { .. })));
}

#[test]
fn a_snapshot_does_not_fail_for_what_one_that_was_given_up_could_not_encode() {
    let mut state = KeyedState::<u32, Unlucky>::new("luck", 1);
    state.get_or_insert_with(stable_hash(&7_u32), &7, || Unlucky(13));
    state.freeze(SnapshotId(1), None);
    state.get_or_insert_with(stable_hash(&7_u32), &7, || Unlucky(0)).1.0 = 1;
    state.freeze(SnapshotId(2), None);
    assert_eq!(state.encode_next().unwrap().unwrap().keys, 1);
}

fn encoded_bin(n_keys: u32) -> (State, EncodedBin) {
    let mut state = state(1);
    (0..n_keys).for_each(|key| set(&mut state, key, u64::from(key) << 20));
    let (_, encoded) = state.take(Bin(0)).unwrap();
    (state, encoded)
}

#[test]
fn i15_bytes_that_are_cut_short_or_go_on_are_an_error() {
    let (mut state, encoded) = encoded_bin(5);
    for n in 1..encoded.bytes.len() {
        assert!(state.put(Bin(0), SnapshotId(0), &encoded.bytes[..n]).is_err(), "{n} bytes");
    }
    let mut longer = encoded.bytes.clone();
    longer.push(0);
    assert!(state.put(Bin(0), SnapshotId(0), &longer).is_err());
    assert_eq!(state.n_keys(), 0, "what is refused leaves nothing behind");
    state.put(Bin(0), SnapshotId(0), &encoded.bytes).unwrap();
    assert_eq!(state.n_keys(), 5);
}

#[test]
fn i15_a_count_that_lies_reserves_nothing() {
    let (mut state, encoded) = encoded_bin(1);
    for count in [0, 2, u32::MAX] {
        let mut bytes = encoded.bytes.clone();
        bytes[..4].copy_from_slice(&u32::to_le_bytes(count));
        assert!(state.put(Bin(0), SnapshotId(0), &bytes).is_err(), "{count}");
    }
}

#[test]
fn i15_a_key_twice_is_an_error() {
    let (mut state, encoded) = encoded_bin(1);
    let entry = &encoded.bytes[4..];
    let bytes = [&2_u32.to_le_bytes()[..], entry, entry].concat();
    assert!(state.put(Bin(0), SnapshotId(0), &bytes).is_err());
}

#[test]
fn i15_a_key_of_another_bin_is_an_error_that_names_the_operator() {
    let mut state = state(64);
    let [a, b] = keys(&state);
    set(&mut state, a, 1);
    let (_, encoded) = state.take(bin(&state, a)).unwrap();
    let error = state.put(bin(&state, b), SnapshotId(0), &encoded.bytes).unwrap_err().to_string();
    assert!(error.contains("count") && error.contains("another bin"), "{error}");
}

#[test]
fn i15_a_bin_the_job_does_not_have_is_an_error() {
    assert!(state(64).put(Bin(64), SnapshotId(0), &[]).is_err());
}

#[derive(Clone, Debug)]
enum Step {
    Set(u32, u64),
    Remove(u32),
    Encode,
    /// A snapshot on the base that this index chooses; whether the one before was given up follows from how much of it
    /// is left.
    Freeze(prop::sample::Index),
    /// A bin goes away and comes back, as in a rescale.
    Move(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..40_u32, any::<u64>()).prop_map(|(key, value)| Step::Set(key, value)),
        4 => (0..40_u32).prop_map(Step::Remove),
        4 => Just(Step::Encode),
        2 => any::<prop::sample::Index>().prop_map(Step::Freeze),
        1 => any::<prop::sample::Index>().prop_map(Step::Move),
    ]
}

/// A snapshot under way and what it must come to.
struct Running {
    id: SnapshotId,
    base: Option<SnapshotId>,
    at_cut: Model,
    /// Bins changed since the cut of the base.
    changed: BTreeSet<Bin>,
    encoded: BTreeMap<Bin, EncodedBin>,
}

/// A snapshot that was completed: its blocks, by bin.
type Blocks = BTreeMap<Bin, EncodedBin>;

const N_BINS: u32 = 16;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is written, removed and moved meanwhile: base and increment together are the state at the cut, and the
    /// increment holds no bin that has not changed.
    #[test]
    fn base_and_increment_are_the_state_at_the_cut(steps in prop::collection::vec(step(), 0..200)) {
        let mut state = state(N_BINS);
        let mut model = Model::new();
        // For each snapshot cut so far the bins changed since.
        let mut since: BTreeMap<SnapshotId, BTreeSet<Bin>> = BTreeMap::new();
        let mut done: BTreeMap<SnapshotId, Blocks> = BTreeMap::new();
        let mut running: Option<Running> = None;
        let mut id = SnapshotId(0);
        for step in steps {
            match step {
                Step::Set(key, value) => {
                    set(&mut state, key, value);
                    model.insert(key, value);
                    since.values_mut().for_each(|bins| { bins.insert(bin(&state, key)); });
                }
                Step::Remove(key) => {
                    let removed = state.remove(stable_hash(&key), &key).map(|(_, value)| value);
                    prop_assert_eq!(removed, model.remove(&key));
                    since.values_mut().for_each(|bins| { bins.insert(bin(&state, key)); });
                }
                Step::Encode => {
                    let next = state.encode_next().unwrap();
                    match (running.take(), next) {
                        (Some(mut snapshot), Some(next)) => {
                            prop_assert!(snapshot.encoded.insert(next.bin, next).is_none());
                            running = Some(snapshot);
                        }
                        (Some(snapshot), None) => complete(snapshot, &mut done)?,
                        (None, next) => prop_assert_eq!(next, None),
                    }
                }
                Step::Freeze(choice) => {
                    id = id.next();
                    let bases: Vec<_> = std::iter::once(None).chain(done.keys().copied().map(Some)).collect();
                    let base = bases[choice.index(bases.len())];
                    state.freeze(id, base);
                    let full = || model.keys().map(|key| bin(&state, *key)).collect();
                    let changed = base.map_or_else(full, |base| since[&base].clone());
                    since.insert(id, BTreeSet::new());
                    let (at_cut, encoded) = (model.clone(), BTreeMap::new());
                    running = Some(Running { id, base, at_cut, changed, encoded });
                }
                // A step of a rescale begins when no snapshot is under way.
                Step::Move(_) if running.is_some() => {}
                Step::Move(choice) => {
                    let moved = bin_number(choice.index(N_BINS as usize));
                    let (changed_at, encoded) = state.take(moved).unwrap();
                    prop_assert!(contents(&state).keys().all(|key| bin(&state, *key) != moved));
                    state.put(moved, changed_at, &encoded.bytes).unwrap();
                }
            }
        }
        if let Some(mut snapshot) = running {
            snapshot.encoded.extend(drain(&mut state));
            complete(snapshot, &mut done)?;
        }
        prop_assert_eq!(contents(&state), model);
    }

    #[test]
    fn i15_any_bytes_are_a_bin_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = state(1).put(Bin(0), SnapshotId(0), &bytes);
    }

    #[test]
    fn i15_a_damaged_bin_is_a_bin_or_an_error(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (mut state, mut encoded) = encoded_bin(9);
        let at = at.index(encoded.bytes.len());
        encoded.bytes[at] = byte;
        let _ = state.put(Bin(0), SnapshotId(0), &encoded.bytes);
    }
}

fn complete(snapshot: Running, done: &mut BTreeMap<SnapshotId, Blocks>) -> Result<(), TestCaseError> {
    prop_assert_eq!(BTreeSet::from_iter(snapshot.encoded.keys().copied()), snapshot.changed);
    let mut blocks = snapshot.base.map_or_else(Blocks::new, |base| done[&base].clone());
    blocks.extend(snapshot.encoded);
    blocks.retain(|_, block| block.keys > 0);
    let restored: Model = blocks.values().flat_map(|block| read(block, N_BINS)).collect();
    prop_assert_eq!(restored, snapshot.at_cut);
    done.insert(snapshot.id, blocks);
    Ok(())
}
