//! How things look to a person.

use std::io::Write;
use std::time::Duration;

use crate::failure::Failure;

/// Prints a line to standard error. Nobody may be left to read it, which is no reason to stop.
pub(crate) fn line(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Prints a line to standard output, where it is the result that was asked for.
pub(crate) fn result(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let printed = writeln!(out, "{line}").and_then(|()| out.flush());
    printed.map_err(|error| Failure::because("cannot write to standard output", &error))
}

/// A number with its thousands set apart.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut shown = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A number with three figures and a prefix.
pub(crate) fn figure(n: f64) -> String {
    let (n, prefix) = match n {
        n if n >= 1e9 => (n / 1e9, " G"),
        n if n >= 1e6 => (n / 1e6, " M"),
        n if n >= 1e3 => (n / 1e3, " k"),
        n => (n, " "),
    };
    let decimals = if n >= 100.0 || prefix == " " { 0 } else { 1 };
    format!("{n:.decimals$}{prefix}")
}

/// An amount of bytes.
pub(crate) fn bytes(n: u64) -> String {
    format!("{}B", figure(n as f64))
}

/// A time, in the unit that suits it.
pub(crate) fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s >= 1.0 => format!("{s:.1} s"),
        s if s >= 0.1 => format!("{:.0} ms", s * 1e3),
        s if s >= 0.001 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
}

/// A word as it can be shown in a terminal: what is not text, and what would move the cursor, is replaced.
pub(crate) fn word(word: &[u8]) -> String {
    const SHOWN_CHARS_MAX: usize = 24;
    let text = String::from_utf8_lossy(word);
    let mut shown: String =
        text.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([count(0), count(999), count(1000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn words_cannot_move_the_cursor() {
        assert_eq!(word(b"\x1b[2J"), "\u{fffd}[2J");
        assert_eq!(word(b"\xff"), "\u{fffd}");
    }
}
