//! A sampler in a process of its own. Whatever its library does there, here it is an error of one call.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use expanse_abi::{LogRecord, Manifest};
use expanse_domain::{MatrixView, Seed};
use serde_json::{Map, Value};

use crate::{
    Device, HostError, Kind, Sampler, Synthetic,
    calls::{self, GRACE},
    messages::{Answer, Library, Request, Shape},
    objects::Named,
    records, services,
    shared::Shared,
};

/// The program that opens libraries in processes of their own: one that calls [`serve`](crate::serve).
#[derive(Clone, Debug)]
pub struct Worker {
    /// The program.
    pub program: PathBuf,
    /// What makes it serve.
    pub arguments: Vec<OsString>,
}

/// What a library says of itself, asked in a process of its own.
pub(crate) fn describe(
    worker: &Worker,
    kind: Kind,
    path: &Path,
    sha256: &str,
) -> Result<Manifest, HostError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut process = Process::start(worker, Named { kind, name })?;
    let library = Library { kind, path: path.into(), sha256: sha256.into() };
    match process.ask(&Request::Describe(library))? {
        Answer::Described { manifest } => Ok(manifest),
        other => Err(process.confused(&other)),
    }
}

/// What the device of a backend is, asked in a process of its own: what a driver does there ends nothing here.
pub(crate) fn device(worker: &Worker, name: &str, path: &Path, sha256: &str) -> Result<Device, HostError> {
    let kind = Kind::Backend;
    let mut process = Process::start(worker, Named { kind, name: name.into() })?;
    let answer = process.ask(&Request::Device {
        library: Library { kind, path: path.into(), sha256: sha256.into() },
        name: name.into(),
        threads: services::thread_budget(),
    })?;
    match answer {
        Answer::Device { device } => Ok(device),
        other => Err(process.confused(&other)),
    }
}

/// Opens a sampler; answers also the version of its library.
pub(crate) fn open(
    worker: &Worker,
    name: &str,
    path: &Path,
    sha256: &str,
    options: &Map<String, Value>,
    memory: Option<u64>,
) -> Result<(Box<dyn Sampler>, String), HostError> {
    let kind = Kind::Sampler;
    let mut process = Process::start(worker, Named { kind, name: name.into() })?;
    let answer = process.ask(&Request::Open {
        library: Library { kind, path: path.into(), sha256: sha256.into() },
        name: name.into(),
        options: options.clone(),
        threads: services::thread_budget(),
        memory,
    })?;
    let Answer::Opened { name, version } = answer else { return Err(process.confused(&answer)) };
    process.plugin.name.clone_from(&name);
    let plugin = process.plugin.clone();
    Ok((Box::new(Isolated { plugin, process: Mutex::new(process) }), version))
}

struct Isolated {
    plugin: Named,
    process: Mutex<Process>,
}

impl Sampler for Isolated {
    fn resample(
        &self,
        features: MatrixView<'_>,
        labels: &[u32],
        wanted: &[u64],
        seed: Seed,
    ) -> Result<Synthetic, HostError> {
        let began = Instant::now();
        let room = || HostError::TooManyRows { wanted: wanted.to_vec(), cols: features.cols() };
        let made = wanted.iter().try_fold(0u64, |sum, &wanted| sum.checked_add(wanted));
        let made = made.and_then(|made| usize::try_from(made).ok()).ok_or_else(room)?;
        if labels.len() != features.rows() {
            let message = format!("there are {} labels for {} rows", labels.len(), features.rows());
            let (kind, name) = (self.plugin.kind, self.plugin.name.clone());
            return Err(HostError::Plugin { kind, name, message });
        }
        let shape = Shape { rows: features.rows(), cols: features.cols(), classes: wanted.len(), made };
        let failed = |error: io::Error| self.plugin.process(format!("its shared memory failed: {error}"));
        let shared = Shared::create(shape.len().ok_or_else(room)?).map_err(failed)?;
        shared.write_request(&shape, features, labels, wanted).map_err(failed)?;

        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let levels = (0..5).filter(|&level| records::enabled_somewhere(level)).count() as u8;
        let request = Request::Resample { shared: shared.path(), shape, seed: seed.0, levels };
        let answer = process.ask(&request)?;
        let Answer::Resampled { report, peak_memory } = answer else {
            return Err(process.confused(&answer));
        };
        drop(process);
        let (features, labels, provenance) = shared.read_answer(&shape).map_err(failed)?;
        let made = Synthetic { features, labels, provenance, report };
        // The process has checked it, and its library may have changed anything there after that.
        made.check(shape.rows, wanted).map_err(|problem| self.plugin.contract(problem))?;
        calls::record(&self.plugin, "resample", began.elapsed(), peak_memory);
        Ok(made)
    }
}

/// A process that serves.
struct Process {
    plugin: Named,
    child: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
    last_words: Arc<Mutex<VecDeque<String>>>,
    over: bool,
}

/// Lines of its stderr that are kept.
const LAST_WORDS: usize = 8;
/// Time between two looks at the user's wish to stop.
const TICK: Duration = Duration::from_millis(20);

impl Process {
    fn start(worker: &Worker, plugin: Named) -> Result<Self, HostError> {
        let failed = |error: io::Error| {
            plugin.process(format!("{} does not start: {error}", worker.program.display()))
        };
        let mut command = Command::new(&worker.program);
        command.args(&worker.arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What it says last is to be its cause of death.
        command.env("RUST_BACKTRACE", "0");
        // A group of its own: Ctrl-C is for the program at the terminal, which then asks this process to stop.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(failed)?;
        let (Some(requests), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(plugin.process("its pipes are missing".into()));
        };
        let (sender, answers) = mpsc::channel();
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let heard = last_words.clone();
        lines(stdout, move |line| drop(sender.send(line))).map_err(failed)?;
        lines(stderr, move |line| {
            tracing::debug!("a plugin's process says: {line}");
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.truncate(LAST_WORDS - 1);
            heard.push_front(line);
        })
        .map_err(failed)?;
        Ok(Self { plugin, child, requests, answers, last_words, over: false })
    }

    /// Sends a request and waits for its answer; records and progress are passed on meanwhile.
    fn ask(&mut self, request: &Request) -> Result<Answer, HostError> {
        if self.over {
            let message = "its process has ended before; open the plugin anew".into();
            return Err(self.plugin.process(message));
        }
        if self.send(request).is_err() {
            return Err(self.ended());
        }
        let mut last_sign = Instant::now();
        let mut cancelled_at = None;
        loop {
            match self.answers.recv_timeout(TICK) {
                Ok(line) => {
                    last_sign = Instant::now();
                    match serde_json::from_str(&line) {
                        Ok(Answer::Log { level, library, target, message }) => {
                            let (library, target) = (library.as_str().into(), target.as_str().into());
                            records::write(LogRecord {
                                level,
                                library,
                                target,
                                message: message.as_str().into(),
                            });
                        }
                        Ok(Answer::Progress { library, done, total }) => {
                            services::progressed(&library, done, total);
                        }
                        Ok(Answer::Failed { failure }) => return Err(failure.into()),
                        Ok(answer) => return Ok(answer),
                        Err(error) => {
                            return Err(self.end(|plugin| {
                                plugin.process(format!("it answers what cannot be understood: {error}"))
                            }));
                        }
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if services::cancelled() {
                if cancelled_at.is_none() && self.send(&Request::Cancel).is_err() {
                    return Err(self.end(|_| HostError::Cancelled));
                }
                if cancelled_at.get_or_insert_with(Instant::now).elapsed() > GRACE {
                    return Err(self.end(|_| HostError::Cancelled));
                }
            }
            let silent = last_sign.elapsed();
            if calls::stall_limit().is_some_and(|limit| silent > limit) {
                let seconds = silent.as_secs();
                return Err(self.end(|Named { kind, name }| HostError::Stalled {
                    kind: *kind,
                    name: name.clone(),
                    seconds,
                }));
            }
        }
    }

    fn send(&mut self, request: &Request) -> io::Result<()> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        self.requests.write_all(line.as_bytes())
    }

    /// The error of a process that has ended by itself.
    fn ended(&mut self) -> HostError {
        self.over = true;
        let how = match self.child.wait() {
            Ok(status) => how(status),
            Err(error) => format!("has ended ({error})"),
        };
        // What it said last may still be on its way here.
        thread::sleep(TICK);
        let last_words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        let telling = |line: &&String| !line.trim().is_empty() && !line.contains("RUST_BACKTRACE");
        let stderr = last_words.iter().find(telling).cloned().unwrap_or_default();
        HostError::Crashed { kind: self.plugin.kind, name: self.plugin.name.clone(), how, stderr }
    }

    /// Ends the process.
    fn end(&mut self, error: impl FnOnce(&Named) -> HostError) -> HostError {
        self.over = true;
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        error(&self.plugin)
    }

    fn confused(&mut self, answer: &Answer) -> HostError {
        let message = format!("it answers something else than it was asked: {answer:?}");
        self.end(|plugin| plugin.process(message))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hands each line to `take`, on a thread of its own, until the end.
fn lines(from: impl Read + Send + 'static, take: impl Fn(String) + Send + 'static) -> io::Result<()> {
    let read = move || {
        BufReader::new(from).split(b'\n').map_while(Result::ok).for_each(|line| {
            take(String::from_utf8_lossy(&line).into_owned());
        })
    };
    thread::Builder::new().name("plugin process".into()).spawn(read).map(drop)
}

#[cfg(unix)]
fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    const NAMES: [(i32, &str); 6] =
        [(4, "SIGILL"), (6, "SIGABRT"), (7, "SIGBUS"), (8, "SIGFPE"), (9, "SIGKILL"), (11, "SIGSEGV")];
    let Some(signal) = status.signal() else { return by_itself(status) };
    let name = NAMES.iter().find(|(number, _)| *number == signal).map(|(_, name)| format!(" ({name})"));
    format!("was ended by signal {signal}{}", name.unwrap_or_default())
}

#[cfg(not(unix))]
fn how(status: ExitStatus) -> String {
    by_itself(status)
}

fn by_itself(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("ended itself in the middle of a call, with exit code {code}"),
        None => "ended in the middle of a call".into(),
    }
}
