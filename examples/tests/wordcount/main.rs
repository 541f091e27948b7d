//! The main job, driven as a user drives it: the real program on real text, rescaled, suspended and killed. What it
//! counts must be what `tr`, `sort` and `uniq -c` count.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "all of this is tests, also what only helps them")]

mod harness;
mod kills;

use std::fs;
use std::time::Duration;

use harness::{Folder, Text, WordCount, real_text};

#[test]
fn rescaled_under_full_load() {
    let (folder, text) = (Folder::new(), real_text());
    let n = text.n_words();
    let n_times = 9_000_000 / n + 1;
    let at = |percent: u64| n * n_times * percent / 100;
    let rescale = format!("{}r:4,{}r:2,{}r:3,{}r:1", at(3), at(10), at(20), at(30));
    let count = WordCount::of(&text)
        .args(["--repeat", &n_times.to_string(), "--workers", "1", "--rescale", &rescale])
        .output(&folder.path("counts"))
        .run();
    let report = count.report();
    let scales: Vec<_> = report["rescales"].as_array().unwrap().iter().map(|r| r["to"].as_u64()).collect();
    assert_eq!(scales, [Some(4), Some(2), Some(3), Some(1)], "{}", count.stderr);
    assert_eq!(report["workers"], 1);
    assert_eq!(report["words"], n * n_times);
    text.assert_counted_times(n_times, &folder.path("counts"));
}

#[test]
fn suspended_and_resumed_at_another_scale() {
    let (folder, text) = (Folder::new(), real_text());
    let count = |workers: &str, more: &[&str]| {
        WordCount::of(&text)
            .args(["--repeat", "3", "--snapshots", &folder.path("snapshots"), "--workers", workers])
            .args(more.iter().copied())
            .output(&folder.path("counts"))
            .run()
            .report()
    };
    let at = (text.n_words() / 2).to_string() + "r";
    let first = count("2", &["--suspend-after", &at]);
    assert!(first["resumed_from"].is_null());
    let second = count("3", &["--suspend-after", &at]);
    assert_eq!(second["resumed_from"], last_snapshot(&first));
    assert_eq!(second["workers"], 3);
    assert!(second["words"].as_u64() > first["words"].as_u64());
    assert!(!fs::exists(folder.path("counts")).unwrap(), "there is no output before the end");
    let third = count("1", &[]);
    assert_eq!(third["resumed_from"], last_snapshot(&second));
    text.assert_counted_times(3, &folder.path("counts"));

    fs::remove_file(folder.path("counts")).unwrap();
    let again = count("2", &[]);
    assert_eq!(again["words"], third["words"], "what has ended tells its counts again");
    text.assert_counted_times(3, &folder.path("counts"));
}

#[test]
fn killed_at_any_moment() {
    const KILLS: u32 = 6;
    let (folder, text) = (Folder::new(), real_text());
    // So that all kills together take less than half of the text.
    let rate = (text.n_words() / 6).to_string();
    let count = |workers: &str| {
        WordCount::of(&text)
            .args([
                "--snapshots",
                &folder.path("snapshots"),
                "--snapshot-interval",
                "60ms",
                "--workers",
                workers,
            ])
            .output(&folder.path("counts"))
    };
    for n in 0..KILLS {
        let mut running = count(&(n % 3 + 1).to_string()).args(["--rate", &rate]).start();
        running.wait_for("running on");
        std::thread::sleep(Duration::from_millis(u64::from(30 + 97 * n % 400)));
        assert!(running.kill(), "it was still counting");
    }
    let end = count("2").run();
    assert!(end.report()["resumed_from"].as_u64() >= Some(1), "{}", end.stderr);
    text.assert_counted(&folder.path("counts"));
}

#[test]
fn killed_while_it_is_rescaled() {
    let (folder, text) = (Folder::new(), real_text());
    let rate = (text.n_words() / 6).to_string();
    let count = || {
        WordCount::of(&text)
            .args(["--snapshots", &folder.path("snapshots"), "--snapshot-interval", "50ms"])
            .output(&folder.path("counts"))
    };
    for (workers, to, after_ms) in [("1", 4, 0), ("4", 1, 5), ("2", 3, 25), ("3", 2, 60)] {
        let rescale = format!("150ms:{to}");
        let args = ["--workers", workers, "--rescale", &rescale, "--rate", &rate];
        let mut running = count().args(args).start();
        running.wait_for("rescaling");
        std::thread::sleep(Duration::from_millis(after_ms));
        assert!(running.kill(), "it was still counting");
    }
    count().run();
    text.assert_counted(&folder.path("counts"));
}

#[test]
fn ctrl_c_suspends() {
    let (folder, text) = (Folder::new(), real_text());
    let count = || {
        WordCount::of(&text).args(["--snapshots", &folder.path("snapshots")]).output(&folder.path("counts"))
    };
    let mut running = count().args(["--rate", &(text.n_words() / 5).to_string()]).start();
    running.wait_for("running on");
    std::thread::sleep(Duration::from_millis(300));
    running.signal("INT");
    let first = running.end();
    let suspended = first.report();
    assert!(first.stdout.contains("run it again with --snapshots"), "{}", first.stdout);
    assert!((1..text.n_words()).contains(&suspended["words"].as_u64().unwrap()));
    let report = count().args(["--workers", "3"]).run().report();
    assert_eq!(report["resumed_from"], last_snapshot(&suspended));
    text.assert_counted(&folder.path("counts"));
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let (folder, text) = (Folder::new(), real_text());
    let snapshots = folder.path("snapshots");
    let count = || WordCount::of(&text).args(["--snapshots", &snapshots]).output(&folder.path("counts"));
    let mut running = count().args(["--rate", "1000"]).start();
    running.wait_for("running on");
    running.signal("INT");
    running.wait_for("suspending");
    running.signal("INT");
    // It may have been suspended before the second one came.
    assert!(matches!(running.end_code(), 0 | 130));
    count().run();
    text.assert_counted(&folder.path("counts"));
}

#[test]
fn text_that_is_not_utf8() {
    let folder = Folder::new();
    let mut state = 1_u64;
    let bytes = (0..200_000).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    let path = folder.path("bytes");
    fs::write(&path, bytes.collect::<Vec<_>>()).unwrap();
    let text = Text::of([path.into()]);
    let count = WordCount::of(&text).args(["--check", "yes"]).output(&folder.path("counts")).run();
    assert!(count.stdout.contains("checked: all"));
    text.assert_counted(&folder.path("counts"));
}

#[test]
fn standard_input_is_counted() {
    let (folder, text) = (Folder::new(), real_text());
    let running =
        WordCount::new().args(["--input", "-"]).output(&folder.path("counts")).reads(&text.paths[0]);
    running.run();
    Text::of([text.paths[0].clone()]).assert_counted(&folder.path("counts"));
}

#[test]
fn made_up_text_rescales_itself_and_is_checked() {
    let count = WordCount::new().args(["--words", "1500000"]).run();
    assert!(count.stdout.contains("checked: all"), "{}", count.stdout);
    assert!(count.stderr.contains("rescaled 2 -> 4"), "{}", count.stderr);
    assert_eq!(count.report()["words"], 1_500_000);
}

#[test]
fn the_report_has_the_promised_fields() {
    let folder = Folder::new();
    let snapshots = folder.path("snapshots");
    let count =
        WordCount::new().args(["--words", "20000", "--snapshots", &snapshots, "--rescale", "0s:3"]).run();
    let report = count.report();
    let fields = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut promised = [
        "words",
        "distinct",
        "seconds",
        "words_per_s",
        "workers",
        "resumed_from",
        "gap_ms_max_steady",
        "rescales",
        "snapshots",
        "recoveries",
    ];
    promised.sort_unstable();
    assert_eq!(fields(&report), promised);
    let mut rescale = ["from", "to", "duration_ms", "gap_ms_max", "bins_moved", "bytes_moved"];
    rescale.sort_unstable();
    assert_eq!(fields(&report["rescales"][0]), rescale);
    assert_eq!(fields(&report["snapshots"][0]), ["bytes", "duration_ms", "gap_ms_max", "id"]);
}

#[test]
fn bad_input_gets_one_clear_line() {
    let folder = Folder::new();
    let (here, other) = (folder.path("here"), folder.path("other"));
    fs::write(&here, "a b a").unwrap();
    fs::write(&other, "a b a").unwrap();
    let snapshots = folder.path("snapshots");
    WordCount::new().args(["--input", &here, "--snapshots", &snapshots]).run();
    let (missing, pattern) = (folder.path("missing"), folder.path("*.none"));
    let beyond = folder.path("missing/counts");
    for (args, code, says) in [
        (&["--input", &missing][..], 1, "there is no file"),
        (&["--input", &pattern], 1, "has no regular file"),
        (&["--input", &here, "--output", &beyond], 1, "--output: cannot write"),
        (&["--input", &here, "--output", &folder.path("")], 1, "--output: cannot write"),
        (&["--input", &other, "--snapshots", &snapshots], 1, "belongs to the job `wordcount of"),
        (&["--snapshots", "ftp://host/path"], 1, "unknown scheme"),
        (&["--snapshots", &here], 1, "cannot be used as a store"),
        (&["--workers", "0"], 2, "--workers"),
        (&["--workers", "100", "--bins", "64"], 2, "64 workers"),
        (&["--rescale", "2s:0"], 2, "0 workers"),
        (&["--rescale", "soon:2"], 2, "--rescale"),
        (&["--rescale", "2s:2,"], 2, "--rescale"),
        (&["--bins", "100"], 2, "power of two"),
        (&["--rate", "fast"], 2, "--rate"),
        (&["--snapshot-interval", "3"], 2, "such as 500ms"),
        (&["--suspend-after", "later"], 2, "--suspend-after"),
        (&["--repeat", "0", "--input", &here], 2, "--repeat"),
        (&["--repeat", "2"], 2, "--repeat"),
        (&["--vocabulary", "0"], 2, "distinct words"),
        (&["--no-such-flag"], 2, "--no-such-flag"),
    ] {
        let failed = WordCount::bare().args(args.iter().copied()).start().end_with(code);
        assert_eq!(failed.stderr.lines().count(), 1, "{args:?}: {}", failed.stderr);
        assert!(failed.stderr.starts_with("wordcount: "), "{args:?}: {}", failed.stderr);
        assert!(failed.stderr.contains(says), "{args:?}: {}", failed.stderr);
        assert_eq!(failed.stdout, "", "{args:?}");
    }
}

#[test]
fn snapshots_in_use_are_refused() {
    let (folder, text) = (Folder::new(), real_text());
    let args = ["--snapshots", &folder.path("snapshots")];
    let mut running = WordCount::of(&text).args(args).args(["--rate", "1000"]).start();
    running.wait_for("running on");
    let refused = WordCount::of(&text).args(args).start().end_with(1);
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("in use by a running coordinator"), "{}", refused.stderr);
    assert!(running.kill());
}

/// The snapshot with which a run ended.
fn last_snapshot(report: &serde_json::Value) -> serde_json::Value {
    report["snapshots"].as_array().unwrap().last().unwrap()["id"].clone()
}
