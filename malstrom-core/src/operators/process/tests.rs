use super::*;
use crate::exchange::stable_hash;
use crate::ids::{Bin, SnapshotId};
use crate::state::AnyState;

struct Out(Vec<u32>);

impl Emit<Keyed<u32, u32>> for Out {
    fn emit(&mut self, record: Record<Keyed<u32, u32>>) {
        self.0.push(record.value.value);
    }
}

fn run<S: Data, Op: KeyedOperator<u32, u32, State = S, Out = u32>>(
    process: &mut Process<u32, S, Op>,
    values: &[u32],
) -> Vec<u32> {
    let mut out = Out(Vec::new());
    for value in values {
        let keyed = Keyed { hash: stable_hash(&7_u32), key: 7, value: *value };
        process.process(Record::new(keyed), &mut out);
    }
    out.0
}

/// Moves all state from one to the other by way of its bytes.
fn carry<S: Data, Op>(from: &mut Process<u32, S, Op>, to: &mut Process<u32, S, Op>) {
    let (changed_at, encoded) = from.state.take(Bin(0)).unwrap();
    to.state.put(Bin(0), changed_at, &encoded.bytes).unwrap();
    to.state.restored(SnapshotId(1));
}

#[test]
fn a_state_left_none_is_forgotten() {
    let count = |_: &u32, state: &mut Option<u32>, value: u32, _: &mut Vec<u32>| {
        *state = (value > 0).then_some(value);
    };
    let mut process = Process::new("count", 1, ProcessFn::new(count));
    run(&mut process, &[5]);
    assert_eq!(process.state.n_keys(), 1);
    run(&mut process, &[0]);
    assert_eq!(process.state.n_keys(), 0);
}

#[test]
fn a_state_that_carries_nothing_but_that_it_is_there_survives() {
    let first = || {
        ProcessFn::new(|_: &u32, seen: &mut Option<()>, value: u32, made: &mut Vec<u32>| {
            if seen.replace(()).is_none() {
                made.push(value);
            }
        })
    };
    let (mut before, mut after) = (Process::new("first", 1, first()), Process::new("first", 1, first()));
    assert_eq!(run(&mut before, &[1, 2]), [1]);
    carry(&mut before, &mut after);
    assert!(run(&mut after, &[3]).is_empty());
}

#[test]
fn a_state_that_is_itself_an_option_survives() {
    let count = || {
        ProcessFn::new(|_: &u32, state: &mut Option<Option<u32>>, value: u32, made: &mut Vec<u32>| {
            made.push(u32::from(state.is_some()));
            *state = Some((value > 0).then_some(value));
        })
    };
    let (mut before, mut after) = (Process::new("last", 1, count()), Process::new("last", 1, count()));
    assert_eq!(run(&mut before, &[0, 0]), [0, 1]);
    carry(&mut before, &mut after);
    assert_eq!(run(&mut after, &[0]), [1]);
}
