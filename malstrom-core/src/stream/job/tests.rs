use super::*;
use crate::operators::{Discard, from_iter};

fn numbers(job: &Job) -> Stream<impl Pipe<Item = u64>> {
    job.source("numbers", from_iter(|| 0..10_u64))
}

fn refused(define: impl FnOnce(&Job)) -> BuildError {
    Dataflow::build(4, define).unwrap_err()
}

/// A place in this file.
fn place(line: u32) -> String {
    format!("{}:{line}:", file!())
}

#[test]
fn a_dataflow_says_what_it_is_made_of() {
    let dataflow = Dataflow::build(4, |job| {
        let [even, odd] = numbers(job).split(|n| (n % 2) as usize);
        even.key_by(|n| n % 3).fold("sum", || 0, |sum, n| *sum += n).sink("sums", Discard);
        odd.sink("odd", Discard);
    });
    let description = dataflow.unwrap().description;
    let operators = [
        ("numbers", OperatorKind::Source),
        ("sum", OperatorKind::KeyedState),
        ("sums", OperatorKind::Sink),
        ("odd", OperatorKind::Sink),
    ];
    let operators = operators.map(|(name, kind)| (name.to_owned(), kind));
    assert_eq!(description, GraphDescription { operators: operators.into(), n_stages: 4, n_edges: 1 });
}

#[test]
fn a_name_used_twice_is_refused_with_both_places() {
    let mut lines = (0, 0);
    let error = refused(|job| {
        let [a, b] = numbers(job).fan_out();
        lines.0 = line!() + 1;
        a.sink("out", Discard);
        lines.1 = line!() + 1;
        b.sink("out", Discard);
    });
    let BuildError::DuplicateName { name, first, second } = error else { panic!("{error}") };
    assert_eq!(name, "out");
    assert!(first.starts_with(&place(lines.0)), "{first}");
    assert!(second.starts_with(&place(lines.1)), "{second}");
}

#[test]
fn a_name_is_used_twice_whatever_it_names() {
    let mut line = 0;
    let error = refused(|job| {
        let keyed = numbers(job).key_by(|n| n % 3);
        line = line!() + 1;
        keyed.fold("numbers", || 0, |sum, n| *sum += n).sink("out", Discard);
    });
    let BuildError::DuplicateName { second, .. } = error else { panic!("{error}") };
    assert!(second.starts_with(&place(line)), "{second}");
}

#[test]
fn a_stream_that_goes_nowhere_is_refused_with_its_place() {
    let mut line = 0;
    let error = refused(|job| {
        line = line!() + 1;
        let keyed = numbers(job).key_by(|n| n % 3);
        let _unused = keyed.map_values(|_, n| n + 1);
    });
    let BuildError::Unused { opened_at } = error else { panic!("{error}") };
    assert!(opened_at.starts_with(&place(line)), "{opened_at}");
}

#[test]
fn an_output_of_a_split_that_goes_nowhere_is_refused_with_its_place() {
    let mut line = 0;
    let error = refused(|job| {
        line = line!() + 1;
        let [even, _odd] = numbers(job).split(|n| (n % 2) as usize);
        even.sink("even", Discard);
    });
    let BuildError::Unused { opened_at } = error else { panic!("{error}") };
    assert!(opened_at.starts_with(&place(line)), "{opened_at}");
}

#[test]
fn a_job_without_a_stream_is_refused() {
    assert_eq!(refused(|_| {}), BuildError::Empty);
}

#[test]
fn an_empty_name_is_refused_with_its_place() {
    let mut line = 0;
    let error = refused(|job| {
        let stream = numbers(job);
        line = line!() + 1;
        stream.for_each("", drop);
    });
    let BuildError::EmptyName { at } = error else { panic!("{error}") };
    assert!(at.starts_with(&place(line)), "{at}");
}

#[test]
fn a_number_of_bins_that_is_no_power_of_two_is_refused() {
    for n_bins in [0, 3, 100, BINS_MAX * 2] {
        let built = Dataflow::build(n_bins, |_| {});
        assert_eq!(built.unwrap_err(), BuildError::Bins { n_bins });
    }
}
