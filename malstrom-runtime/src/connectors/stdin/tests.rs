use std::sync::mpsc;
use std::thread;

use malstrom_core::element::Record;
use malstrom_core::ports::Nanos;

use super::*;

struct Out(Vec<String>);

impl Emit<Line> for Out {
    fn emit(&mut self, record: Record<Line>) {
        self.0.push(record.value.to_string());
    }
}

/// An input that gives what is sent to it and ends with its sender.
struct Pipe(mpsc::Receiver<Vec<u8>>);

impl io::Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Ok(bytes) = self.0.recv() else { return Ok(0) };
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

fn stdin(kept_bytes_max: u64) -> (Stdin, mpsc::Sender<Vec<u8>>) {
    let (sender, receiver) = mpsc::channel();
    let feed = Feed::keeping(kept_bytes_max);
    feed.start(|| Pipe(receiver)).unwrap();
    (Stdin { feed: Some(feed) }, sender)
}

fn read(reader: &mut StdinReader, n_records_max: usize) -> Result<(Vec<String>, ReadStatus), BoxError> {
    let mut out = Out(Vec::new());
    let status = reader.read(ReadContext { n_records_max, now: Nanos(0) }, &mut out)?;
    Ok((out.0, status))
}

/// Reads until so many lines came, or the input ends.
fn lines(reader: &mut StdinReader, n: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < n {
        let (more, status) = read(reader, n - lines.len()).unwrap();
        lines.extend(more);
        match status {
            ReadStatus::Ended => break,
            ReadStatus::Wait(_) => thread::sleep(Duration::from_millis(1)),
            ReadStatus::More => {}
        }
    }
    lines
}

fn error(reader: &mut StdinReader) -> StdinError {
    loop {
        match read(reader, 10) {
            Ok((_, ReadStatus::Wait(_))) => thread::sleep(Duration::from_millis(1)),
            Ok(other) => panic!("no error but {other:?}"),
            Err(error) => return *error.downcast().unwrap(),
        }
    }
}

#[test]
fn nothing_there_is_a_short_wait() {
    let (mut stdin, pipe) = stdin(1000);
    let mut reader = stdin.open("stdin", None).unwrap();
    let wait = ReadStatus::Wait(Some(Nanos(2_000_000)));
    assert_eq!(read(&mut reader, 10).unwrap(), (vec![], wait));
    for part in ["a\nb", "c\n", "d"] {
        pipe.send(part.into()).unwrap();
    }
    assert_eq!(lines(&mut reader, 2), ["a", "bc"]);
    assert_eq!(reader.position(), 5);
    drop(pipe);
    assert_eq!(lines(&mut reader, 2), ["d"]);
    assert_eq!(reader.position(), 6);
}

#[test]
fn a_recovery_reads_again_what_was_not_acknowledged() {
    let (mut stdin, pipe) = stdin(1000);
    let mut reader = stdin.open("stdin", None).unwrap();
    for part in ["a\nb\n", "c\nd\n", "e\n"] {
        pipe.send(part.into()).unwrap();
    }
    drop(pipe);
    assert_eq!(lines(&mut reader, 3), ["a", "b", "c"]);
    reader.acknowledge(2);
    let mut again = stdin.open("stdin", Some(2)).unwrap();
    assert_eq!(lines(&mut again, 9), ["b", "c", "d", "e"]);
    assert_eq!(read(&mut reader, 1).unwrap().0, ["d"], "it had that already");
    assert_eq!(error(&mut reader), StdinError::Superseded);
    again.acknowledge(6);
    let mut third = stdin.open("stdin", Some(6)).unwrap();
    assert_eq!(lines(&mut third, 9), ["d", "e"]);
    let error: StdinError = *stdin.open("stdin", Some(2)).unwrap_err().downcast().unwrap();
    assert_eq!(error, StdinError::NotKept { position: 2, kept: 6 });
}

#[test]
fn a_new_process_skips_what_was_read_before() {
    for position in [2, 4, 5] {
        let (mut stdin, pipe) = stdin(1000);
        let mut reader = stdin.open("stdin", Some(position)).unwrap();
        for part in ["a\nb\n", "c", "\nd\n"] {
            pipe.send(part.into()).unwrap();
        }
        drop(pipe);
        let expected = &"a\nb\nc\nd\n"[usize::try_from(position).unwrap()..];
        assert_eq!(lines(&mut reader, 9), expected.lines().collect::<Vec<_>>());
        assert_eq!(reader.position(), 8);
    }
}

#[test]
fn an_input_shorter_than_the_position_is_an_error() {
    let (mut stdin, pipe) = stdin(1000);
    let mut reader = stdin.open("stdin", Some(5)).unwrap();
    pipe.send(b"a\n".to_vec()).unwrap();
    drop(pipe);
    assert_eq!(error(&mut reader), StdinError::Shorter { bytes: 2, position: 5 });
}

#[test]
fn without_snapshots_only_so_much_is_kept_and_reading_goes_on() {
    let (mut stdin, pipe) = stdin(10);
    let mut reader = stdin.open("stdin", None).unwrap();
    for _ in 0..100 {
        pipe.send(b"abc\n".to_vec()).unwrap();
    }
    drop(pipe);
    assert_eq!(lines(&mut reader, 1000).len(), 100);
    assert!(stdin.open("stdin", None).is_err());
    assert_eq!(lines(&mut stdin.open("stdin", Some(392)).unwrap(), 9), ["abc", "abc"]);
}

#[test]
fn reading_ahead_is_bounded() {
    let (mut stdin, pipe) = stdin(0);
    let mut reader = stdin.open("stdin", None).unwrap();
    let block = [b"x".repeat(999), b"\n".to_vec()].concat().repeat(100);
    for _ in 0..300 {
        pipe.send(block.clone()).unwrap();
    }
    drop(pipe);
    assert_eq!(lines(&mut reader, 300 * 100 + 1).len(), 300 * 100);
}
