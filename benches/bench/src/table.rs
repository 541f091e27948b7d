//! What is printed and written: a table for each case, in Markdown.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::BoxError;
use crate::args::Args;
use crate::figures::{self, Series, Spread};
use crate::machine;
use crate::plan::Case;
use crate::targets;

/// All about one case.
pub(crate) fn report(case: &Case, series: &[Series]) -> String {
    let mut text = format!("\n### {case}\n\n{}; {} records\n\n", case.what, thousands(case.n_records));
    text += "| program | allocator | M records/s | min | max | of plain | of tuned | MB | CPU s | seconds | to the end | snapshots |\n";
    text += "|---|---|---|---|---|---|---|---|---|---|---|---|\n";
    for one in series {
        text += &line(one, series);
    }
    text.push('\n');
    for verdict in targets::verdicts(case, series) {
        let met = if verdict.is_met { "met" } else { "MISSED" };
        let _ = writeln!(text, "- {met}: {}: {}", verdict.what, spread(Some(verdict.ratio), 2));
    }
    let answers = match figures::disagreement(series) {
        None => "- all answers agree".to_owned(),
        Some(who) => format!("- ANSWERS DIFFER: {who}"),
    };
    text + &answers + "\n"
}

fn line(one: &Series, all: &[Series]) -> String {
    let find = |program: &str| {
        all.iter().find(|other| other.who.program == program && other.who.allocator == one.who.allocator)
    };
    let (name, share) = (one.who.program, one.who.share);
    let name = if share < 1.0 { format!("{name} ({share} of the records)") } else { name.to_owned() };
    let Some(rate) = one.rate() else {
        let why = one.failure().unwrap_or("not run");
        return format!("| {name} | {} | failed: {why} | | | | | | | | | |\n", one.who.allocator);
    };
    let ratio = |program: &str| {
        spread(
            find(program)
                .filter(|other| other.who.program != one.who.program)
                .and_then(|to| one.ratio_to(to)),
            2,
        )
    };
    let median = |figure: fn(&crate::run::Outcome) -> f64| {
        let mut figures: Vec<f64> = one.done().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    format!(
        "| {name} | {} | **{}** | {} | {} | {} | {} | {} | {:.2} | {:.2} | {:.2} | {} |\n",
        one.who.allocator,
        number(rate.median),
        number(rate.min),
        number(rate.max),
        ratio("plain"),
        ratio("tuned"),
        one.peak_mb().map_or(String::new(), |mb| format!("{:.0}", mb.median)),
        median(|done| done.cpu_seconds),
        median(|done| done.seconds),
        median(|done| done.seconds_to_end),
        one.done().find_map(|done| done.snapshots).map_or(String::new(), |n| n.to_string()),
    )
}

/// Writes all reports into one file and returns its path.
pub(crate) fn write(args: &Args, reports: &[String]) -> Result<PathBuf, BoxError> {
    let path = args.results.join(format!("{}.md", args.name));
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let head = format!(
        "# {}\n\n`just bench {command}`, {} runs each, in turn; medians, and ratios run by run: median (min to max).\n\n{}\n",
        args.name,
        args.runs,
        machine::describe()
    );
    std::fs::write(&path, head + &reports.concat())?;
    Ok(path)
}

fn spread(spread: Option<Spread>, n_digits: usize) -> String {
    spread.map_or(String::new(), |Spread { median, min, max }| {
        format!("{median:.n_digits$} ({min:.n_digits$} to {max:.n_digits$})")
    })
}

/// Three digits that count, or more before the point.
fn number(number: f64) -> String {
    match number {
        n if n >= 100.0 => format!("{n:.0}"),
        n if n >= 10.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_groups_of_three() {
        assert_eq!([0, 999, 1000, 30_000_000].map(thousands), ["0", "999", "1,000", "30,000,000"]);
    }
}
