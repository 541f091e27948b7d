//! Every interleaving of small runs: two workers, one to three records, one snapshot, one step of a rescale in which both bins
//! and the partition move, and a crash at every point.
//!
//! # What is enumerated
//! The moment at which each record is there, and the arrival of every parcel between the two workers and of every
//! mail, in every order that the ports allow; in some runs of every command too, in others each step of each worker.
//! From each state also the crash of all workers. Two orders after which both workers have seen the same lead to one
//! state, which is followed once: a worker is a function of what it sees. What a crash leaves is the commit, its
//! objects and the sink, so states that agree in these recover in the same way, which is followed once too.
//!
//! # What is not
//! The workers' channels to themselves and the store deliver at once, a step that finds nothing to do is left out,
//! and the end of the stream behind the last of it is run in one order. `--nocapture` shows how many there were.

#![expect(clippy::print_stdout, reason = "it says how large the runs were")]
#![expect(clippy::unwrap_used, reason = "a test: what cannot go on is a failure")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use malstrom_core::element::Record;
use malstrom_core::exchange::{bin_of, stable_hash};
use malstrom_core::ids::{Bin, WorkerId};
use malstrom_core::operators::{BoxError, Collected, Emit, Read, ReadContext, ReadStatus, Source};
use malstrom_core::snapshot::After;
use malstrom_core::stream::Job;
use malstrom_core::testing::{Link, Rig, RigConfig};

const N_BINS: u32 = 2;

type Output = (u64, Vec<u64>);

/// One partition that gives one record at a read, and each record a key of its own choice.
struct Slow {
    n: u64,
    fed: Rc<Cell<u64>>,
}

struct SlowReader {
    n: u64,
    fed: Rc<Cell<u64>>,
    next: u64,
}

impl Source for Slow {
    type Item = u64;
    type Reader = SlowReader;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        Ok(vec!["0".to_owned()])
    }

    fn open(&mut self, _: &str, position: Option<u64>) -> Result<SlowReader, BoxError> {
        Ok(SlowReader { n: self.n, fed: self.fed.clone(), next: position.unwrap_or(0) })
    }
}

impl Read for SlowReader {
    type Item = u64;
    type Position = u64;

    fn read(&mut self, _: ReadContext, out: &mut impl Emit<u64>) -> Result<ReadStatus, BoxError> {
        if self.next == self.n {
            return Ok(ReadStatus::Ended);
        }
        if self.next >= self.fed.get() {
            return Ok(ReadStatus::Wait(None));
        }
        out.emit(Record::new(self.next));
        self.next += 1;
        Ok(ReadStatus::More)
    }

    fn position(&self) -> u64 {
        self.next
    }
}

/// The least key of each bin.
fn key_in(bin: u16) -> u64 {
    (0..).find(|key| bin_of(stable_hash(key), u64::from(N_BINS) - 1) == usize::from(bin)).unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Step(WorkerId),
    Deliver(Link),
    /// The source has one more record.
    Feed,
}

/// What is one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grain {
    /// A step of one worker, or an arrival.
    Step,
    /// An arrival, whereupon the workers go on until they have nothing to do.
    Arrival,
}

/// What arrives in every order; the rest arrives at once.
#[derive(Clone, Copy, Debug)]
enum Held {
    /// Parcels between the workers, and mail.
    Streams,
    /// These and commands.
    Commands,
}

/// How large a run is.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    grain: Grain,
    held: Held,
    n_records: u64,
    has_snapshot: bool,
    has_move: bool,
}

/// Where the coordinator of the scenario stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Snapshot,
    Publish,
    Move,
    Done,
}

/// The scenario, somewhere on its way.
struct World {
    scenario: Scenario,
    fed: Rc<Cell<u64>>,
    rig: Rig,
    phase: Phase,
    out: Collected<Output>,
    /// Workers that had nothing to do at their last step, and to which nothing has come since.
    asleep: [bool; 2],
}

impl World {
    fn new(scenario: Scenario) -> Self {
        let Scenario { grain, n_records, has_snapshot, .. } = scenario;
        let fed = Rc::new(Cell::new(0));
        let feed = fed.clone();
        let out = Collected::new();
        let sink = out.clone();
        let mut config = RigConfig::default();
        config.n_bins = N_BINS;
        let keys = [key_in(0), key_in(1)];
        let mut rig = Rig::new(config, move |job: &Job| {
            job.source("in", Slow { n: n_records, fed: feed.clone() })
                .key_by(move |n| keys[(n % 2) as usize])
                .map_with_state("seen", |_, seen: &mut Vec<u64>, n| {
                    seen.push(n);
                    seen.clone()
                })
                .transactional_sink("out", sink.sink());
        });
        rig.start(2).unwrap();
        rig.drain().unwrap();
        fed.set(if grain == Grain::Step { n_records } else { 0 });
        rig.hold(match scenario.held {
            Held::Streams => |link| {
                matches!(link, Link::Channel(_, from, to) if from != to) || matches!(link, Link::Mail(..))
            },
            Held::Commands => |link| match link {
                Link::Channel(_, from, to) => from != to,
                Link::Command(_) | Link::Mail(..) => true,
                Link::Store(_) => false,
            },
        });
        let mut world = Self { scenario, fed, rig, phase: Phase::Snapshot, out, asleep: [false; 2] };
        if has_snapshot {
            world.rig.begin_snapshot(After::Run);
        } else {
            world.publish();
        }
        world
    }

    fn actions(&self) -> Vec<Action> {
        let is_awake = |worker: &WorkerId| !self.asleep[worker.index()];
        let steps = (0..2).map(WorkerId).filter(is_awake).map(Action::Step);
        let feed = (self.fed.get() < self.scenario.n_records).then_some(Action::Feed);
        steps.chain(feed).chain(self.rig.links().into_iter().map(Action::Deliver)).collect()
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Step(worker) => self.asleep[worker.index()] = !self.rig.step(worker).unwrap(),
            Action::Deliver(link) => {
                self.rig.deliver(link);
                let (Link::Channel(_, _, to) | Link::Command(to) | Link::Mail(_, to) | Link::Store(to)) =
                    link;
                self.asleep[to.index()] = false;
            }
            Action::Feed => {
                self.fed.set(self.fed.get() + 1);
                self.asleep = [false; 2];
            }
        }
        self.coordinate();
        while self.scenario.grain == Grain::Arrival {
            let Some(worker) = (0..2).map(WorkerId).find(|worker| !self.asleep[worker.index()]) else {
                break;
            };
            self.asleep[worker.index()] = !self.rig.step(worker).unwrap();
            self.coordinate();
        }
    }

    /// What the coordinator does next, as soon as it can.
    fn coordinate(&mut self) {
        let before = self.phase;
        match self.phase {
            Phase::Snapshot if self.rig.is_taken() => {
                self.rig.commit();
                self.publish();
            }
            Phase::Publish if self.is_settled() && self.rig.is_published() => {
                self.rig.switch();
                self.phase = Phase::Move;
            }
            Phase::Move if self.rig.is_moved() => self.phase = Phase::Done,
            _ => {}
        }
        if self.phase != before {
            self.asleep = [false; 2];
        }
    }

    fn publish(&mut self) {
        if self.scenario.has_move {
            self.rig.publish([Bin(0), Bin(1)]);
            self.phase = Phase::Publish;
        } else {
            self.phase = Phase::Done;
        }
    }

    fn is_settled(&self) -> bool {
        !self.scenario.has_snapshot || self.rig.is_settled()
    }

    /// Goes on to the end in one order; what was made.
    fn finish(&mut self) -> Vec<Output> {
        self.fed.set(self.scenario.n_records);
        self.rig.finish().unwrap();
        self.out.to_vec()
    }

    fn crash(&mut self) -> Vec<Output> {
        self.rig.start(2).unwrap();
        self.finish()
    }

    fn state(&self) -> State {
        (self.rig.fingerprint(), self.phase, self.asleep, self.fed.get())
    }
}

/// All that tells two states apart.
type State = (u64, Phase, [bool; 2], u64);

/// What the enumeration has come to.
#[derive(Default)]
struct Found {
    /// For each state, in how many ways one can go on from it.
    ways: BTreeMap<State, f64>,
    recovered: BTreeSet<(Option<u64>, Vec<Output>)>,
    n_ends: u64,
    n_acts: u64,
    depth_max: usize,
}

struct Explorer {
    scenario: Scenario,
    expected: BTreeMap<u64, Vec<Vec<u64>>>,
    found: Found,
    path: Rc<RefCell<Vec<Action>>>,
}

fn by_key(made: Vec<Output>) -> BTreeMap<u64, Vec<Vec<u64>>> {
    let mut by_key: BTreeMap<u64, Vec<Vec<u64>>> = BTreeMap::new();
    made.into_iter().for_each(|(key, seen)| by_key.entry(key).or_default().push(seen));
    by_key
}

impl Explorer {
    fn again(&mut self) -> World {
        let mut world = World::new(self.scenario);
        let path = self.path.borrow();
        path.iter().for_each(|action| world.act(*action));
        self.found.n_acts += path.len() as u64;
        world
    }

    fn check(&self, made: Vec<Output>, what: &str) {
        // Transactions of one snapshot have no order between the workers.
        let mut made = by_key(made);
        made.values_mut().for_each(|values| values.sort_by_key(Vec::len));
        assert_eq!(made, self.expected, "{what} after {:?}", self.path.borrow());
    }

    /// Follows every way on from where the world is; how many there are.
    fn explore(&mut self, mut world: World) -> f64 {
        let state = world.state();
        if let Some(ways) = self.found.ways.get(&state) {
            return *ways;
        }
        let depth = self.path.borrow().len();
        self.found.depth_max = self.found.depth_max.max(depth);
        let left = (world.rig.committed().map(|id| id.0), world.out.to_vec());
        if self.found.recovered.insert(left) {
            let made = world.crash();
            self.check(made, "a crash");
            world = self.again();
        }
        let ways = if world.phase == Phase::Done {
            self.found.n_ends += 1;
            let made = world.finish();
            self.check(made, "the end");
            1.0
        } else {
            let actions = world.actions();
            assert!(!actions.is_empty(), "nothing is going to happen after {:?}", self.path.borrow());
            let mut here = Some(world);
            let mut ways = 0.0;
            for action in actions {
                let mut next = here.take().unwrap_or_else(|| self.again());
                next.act(action);
                self.found.n_acts += 1;
                self.path.borrow_mut().push(action);
                ways += self.explore(next);
                self.path.borrow_mut().pop();
            }
            ways
        };
        self.found.ways.insert(state, ways);
        ways
    }
}

fn enumerate(grain: Grain, held: Held, n_records: u64, has_snapshot: bool, has_move: bool) {
    let scenario = Scenario { grain, held, n_records, has_snapshot, has_move };
    let expected = by_key(World::new(scenario).crash());
    assert_eq!(expected.values().map(Vec::len).sum::<usize>() as u64, n_records);
    let path = Rc::new(RefCell::new(Vec::new()));
    let mut explorer = Explorer { scenario, expected, found: Found::default(), path };
    let ways = explorer.explore(World::new(scenario));
    let found = explorer.found;
    println!(
        "{scenario:?}: {ways:.3e} interleavings of up to {} actions through {} states; \
         {} ends, {} recoveries, {} actions run",
        found.depth_max,
        found.ways.len(),
        found.n_ends,
        found.recovered.len(),
        found.n_acts
    );
}

#[test]
fn a_snapshot_then_a_move_of_every_bin_with_streams_in_every_order() {
    enumerate(Grain::Arrival, Held::Streams, 2, true, true);
}

#[test]
fn a_move_of_every_bin_with_commands_in_every_order_too() {
    enumerate(Grain::Arrival, Held::Commands, 1, false, true);
}

#[test]
fn a_snapshot_with_commands_in_every_order_too() {
    enumerate(Grain::Arrival, Held::Commands, 3, true, false);
}

#[test]
fn a_snapshot_step_by_step() {
    enumerate(Grain::Step, Held::Streams, 3, true, false);
}
