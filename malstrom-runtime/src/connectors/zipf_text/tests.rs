use std::collections::BTreeMap;

use super::*;

struct Out(Vec<Record<Line>>);

impl Emit<Line> for Out {
    fn emit(&mut self, record: Record<Line>) {
        self.0.push(record);
    }
}

fn read(reader: &mut ZipfReader, n_records_max: usize, now: u64) -> (Vec<Record<Line>>, ReadStatus) {
    let mut out = Out(Vec::new());
    let status = reader.read(ReadContext { n_records_max, now: Nanos(now) }, &mut out).unwrap();
    (out.0, status)
}

#[test]
fn a_text_is_the_same_for_ever() {
    let text = ZipfText::new(50_000).seed(7).exponent(1.1).partitions(2);
    let first = |partition| text.lines(partition).unwrap().next().unwrap().to_string();
    assert_eq!(first(0), "bp kup neekue trcop ztscxu fbrvvew bp qho ghysyjhk dt");
    let mut hash = 0_u64;
    for line in text.lines(1).unwrap().take(10_000) {
        hash = line.iter().fold(hash, |hash, byte| mix(hash ^ u64::from(*byte)));
    }
    assert_eq!(hash, 12_421_331_142_161_398_518);
}

#[test]
fn a_reader_gives_the_lines_from_any_position() {
    let mut text = ZipfText::new(1000).words(100_003).partitions(3).words_per_line(7);
    for partition in 0..3 {
        let lines: Vec<_> = text.lines(partition).unwrap().collect();
        for (position, step) in [(0, 1), (0, 512), (1, 100_000), (4000, 3), (lines.len(), 9)] {
            let mut reader = text.open(&partition.to_string(), Some(position as u64)).unwrap();
            let mut read_lines = Vec::new();
            loop {
                let (more, status) = read(&mut reader, step, 0);
                read_lines.extend(more.into_iter().map(|record| record.value));
                if status == ReadStatus::Ended {
                    break;
                }
            }
            assert!(read_lines == lines[position..], "{partition} {position} {step}");
            assert_eq!(reader.position(), lines.len() as u64);
        }
    }
}

#[test]
fn partitions_share_the_words() {
    for (n_words, n_partitions) in [(0, 1), (1, 4), (9, 2), (1000, 7)] {
        let text = ZipfText::new(100).words(n_words).partitions(n_partitions);
        let lines = (0..n_partitions).flat_map(|partition| text.lines(partition).unwrap());
        assert_eq!(lines.map(|line| line.words().count() as u64).sum::<u64>(), n_words);
    }
}

#[test]
fn words_are_as_frequent_as_zipf_says() {
    let n_words = 1_000_000_u64;
    let text = ZipfText::new(1000).words(n_words);
    let mut counts = BTreeMap::<Vec<u8>, u64>::new();
    for line in text.lines(0).unwrap() {
        line.words().for_each(|word| *counts.entry(word.to_vec()).or_default() += 1);
    }
    let mut counts: Vec<_> = counts.into_values().collect();
    counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
    let sum: f64 = (1..=1000).map(|rank| 1.0 / f64::from(rank)).sum();
    for rank in [1, 2, 3, 10, 100] {
        let expected = n_words as f64 / sum / f64::from(rank);
        let count = counts[rank as usize - 1] as f64;
        assert!((count / expected - 1.0).abs() < 0.1, "{rank}: {count} {expected}");
    }
}

#[test]
fn lines_are_due_by_the_clock() {
    // 2 partitions with 500 lines a second each: a line every 2 ms.
    let mut text = ZipfText::new(10).partitions(2).rate(10_000);
    let mut reader = text.open("0", Some(5)).unwrap();
    assert_eq!(reader.watermark(), None);
    let ms = |ms: u64| 1_000_000 * ms;
    let times = |records: &[Record<Line>]| records.iter().map(|record| record.time.0).collect::<Vec<_>>();
    let (lines, status) = read(&mut reader, 100, ms(10));
    assert_eq!((times(&lines), status), (vec![10_000], ReadStatus::Wait(Some(Nanos(ms(12))))));
    let (lines, status) = read(&mut reader, 100, ms(12) - 1);
    assert_eq!((times(&lines), status), (vec![], ReadStatus::Wait(Some(Nanos(ms(12))))));
    // Late: what was due comes at once, with the times when it was.
    let (lines, status) = read(&mut reader, 3, ms(20));
    assert_eq!((times(&lines), status), (vec![12_000, 14_000, 16_000], ReadStatus::More));
    let (lines, status) = read(&mut reader, 3, ms(20));
    assert_eq!((times(&lines), status), (vec![18_000, 20_000], ReadStatus::Wait(Some(Nanos(ms(22))))));
    assert_eq!(reader.watermark(), Some(Timestamp(20_000)));
    assert_eq!(reader.position(), 11);
}

#[test]
fn a_rate_is_kept_whatever_the_clock_shows() {
    let mut text = ZipfText::new(10).words_per_line(3).rate(7_777_777);
    let mut reader = text.open("0", None).unwrap();
    let mut n = 0;
    for step in 0..10_000_u64 {
        n += read(&mut reader, usize::MAX, step * 99_991).0.len();
    }
    let expected = 9_999.0 * 99_991.0 * 7_777_777.0 / 3e9;
    assert!((n as f64 - expected).abs() <= 2.0, "{n} {expected}");
}

#[test]
fn settings_without_sense_are_refused() {
    for text in [
        ZipfText::new(0),
        ZipfText::new(1).partitions(0),
        ZipfText::new(1).words_per_line(0),
        ZipfText::new(1).rate(0),
        ZipfText::new(1).exponent(f64::NAN),
        ZipfText::new(1).exponent(-1.0),
        ZipfText::new(u32::MAX),
    ] {
        assert!(text.lines(0).is_err(), "{text:?}");
        assert!(text.clone().open("0", None).is_err(), "{text:?}");
        assert!(Source::partitions(&mut text.clone()).is_err(), "{text:?}");
    }
    assert!(ZipfText::new(1).open("1", None).is_err());
}
