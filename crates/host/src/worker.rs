//! The other side of a plugin in a process of its own: answers requests on stdin until it ends.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU8, Ordering},
        mpsc,
    },
    thread,
};

use expanse_abi::LogRecord;
use expanse_domain::Seed;
use serde_json::{Map, Value};

use crate::{
    Found, Host, HostError, Sampler, Trust,
    calls::peak_memory,
    messages::{Answer, Library, Request, Shape},
    services::{self, Elsewhere},
    shared::Shared,
};

static ANSWERS: OnceLock<Mutex<File>> = OnceLock::new();
static LEVELS: AtomicU8 = AtomicU8::new(0);

/// Serves one plugin to the program that has started this one, until that ends the conversation.
///
/// # Errors
///
/// The pipes to that program fail; there is nobody to tell.
pub fn serve() -> io::Result<()> {
    let (requests, answers) = pipes()?;
    // It is set once, by the one call of a program's life.
    let _ = ANSWERS.set(Mutex::new(answers));
    services::route(Elsewhere { enabled, log, progress });
    let (sender, waiting) = mpsc::channel();
    // While a call runs, the request to stop is read here.
    thread::Builder::new().name("requests".into()).spawn(move || {
        for line in BufReader::new(requests).lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(Request::Cancel) => services::cancel(),
                Ok(request) => drop(sender.send(request)),
                Err(error) => {
                    answer(&Answer::Failed { failure: HostError::Refused(error.to_string()).into() });
                }
            }
        }
        // Whoever asked is gone, and so is the reason for whatever runs.
        std::process::exit(0);
    })?;
    let mut sampler = None;
    for request in waiting {
        let answered = handle(request, &mut sampler);
        answer(&answered.unwrap_or_else(|error| Answer::Failed { failure: error.into() }));
    }
    Ok(())
}

fn handle(request: Request, sampler: &mut Option<Box<dyn Sampler>>) -> Result<Answer, HostError> {
    match request {
        Request::Describe(Library { kind, path, sha256 }) => {
            let manifest = only(sha256).manifest(&Found { kind, name: String::new(), path })?;
            Ok(Answer::Described { manifest })
        }
        Request::Device { library: Library { path, sha256, .. }, name, threads } => {
            services::set_threads(threads);
            let device = only(sha256).backend_at(&path, &name, &Map::new())?.device()?;
            Ok(Answer::Device { device })
        }
        Request::Open { library, name, options, threads, memory } => {
            services::set_threads(threads);
            limit(memory).map_err(|error| HostError::Refused(format!("the memory limit: {error}")))?;
            let (opened, name, version) = open(library, &name, &options)?;
            *sampler = Some(opened);
            Ok(Answer::Opened { name, version })
        }
        Request::Resample { shared, shape, seed, levels } => {
            LEVELS.store(levels, Ordering::Relaxed);
            let sampler =
                sampler.as_deref().ok_or_else(|| HostError::Refused("no sampler is open".into()))?;
            resample(sampler, &shared, &shape, Seed(seed))
        }
        // Read where requests come in.
        Request::Cancel => Ok(Answer::Failed { failure: HostError::Cancelled.into() }),
    }
}

fn open(
    Library { path, sha256, .. }: Library,
    name: &str,
    options: &Map<String, Value>,
) -> Result<(Box<dyn Sampler>, String, String), HostError> {
    only(sha256).sampler_at(&path, name, options)
}

fn resample(
    sampler: &dyn Sampler,
    shared: &std::path::Path,
    shape: &Shape,
    seed: Seed,
) -> Result<Answer, HostError> {
    let failed = |error: io::Error| HostError::Refused(format!("the shared memory fails: {error}"));
    let shared = Shared::open(shared).map_err(failed)?;
    let (features, labels, wanted) = shared.read_request(shape).map_err(failed)?;
    let made = sampler.resample(features.view(), &labels, &wanted, seed)?;
    shared.write_answer(shape, &made.features, &made.labels, &made.provenance).map_err(failed)?;
    Ok(Answer::Resampled { report: made.report, peak_memory: peak_memory() })
}

/// A host that opens one library only.
fn only(sha256: String) -> Host {
    Host::new(Vec::new()).with_trust(Trust::Only(sha256))
}

fn answer(answer: &Answer) {
    let Some(answers) = ANSWERS.get() else { return };
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    // If nobody listens, the end of the requests will say so.
    let _ = serde_json::to_string(answer).map(|line| writeln!(answers, "{line}"));
}

fn enabled(level: u8) -> bool {
    level < LEVELS.load(Ordering::Relaxed)
}

fn log(LogRecord { level, library, target, message }: LogRecord<'_>) {
    let [library, target, message] = [library, target, message].map(|text| text.as_str().to_owned());
    answer(&Answer::Log { level, library, target, message });
}

fn progress(library: &str, done: u64, total: u64) {
    answer(&Answer::Progress { library: library.into(), done, total });
}

/// Stdin and stdout under other numbers: what a plugin reads there is empty, and what it prints goes to stderr.
#[cfg(unix)]
fn pipes() -> io::Result<(File, File)> {
    use rustix::{io::fcntl_dupfd_cloexec, stdio};
    let requests = fcntl_dupfd_cloexec(io::stdin(), 3)?;
    let answers = fcntl_dupfd_cloexec(io::stdout(), 3)?;
    stdio::dup2_stdin(File::open("/dev/null")?)?;
    stdio::dup2_stdout(io::stderr())?;
    Ok((requests.into(), answers.into()))
}

#[cfg(not(unix))]
fn pipes() -> io::Result<(File, File)> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "plugins in processes of their own need Unix"))
}

/// Lets this process take so many bytes of address space beyond what it has.
#[cfg(unix)]
fn limit(memory: Option<u64>) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Some(memory) = memory else { return Ok(()) };
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|statm| statm.split(' ').next()?.parse::<u64>().ok()).unwrap_or(0);
    let most = memory.saturating_add(pages * rustix::param::page_size() as u64);
    let maximum = getrlimit(Resource::As).maximum;
    let current = Some(maximum.map_or(most, |maximum| maximum.min(most)));
    setrlimit(Resource::As, Rlimit { current, maximum })?;
    Ok(())
}

#[cfg(not(unix))]
fn limit(_: Option<u64>) -> io::Result<()> {
    Ok(())
}
