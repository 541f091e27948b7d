use std::ffi::OsString;
use std::io::Write;

use malstrom_core::element::Record;
use malstrom_core::ports::Nanos;
use tempfile::TempDir;

use super::*;
use crate::connectors::LineTooLong;
use crate::connectors::limits::LINE_BYTES_MAX;

struct Out(Vec<Line>);

impl Emit<Line> for Out {
    fn emit(&mut self, record: Record<Line>) {
        self.0.push(record.value);
    }
}

fn read(reader: &mut TextFileReader, n_records_max: usize) -> (Vec<Line>, ReadStatus) {
    let mut out = Out(Vec::new());
    let status = reader.read(ReadContext { n_records_max, now: Nanos(5) }, &mut out).unwrap();
    (out.0, status)
}

fn rest(reader: &mut TextFileReader) -> Vec<Line> {
    let mut lines = Vec::new();
    loop {
        let (more, status) = read(reader, 7);
        lines.extend(more);
        if status != ReadStatus::More {
            return lines;
        }
    }
}

fn file(text: &[u8]) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    fs::write(&path, text).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

fn open(path: &str, position: Option<u64>) -> Result<TextFileReader, BoxError> {
    TextFiles::new(path).open(path, position)
}

fn error_of(result: Result<TextFileReader, BoxError>) -> TextFilesError {
    *result.unwrap_err().downcast().unwrap()
}

#[test]
fn lines_end_at_newlines_and_at_the_end() {
    for (text, lines) in [
        (&b""[..], vec![]),
        (b"\n", vec![&b""[..]]),
        (b"a", vec![b"a"]),
        (b"a\n\nb\r\n\xff", vec![b"a", b"", b"b\r", b"\xff"]),
        (b"a\n", vec![b"a"]),
    ] {
        let (_folder, path) = file(text);
        assert_eq!(
            rest(&mut open(&path, None).unwrap()),
            lines.into_iter().map(Line::from).collect::<Vec<_>>()
        );
    }
}

#[test]
fn every_position_goes_on_with_the_next_line() {
    // Lines of all lengths, so that blocks end everywhere in them.
    let expected: Vec<_> = (0..1200).map(|n| Line::from(vec![b'a' + (n % 26) as u8; n])).collect();
    let (_folder, path) = file(&expected.iter().map(|line| line.to_vec()).collect::<Vec<_>>().join(&b'\n'));
    for step in [1, 13, 500, 2000] {
        let (mut lines, mut position) = (Vec::new(), None);
        loop {
            let mut reader = open(&path, position).unwrap();
            let (more, status) = read(&mut reader, step);
            lines.extend(more);
            position = Some(reader.position());
            if status == ReadStatus::Ended {
                break;
            }
        }
        assert!(lines == expected, "{step}");
    }
}

#[test]
fn a_line_may_be_longer_than_a_block() {
    let long = vec![b'x'; 3 * READ_BLOCK_BYTES + 1];
    let (_folder, path) = file(&[b"a\n", &long[..], b"\nb\n"].concat());
    let lines = rest(&mut open(&path, None).unwrap());
    assert!(lines == [Line::from("a"), Line::from(long), Line::from("b")]);
}

#[test]
fn a_line_past_the_bound_is_an_error() {
    let (_folder, path) = file(&[b"a\n".to_vec(), vec![b'x'; 2 * LINE_BYTES_MAX + 1]].concat());
    let mut reader = open(&path, None).unwrap();
    let cx = ReadContext { n_records_max: 10, now: Nanos(0) };
    let error = reader.read(cx, &mut Out(Vec::new())).unwrap_err();
    assert_eq!(*error.downcast::<LineTooLong>().unwrap(), LineTooLong { what: path, offset: 2 });
}

#[test]
fn a_followed_file_is_read_as_it_grows() {
    let (_folder, path) = file(b"a\nb");
    let mut reader = TextFiles::new(&path).follow(Duration::from_nanos(10)).open(&path, None).unwrap();
    let wait = ReadStatus::Wait(Some(Nanos(15)));
    assert_eq!(read(&mut reader, 9), (vec![Line::from("a")], wait));
    assert_eq!(read(&mut reader, 9), (vec![], wait));
    assert_eq!(reader.position(), 2);
    let mut growing = File::options().append(true).open(&path).unwrap();
    growing.write_all(b"c\nd\n").unwrap();
    assert_eq!(read(&mut reader, 1), (vec![Line::from("bc")], ReadStatus::More));
    assert_eq!(read(&mut reader, 9), (vec![Line::from("d")], wait));
}

#[test]
fn a_file_that_shrank_is_an_error() {
    let (_folder, path) = file(b"a\nb\n");
    let mut reader = TextFiles::new(&path).follow(Duration::ZERO).open(&path, None).unwrap();
    rest(&mut reader);
    fs::write(&path, "a").unwrap();
    let error =
        reader.read(ReadContext { n_records_max: 9, now: Nanos(0) }, &mut Out(Vec::new())).unwrap_err();
    assert!(error.to_string().contains("has shrunk: it has 1 bytes, but was read up to byte 4"), "{error}");
    assert!(matches!(error_of(open(&path, Some(4))), TextFilesError::Shrunk { bytes: 1, position: 4, .. }));
}

#[test]
fn what_is_not_there_is_named() {
    let (folder, path) = file(b"");
    let missing = folder.path().join("missing");
    let partitions = |mut files: TextFiles| *files.partitions().unwrap_err().downcast().unwrap();
    assert!(
        matches!(partitions(TextFiles::new(&missing)), TextFilesError::Missing { path } if path == missing)
    );
    let pattern = format!("{}/*.none", folder.path().display());
    assert!(
        matches!(partitions(TextFiles::glob(&pattern)), TextFilesError::NoFiles { input } if input == pattern)
    );
    assert!(matches!(partitions(TextFiles::glob("***")), TextFilesError::Pattern { .. }));
    fs::remove_file(&path).unwrap();
    assert!(matches!(partitions(TextFiles::new(folder.path())), TextFilesError::NoFiles { .. }));
    assert!(matches!(error_of(open(&path, None)), TextFilesError::Missing { .. }));
    for name in ["a#", "a#x", "%", "%4", "%zz"] {
        assert!(matches!(error_of(open(name, None)), TextFilesError::Name { .. }), "{name}");
    }
    #[cfg(unix)]
    assert!(matches!(partitions(TextFiles::new("/dev/null")), TextFilesError::NotRegular { .. }));
}

#[test]
fn directories_are_read_recursively_and_sorted() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("b/c")).unwrap();
    for name in ["z", "b/c/y", "b/x", "a", ".staged-g1-w0-s1-0"] {
        fs::write(root.join(name), name).unwrap();
    }
    let mut files = TextFiles::new(root).and(root.join("a")).and_glob(format!("{}/*", root.display()));
    let names: Vec<_> =
        ["a", "b/c/y", "b/x", "z"].iter().map(|name| format!("{}/{name}", root.display())).collect();
    assert_eq!(files.partitions().unwrap()[..4], names);
    // Only a directory leaves out what is staged: a glob says itself what it wants.
    assert_eq!(files.partitions().unwrap().len(), 5);
}

#[test]
fn repeated_files_are_partitions_of_their_own() {
    let (_folder, path) = file(b"a\n");
    let mut files = TextFiles::new(&path).repeat(3);
    let names = files.partitions().unwrap();
    assert_eq!(names, [path.clone(), format!("{path}#1"), format!("{path}#2")]);
    for name in names {
        assert_eq!(rest(&mut files.open(&name, None).unwrap()), [Line::from("a")]);
    }
    assert!(TextFiles::new(&path).repeat(0).partitions().unwrap().is_empty());
}

#[cfg(unix)]
#[test]
fn any_path_can_be_named() {
    use std::os::unix::ffi::OsStringExt;
    let folder = tempfile::tempdir().unwrap();
    for name in [&b"a#1"[..], b"50%", b"%41", b"\xff\xfe", "größe".as_bytes()] {
        let path = folder.path().join(OsString::from_vec(name.to_vec()));
        fs::write(&path, "x").unwrap();
        let mut files = TextFiles::new(&path);
        let names = files.partitions().unwrap();
        assert_eq!(path_of(&names[0]).unwrap(), path);
        assert_eq!(rest(&mut files.open(&names[0], None).unwrap()), [Line::from("x")]);
    }
}
