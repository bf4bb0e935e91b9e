use std::{
    fs, io,
    io::Read,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome, Plan, Task,
    report::{Checked, Report},
    task::{Event, VARIABLE},
};

/// Checking could not begin.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// The child process cannot be started, or what it tells cannot be read.
    #[error("the process that checks {} cannot be started or followed: {source}", library.display())]
    Io {
        /// The library.
        library: std::path::PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The longest that one check may take; the slowest of the shipped plugins takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Numbers of threads that must give the same bits.
const THREAD_COUNTS: [usize; 3] = [1, 2, 3];

/// Runs every check of a library, in child processes that `program` starts: the same program that calls this, which
/// calls [`child`](crate::child) where it finds a task in its environment.
///
/// # Errors
///
/// The child cannot be started. Whatever happens to it afterwards is in the report.
pub fn supervise(program: impl Fn() -> Command, task: &Task) -> Result<Report, SuperviseError> {
    let failed = |source| SuperviseError::Io { library: task.library.clone(), source };
    let mut report =
        Report { library: task.library.clone(), kind: None, version: String::new(), checks: Vec::new() };
    let mut outcomes: Vec<Option<Outcome>> = Vec::new();
    let mut plan: Option<Plan> = None;
    let mut printed = Vec::new();
    let mut task = task.clone();
    loop {
        let mut run = run(program(), &task).map_err(failed)?;
        printed.append(&mut run.printed);
        let mut current = None;
        for event in &run.events {
            match event {
                Event::Plan(found) => {
                    outcomes.resize(found.checks.len(), None);
                    plan = Some(found.clone());
                }
                Event::Begin(index) => current = Some(*index),
                Event::End(index, outcome) => {
                    current = None;
                    outcomes[*index] = Some(outcome.clone());
                }
                Event::Refused(_) | Event::Digest(_) | Event::Done => {}
            }
        }
        if run.events.last() == Some(&Event::Done) {
            break;
        }
        let ended = run.ended();
        let Some(index) = current.filter(|_| plan.is_some()) else {
            let refused = run.events.iter().find_map(|event| match event {
                Event::Refused(why) => Some(why.clone()),
                _ => None,
            });
            let why =
                refused.unwrap_or(format!("{ended} while the library was opened or between two checks"));
            report.checks.push(library_check("load", Outcome::Failed(why)));
            break;
        };
        outcomes[index] = Some(Outcome::Failed(ended));
        task.from = index + 1;
    }
    if let Some(plan) = plan {
        report.kind = Some(plan.kind);
        report.version = plan.version;
        if report.checks.is_empty() {
            report.checks.push(library_check("load", Outcome::Passed));
        }
        let not_run = || Outcome::NotApplicable("it was not run: see the failures before it".into());
        report.checks.extend(plan.checks.into_iter().zip(outcomes).map(|((plugin, check), outcome)| {
            Checked { plugin, check, outcome: outcome.unwrap_or_else(not_run) }
        }));
        if plan.kind == expanse_host::Kind::Sampler {
            let outcome = thread_counts(&program, &task, &mut printed).map_err(failed)?;
            report.checks.push(library_check("same-bits-at-any-thread-count", outcome));
        }
    }
    report.checks.push(library_check("nothing-on-stdout", nothing_on_stdout(&printed)));
    Ok(report)
}

fn library_check(check: &str, outcome: Outcome) -> Checked {
    Checked { plugin: String::new(), check: check.into(), outcome }
}

/// Every library sizes its pool of threads when it first uses it, so each number has a process of its own.
fn thread_counts(
    program: &impl Fn() -> Command,
    task: &Task,
    printed: &mut Vec<u8>,
) -> Result<Outcome, io::Error> {
    let mut digests = Vec::new();
    for threads in THREAD_COUNTS {
        let mut run = run(program(), &Task { threads, only_digest: true, from: 0, ..task.clone() })?;
        printed.append(&mut run.printed);
        match run.events.as_slice() {
            [Event::Plan(_), Event::Digest(digest), Event::Done] => digests.push(digest.clone()),
            [.., Event::Refused(why)] => {
                return Ok(Outcome::Failed(format!("with {threads} threads: {why}")));
            }
            _ => return Ok(Outcome::Failed(format!("with {threads} threads: {}", run.ended()))),
        }
    }
    Ok(match digests.iter().zip(THREAD_COUNTS).find(|(digest, _)| **digest != digests[0]) {
        None => Outcome::Passed,
        Some((_, threads)) => Outcome::Failed(format!(
            "the same request and seed give other bits with {threads} threads than with {}",
            THREAD_COUNTS[0]
        )),
    })
}

fn nothing_on_stdout(printed: &[u8]) -> Outcome {
    if printed.is_empty() {
        return Outcome::Passed;
    }
    let text = String::from_utf8_lossy(&printed[..printed.len().min(80)]).into_owned();
    Outcome::Failed(format!("it prints {} bytes: {text:?} …; log with `tracing` instead", printed.len()))
}

/// What one child has done.
struct Run {
    events: Vec<Event>,
    printed: Vec<u8>,
    complaint: String,
    /// How the child ended; `None` if it was ended because it did not answer.
    status: Option<ExitStatus>,
}

impl Run {
    fn ended(&self) -> String {
        let what = match self.status {
            None => format!("it does not answer within {} s", PATIENCE.as_secs()),
            Some(status) => format!("it ends the process ({status})"),
        };
        let last = self.complaint.lines().map(str::trim).rfind(|line| !line.is_empty());
        last.map_or(what.clone(), |line| format!("{what}: {line}"))
    }
}

fn run(mut command: Command, task: &Task) -> Result<Run, io::Error> {
    let folder = tempfile::tempdir()?;
    let events = folder.path().join("events.jsonl");
    fs::write(&events, "")?;
    let task = Task { events: events.clone(), ..task.clone() };
    command.env(VARIABLE, serde_json::to_string(&task)?);
    command.env("RAYON_NUM_THREADS", task.threads.to_string());
    // glibc would keep what large buffers have held, and leaks would grow into that unseen.
    for threshold in ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"] {
        command.env(threshold, "131072");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        let printed = scope.spawn(|| collect(stdout));
        let complaint = scope.spawn(|| collect(stderr));
        let status = wait(&mut child, &events)?;
        let printed = printed.join().unwrap_or_default();
        let complaint = complaint.join().unwrap_or_default();
        Ok(Run {
            events: read(&events)?,
            printed,
            complaint: String::from_utf8_lossy(&complaint).into_owned(),
            status,
        })
    })
}

/// Waits for the end of a child, as long as it tells something new now and then.
fn wait(child: &mut Child, events: &Path) -> Result<Option<ExitStatus>, io::Error> {
    let (mut told, mut since) = (0, Instant::now());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let length = fs::metadata(events)?.len();
        if length != told {
            (told, since) = (length, Instant::now());
        }
        if since.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn collect(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What was read before an error is what there is.
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

/// The events that a child has told completely.
fn read(path: &Path) -> Result<Vec<Event>, io::Error> {
    let text = fs::read_to_string(path)?;
    Ok(text.lines().map_while(|line| serde_json::from_str(line).ok()).collect())
}
