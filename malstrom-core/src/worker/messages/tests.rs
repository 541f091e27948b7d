use proptest::prelude::*;
use serde::de::DeserializeOwned;

use super::*;
use crate::codec::{decode, encode};

fn returns<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: T) {
    let bytes = encode(&message).unwrap();
    assert_eq!(decode::<T>(&bytes).unwrap(), message);
    for n in 0..bytes.len() {
        assert!(decode::<T>(&bytes[..n]).is_err(), "{message:?} cut to {n} bytes");
    }
}

fn named<T>(values: impl IntoIterator<Item = T>) -> IndexMap<String, T> {
    values.into_iter().enumerate().map(|(n, value)| (format!("operator {n}"), value)).collect()
}

fn routes() -> RouteTable {
    RouteTable { version: RouteVersion(3), n_workers: 2, owners: vec![WorkerId(0), WorkerId(1)] }
}

fn block() -> BlockRef {
    BlockRef { object: 1, offset: u64::MAX, bytes: u32::MAX, checksum: 7, keys: 1 }
}

fn object() -> ObjectRef {
    ObjectRef { path: "objects/g1-s1-w0-0".to_owned(), bytes: u64::MAX }
}

fn orders() -> Vec<Order> {
    let every_byte: Vec<u8> = (0..=255).collect();
    let restore = RestoreOrder {
        snapshot: Some(SnapshotId(9)),
        routes: routes(),
        objects: vec![object()],
        state: named([vec![(Bin(0), block()), (Bin(u16::MAX), block())], vec![]]),
        partitions: named([named([None, Some(vec![]), Some(every_byte.clone())]), named([])]),
        sinks: Some(named([vec![every_byte, vec![]], vec![]])),
        watermarks: [("count".to_owned(), Timestamp(-7))].into_iter().collect(),
        is_newcomer: true,
    };
    let fresh = RestoreOrder { snapshot: None, partitions: IndexMap::new(), sinks: None, ..restore.clone() };
    let step = MoveStep {
        version: RouteVersion(4),
        bins: vec![BinMove { bin: Bin(5), from: WorkerId(0), to: WorkerId(1) }],
        partitions: vec![PartitionMove {
            source: "numbers".to_owned(),
            partition: "é/0".to_owned(),
            from: WorkerId(1),
            to: WorkerId(0),
        }],
    };
    vec![
        Order::Discover,
        Order::Connect { epoch: 2, n_workers: 3 },
        Order::Restore(Box::new(restore)),
        Order::Restore(Box::new(fresh)),
        Order::Run,
        Order::Snapshot { id: SnapshotId(2), base: Some(SnapshotId(1)), after: After::Run },
        Order::Snapshot { id: SnapshotId(1), base: None, after: After::Suspend },
        Order::Snapshot { id: SnapshotId(u64::MAX), base: None, after: After::Finish },
        Order::Committed { id: SnapshotId(1) },
        Order::Publish(Box::new(step)),
        Order::Switch { version: RouteVersion(4) },
        Order::Finish,
    ]
}

fn facts() -> Vec<Fact> {
    let part = SnapshotPart {
        id: SnapshotId(3),
        objects: vec![object()],
        state: named([vec![(Bin(1), Some(block())), (Bin(2), None)], vec![]]),
        sources: named([named([vec![], vec![128, 255]])]),
        sinks: named([vec![vec![1]]]),
        watermarks: [("count".to_owned(), Timestamp(-7))].into_iter().collect(),
    };
    let description = GraphDescription {
        operators: named([
            OperatorKind::Source,
            OperatorKind::KeyedState,
            OperatorKind::Sink,
            OperatorKind::TransactionalSink,
        ]),
        n_stages: 2,
        n_edges: 1,
    };
    let failures = [
        RestoreFailure::Damaged { reason: "short".to_owned() },
        RestoreFailure::Incompatible { name: "sum".to_owned(), reason: "not a number".to_owned() },
    ];
    let mut facts = vec![
        Fact::Built(description),
        Fact::Partitions(named([vec!["0".to_owned(), String::new()], vec![]])),
        Fact::Connected { epoch: 1 },
        Fact::Restored,
        Fact::Running,
        Fact::SnapshotTaken(Box::new(part)),
        Fact::SnapshotTaken(Box::default()),
        Fact::SnapshotFailed { id: SnapshotId(3), reason: "the store failed".to_owned() },
        Fact::Settled { id: SnapshotId(3) },
        Fact::Published { version: RouteVersion(4) },
        Fact::Moved { version: RouteVersion(4), bytes: u64::MAX, weight: 1 },
        Fact::Exhausted { version: RouteVersion(0) },
        Fact::Ended,
    ];
    facts.extend(failures.map(Fact::RestoreFailed));
    facts
}

fn cargoes() -> Vec<Cargo> {
    let states = vec![
        (SnapshotId(0), MovedBin::Empty),
        (SnapshotId(7), MovedBin::Bytes(vec![])),
        (SnapshotId(8), MovedBin::Bytes(vec![0, 255])),
    ];
    vec![
        Cargo::Bin { stage: StageId(1), bin: Bin(2), states },
        Cargo::Partition { source: "numbers".to_owned(), partition: "0".to_owned(), position: vec![200] },
    ]
}

#[test]
fn every_order_returns_from_its_bytes_and_from_no_fewer() {
    for order in orders() {
        returns(Command { generation: Generation(u64::MAX), order });
    }
}

#[test]
fn every_fact_returns_from_its_bytes_and_from_no_fewer() {
    for fact in facts() {
        returns(Report { generation: Generation(1), worker: WorkerId(u32::MAX), fact });
    }
}

#[test]
fn all_mail_returns_from_its_bytes_and_from_no_fewer() {
    for cargo in cargoes() {
        returns(Mail { generation: Generation(1), version: RouteVersion(2), cargo });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn i15_any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode::<Command>(&bytes);
        let _ = decode::<Report>(&bytes);
        let _ = decode::<Mail>(&bytes);
    }

    #[test]
    fn i15_a_damaged_message_is_a_message_or_an_error(
        n in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let orders = orders();
        let order = orders[n.index(orders.len())].clone();
        let mut bytes = encode(&Command { generation: Generation(1), order }).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode::<Command>(&bytes);
    }
}
