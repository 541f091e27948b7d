//! The live view: a panel that is drawn again and again in a terminal, plain lines elsewhere.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use malstrom_core::coordinator::{JobPhase, SnapshotReport};
use malstrom_runtime::job::JobStatus;
use malstrom_runtime::prelude::*;

use crate::failure::Failure;
use crate::job::COUNT;
use crate::live::Live;
use crate::report::workers;
use crate::show;
use crate::text::Text;

/// Time between two pictures in a terminal.
const DRAW_EVERY: Duration = Duration::from_millis(150);
/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// The time over which the rate is measured.
const RATE_OVER: Duration = Duration::from_secs(2);
/// Events that stay in the panel.
const EVENTS_SHOWN: usize = 8;
/// Workers whose bins are shown.
const WORKERS_SHOWN: usize = 12;

/// The thread that shows how the job stands.
#[derive(Debug)]
pub(crate) struct View {
    thread: JoinHandle<u64>,
}

impl View {
    /// Begins to show. It ends by itself when the job does.
    pub(crate) fn start(
        text: &Text,
        live: Arc<Live>,
        api: JobApi,
        events: Receiver<JobEvent>,
    ) -> Result<Self, Failure> {
        let picture = Picture {
            title: text.job_name(),
            began: Instant::now(),
            live,
            api,
            samples: VecDeque::new(),
            newest_snapshot: None,
            status: JobStatus::default(),
            told: VecDeque::new(),
            n_drawn: std::io::stderr().is_terminal().then_some(0),
        };
        let thread = std::thread::Builder::new().name("view".to_owned());
        Ok(Self { thread: thread.spawn(move || picture.run(&events))? })
    }

    /// Waits until the last picture is drawn, and returns how many words were counted.
    pub(crate) fn end(self) -> u64 {
        self.thread.join().unwrap_or(0)
    }
}

struct Picture {
    title: String,
    began: Instant,
    live: Arc<Live>,
    api: JobApi,
    /// When how many words were counted, lately.
    samples: VecDeque<(Instant, u64)>,
    newest_snapshot: Option<(Instant, SnapshotReport)>,
    /// How the job stood when it was last asked.
    status: JobStatus,
    told: VecDeque<String>,
    /// Lines of the picture on the screen; `None` if there is no screen.
    n_drawn: Option<usize>,
}

impl Picture {
    fn run(mut self, events: &Receiver<JobEvent>) -> u64 {
        let every = if self.n_drawn.is_some() { DRAW_EVERY } else { LINE_EVERY };
        let mut due = Instant::now() + every;
        // Of a job that cannot start there is nothing to show but why.
        let mut is_begun = false;
        loop {
            match events.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(event) => {
                    if !std::mem::replace(&mut is_begun, true) && self.n_drawn.is_none() {
                        show::line(&self.title);
                    }
                    self.note(&event);
                }
                Err(RecvTimeoutError::Timeout) => {
                    due = Instant::now() + every;
                    if is_begun {
                        self.show();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    if is_begun {
                        self.show();
                    }
                    return self.api.figures().n_written;
                }
            }
        }
    }

    fn note(&mut self, event: &JobEvent) {
        self.ask();
        if let JobEvent::Snapshot(report) = event {
            self.newest_snapshot = Some((Instant::now(), report.clone()));
        }
        let Some(line) = describe(event) else { return };
        let line = format!("{:>8}  {line}", show::time(self.began.elapsed()));
        if self.n_drawn.is_none() {
            return show::line(&line);
        }
        self.told.push_back(line);
        if self.told.len() > EVENTS_SHOWN {
            self.told.pop_front();
        }
    }

    fn show(&mut self) {
        let (lines, n_before) = match self.n_drawn {
            Some(n_drawn) => (self.panel(), n_drawn),
            None => return show::line(&self.line()),
        };
        // Up to the first line, each line cut where the terminal ends, and whatever is below cleared.
        let up = if n_before > 0 { format!("\x1b[{n_before}A") } else { String::new() };
        let picture: String = lines.iter().map(|line| format!("\x1b[2K{line}\n")).collect();
        let mut screen = std::io::stderr().lock();
        let _ = write!(screen, "{up}\x1b[?7l{picture}\x1b[?7h\x1b[J").and_then(|()| screen.flush());
        self.n_drawn = Some(lines.len());
    }

    fn line(&mut self) -> String {
        let facts = self.facts();
        format!(
            "{:>8}  {} words, {}words/s, {} distinct, {}, bins {}, snapshot {}, latency {}, top: {}",
            facts.time,
            facts.words,
            facts.rate,
            facts.distinct,
            facts.workers,
            facts.bins,
            facts.snapshot,
            facts.latency,
            facts.top.join(" ")
        )
    }

    fn panel(&mut self) -> Vec<String> {
        let facts = self.facts();
        let mut lines = vec![
            format!("{}  [{}]", self.title, facts.time),
            format!("  words     {}   {}words/s   {} distinct", facts.words, facts.rate, facts.distinct),
            format!("  workers   {}   bins {}   {}", facts.workers, facts.bins, facts.operation),
            format!("  snapshot  {}", facts.snapshot),
            format!("  latency   {}", facts.latency),
        ];
        let mut rows = facts.top.chunks(5);
        lines.push(format!("  top ten   {}", rows.next().unwrap_or_default().join("  ")));
        lines.push(format!("            {}", rows.next().unwrap_or_default().join("  ")));
        lines.extend(self.told.iter().cloned());
        lines
    }

    /// Once the job has ended nobody answers: how it stood last is what stays in the picture.
    fn ask(&mut self) {
        if let Ok(status) = self.api.status()
            && status.job.phase != JobPhase::Stopped
            && (self.status.figures.workers.is_empty() || !status.figures.workers.is_empty())
        {
            self.status = status;
        }
    }

    fn facts(&mut self) -> Facts {
        let now = Instant::now();
        let figures = self.api.figures();
        self.ask();
        let status = &self.status.job;
        self.samples.push_back((now, figures.n_written));
        while self.samples.len() > 2 && now.duration_since(self.samples[0].0) > RATE_OVER {
            self.samples.pop_front();
        }
        let (then, n_then) = self.samples.front().copied().unwrap_or((now, 0));
        let (then, n_then) = if self.samples.len() < 2 { (self.began, 0) } else { (then, n_then) };
        let rate = (figures.n_written - n_then) as f64 / now.duration_since(then).as_secs_f64().max(1e-3);
        let distinct =
            self.status.figures.workers.values().filter_map(|worker| worker.n_keys.get(COUNT)).sum();
        let bins: Vec<_> =
            status.bins_per_worker.iter().take(WORKERS_SHOWN).map(ToString::to_string).collect();
        let more = if status.bins_per_worker.len() > WORKERS_SHOWN { " …" } else { "" };
        let snapshot = self.newest_snapshot.as_ref().map_or("none yet".to_owned(), |(when, report)| {
            let (age, bytes) = (show::time(when.elapsed()), show::bytes(report.bytes));
            format!("{} is {age} old, {bytes} written", report.id)
        });
        let latency = self.live.latency.summary().map(|times| times.map(show::time));
        let latency = latency.map_or("- (measured with --rate)".to_owned(), |[p50, p99, max]| {
            format!("p50 {p50}, p99 {p99}, max {max}")
        });
        let word = |(word, count): &(_, u64)| {
            format!("{}:{}", show::word(AsRef::<[u8]>::as_ref(word)), show::count(*count))
        };
        Facts {
            time: show::time(self.began.elapsed()),
            words: show::count(figures.n_written),
            rate: show::figure(rate),
            distinct: show::count(distinct),
            workers: workers(status.n_workers),
            bins: if bins.is_empty() { "-".to_owned() } else { format!("{}{more}", bins.join(" ")) },
            operation: match (status.operation, status.phase) {
                (Some(operation), _) => format!("({operation})"),
                (None, JobPhase::Building) => "(starting)".to_owned(),
                (None, JobPhase::Recovering) => "(recovering)".to_owned(),
                (None, _) => String::new(),
            },
            snapshot,
            latency,
            top: self.live.top().iter().map(word).collect(),
        }
    }
}

/// How things stand, in words.
struct Facts {
    time: String,
    words: String,
    rate: String,
    distinct: String,
    workers: String,
    bins: String,
    operation: String,
    snapshot: String,
    latency: String,
    top: Vec<String>,
}

/// What happened, if it is worth a line.
fn describe(event: &JobEvent) -> Option<String> {
    Some(match event {
        JobEvent::Running { n_workers, restored: Some(id), .. } => {
            format!("running on {}, resumed from snapshot {id}", workers(*n_workers))
        }
        JobEvent::Running { n_workers, restored: None, .. } => format!("running on {}", workers(*n_workers)),
        JobEvent::Rescaling { from, to } => format!("rescaling {from} -> {to}"),
        JobEvent::Rescaled(report) => format!(
            "rescaled {} -> {} in {}: {} bins with {} moved, longest time without output {}",
            report.from,
            report.to,
            show::time(report.duration),
            show::count(report.bins_moved),
            show::bytes(report.bytes_moved),
            show::time(report.gap_max),
        ),
        JobEvent::SnapshotFailed { id, reason } => format!("snapshot {id} failed: {reason}"),
        JobEvent::Recovering { reason, backoff } => {
            format!("recovering in {}: {reason}", show::time(*backoff))
        }
        JobEvent::Damaged { reason } => format!("a snapshot is damaged, trying the one before: {reason}"),
        _ => return None,
    })
}
