//! The backend `remote` and its server, as two processes, in trouble.
//!
//! They are built only when asked for, and so are these tests: docs/remote.md tells how.

use std::{
    env::consts::EXE_SUFFIX,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use expanse_conformance::Outcome;
use expanse_tests::{driver_command, on_demand, small};
use tempfile::TempDir;

/// What a run leaves that must be the same wherever it was computed.
const FILES: [&str; 3] = ["baseline.safetensors", "checkpoint.safetensors", "embeddings.safetensors"];
/// Within this time whoever has lost the other side says so, as docs/remote.md promises.
const PROMISED: Duration = Duration::from_secs(30);

/// The program of the server. The driver builds it where it is to tell how it is used.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let plugin = on_demand("remote").path;
        // With the feature `wgpu` it can lend the devices of that backend, too.
        let lends = if cfg!(feature = "wgpu") { "wgpu" } else { "flex" };
        let output = driver_command().args(["serve", "--", "--backend", lends, "--help"]).output().unwrap();
        assert!(output.status.success(), "{}", small::stderr(&output));
        plugin.with_file_name(format!("expanse-server{EXE_SUFFIX}"))
    })
}

struct Server {
    process: Child,
    address: String,
    folder: Arc<TempDir>,
    told: Arc<Mutex<String>>,
}

impl Server {
    fn start(options: &[&str]) -> Self {
        Self::listen("127.0.0.1:0", Arc::new(TempDir::new().unwrap()), options)
    }

    fn listen(address: &str, folder: Arc<TempDir>, options: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.args(["--listen", address]).args(options);
        let asks = match options.contains(&"--no-token") {
            true => "asks for no token",
            false => {
                command.arg("--token-file").arg(folder.path().join("token"));
                "asks for the token in "
            }
        };
        let mut process = command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let first = lines.next().unwrap_or_default();
        let lent = if options.contains(&"wgpu") { "(burn-wgpu)" } else { "; lends CPU (burn-flex)" };
        assert!(first.contains(&format!("{lent}; {asks}")), "{first}");
        let address = first.strip_prefix("listening at ").and_then(|rest| rest.split(';').next());
        let address = address.unwrap_or_else(|| panic!("{first}")).to_owned();
        let told = Arc::new(Mutex::new(String::new()));
        let telling = told.clone();
        thread::spawn(move || lines.for_each(|line| *telling.lock().unwrap() += &(line + "\n")));
        Self { process, address, folder, told }
    }

    /// This one and others, which have its token.
    fn settings_with(&self, others: &[&Self]) -> Vec<String> {
        let mut settings = self.settings();
        let addresses: Vec<_> =
            [&[self], others].concat().iter().map(|server| server.address.clone()).collect();
        settings[1] = format!("backend.address={addresses:?}");
        settings
    }

    fn settings(&self) -> Vec<String> {
        let token = self.folder.path().join("token");
        vec![
            "backend.plugin=remote".into(),
            format!("backend.address={}", self.address),
            format!("backend.token_file={}", token.display()),
        ]
    }

    /// What it has told, once that holds a text.
    fn tells(&self, text: &str) {
        let began = Instant::now();
        while !self.told.lock().unwrap().contains(text) {
            assert!(began.elapsed() < PROMISED, "`{text}` is not in: {}", self.told.lock().unwrap());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn command(runs: &Path, settings: &[String], more: &[&str]) -> Command {
    let settings: Vec<&str> = settings.iter().map(String::as_str).chain(more.iter().copied()).collect();
    small::command(runs, &settings)
}

/// The files of a small run that succeeds.
fn files(settings: &[String], more: &[&str]) -> Vec<Vec<u8>> {
    let runs = TempDir::new().unwrap();
    let output = command(runs.path(), settings, more).output().unwrap();
    assert!(output.status.success(), "{}", small::stderr(&output));
    read(runs.path())
}

fn read(runs: &Path) -> Vec<Vec<u8>> {
    let folder = runs.join("fashion-mnist-lt/0001");
    let metrics = small::timeless(&folder).to_string().into_bytes();
    FILES.iter().map(|file| small::read(&folder, file)).chain([metrics]).collect()
}

fn flex(more: &[&str]) -> Vec<Vec<u8>> {
    files(&["backend.plugin=flex".into()], more)
}

/// A run that is refused before anything is begun.
fn refused(settings: &[String], parts: &[&str]) {
    let (runs, began) = (TempDir::new().unwrap(), Instant::now());
    let output = command(runs.path(), settings, &[]).output().unwrap();
    assert!(began.elapsed() < PROMISED, "{:?}", began.elapsed());
    assert_eq!(output.status.code(), Some(3), "{}", small::stderr(&output));
    assert!(output.stdout.is_empty());
    failed(&small::stderr(&output), parts);
    assert!(!runs.path().join("fashion-mnist-lt").exists(), "something was begun");
}

#[test]
fn it_conforms() {
    let server = Server::start(&[]);
    let settings: Vec<String> =
        server.settings()[1..].iter().map(|setting| setting.replace("backend.", "")).collect();
    let set: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let (report, succeeded) = expanse_tests::kit::check(&on_demand("remote").path, &set);
    assert!(succeeded && report.conforms(), "{report}");
    assert_eq!(report.outcome("kept-images"), Some(&Outcome::Passed));
}

#[test]
fn runs_give_the_bytes_of_flex_also_side_by_side_and_after_garbage() {
    let server = Server::start(&[]);
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01"[..], b"GET / HTTP/1.1\r\n\r\n", b"GET /session HTTP/1.1\r\n\r\n"]
    {
        let mut stranger = TcpStream::connect(&server.address).unwrap();
        stranger.write_all(garbage).unwrap();
        stranger.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // Whether it answers or hangs up: it ends.
        let _ = stranger.read_to_end(&mut answer);
    }
    drop(TcpStream::connect(&server.address).unwrap());
    server.tells("asked for no session and was turned away");

    let expected = flex(&[]);
    thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| files(&server.settings(), &[]))).collect();
        for run in runs {
            assert!(run.join().unwrap() == expected, "a remote run differs from a local one");
        }
    });
}

#[test]
fn without_a_token_everybody_is_served() {
    let server = Server::start(&["--no-token"]);
    assert!(!server.folder.path().join("token").exists());
    assert!(files(&server.settings()[..2], &[]) == flex(&[]), "a remote run differs from a local one");
}

#[test]
fn images_stay_on_the_server_or_travel_with_each_batch_and_nothing_differs() {
    let server = Server::start(&[]);
    let expected = flex(&[]);
    for on_device in ["always", "never"] {
        let found = files(&server.settings(), &[&format!("data.on_device={on_device}")]);
        assert!(found == expected, "{on_device}: a remote run differs from a local one");
    }
}

#[cfg(feature = "wgpu")]
#[test]
fn a_server_lends_the_gpus_of_its_machine() {
    let server = Server::start(&["--backend", "wgpu"]);
    let settings = server.settings();
    small::gives_the_metrics_of_flex(&settings.iter().map(String::as_str).collect::<Vec<_>>());
}

#[cfg(feature = "wgpu")]
#[test]
fn a_session_that_needs_too_much_gpu_memory_ends_alone() {
    let server = Server::start(&["--backend", "wgpu", "--gpu-memory", "1"]);
    let runs = TempDir::new().unwrap();
    let output = command(runs.path(), &server.settings(), &[]).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    failed(&small::stderr(&output), &["the server at", "is gone"]);
    server.tells("a session may take 1 MiB of GPU memory");
    let mut next = TcpStream::connect(&server.address).unwrap();
    next.write_all(b"GET /session HTTP/1.1\r\n").unwrap();
    let began = format!("of {} begins", next.local_addr().unwrap());
    server.tells(&began);

    // A bound that would bound nothing.
    let output = Command::new(program()).args(["--backend", "flex", "--gpu-memory", "1"]).output().unwrap();
    let told = small::stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("--gpu-memory bounds GPUs, and --backend flex lends none"), "{told}");
}

#[test]
fn what_is_wrong_with_the_address_the_token_or_the_device_is_told() {
    let server = Server::start(&[]);
    let set = |number: usize, setting: String| {
        let mut settings = server.settings();
        settings[number] = setting;
        settings
    };
    let wrong = server.folder.path().join("wrong");
    fs::write(&wrong, "0123\n").unwrap();
    let refuses = format!("the server at {} refuses the token", server.address);
    refused(&set(2, format!("backend.token_file={}", wrong.display())), &["backend.token_file=", &refuses]);
    refused(&server.settings()[..2], &[&refuses]);
    refused(&set(2, "backend.token_file=none".into()), &["backend.token_file=none", "none cannot be read"]);
    let mut other = server.settings();
    other.push("backend.device=3".into());
    refused(&other, &["backend.device=3", "has no device 3; the numbers go from 0 to 0"]);

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    refused(
        &set(1, format!("backend.address={nobody}")),
        &["backend.address=", "no server answers at", "start it there with `cargo xtask serve`"],
    );
    // Somebody else, who listens and never answers, and one who answers something else.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("backend.address={}", silent.local_addr().unwrap());
    refused(&set(1, address), &["does not answer within 10 seconds"]);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("backend.address={}", other.local_addr().unwrap());
    thread::spawn(move || {
        for stream in other.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(b"220 mail.example ESMTP\r\n"));
        }
    });
    refused(&set(1, address), &["no session with", "can be opened"]);

    // The only place is taken by one who goes on greeting.
    let server = Server::start(&["--sessions", "1"]);
    let mut taken = TcpStream::connect(&server.address).unwrap();
    taken.write_all(b"GET /session HTTP/1.1\r\n").unwrap();
    server.tells("begins");
    refused(&server.settings(), &["has as many sessions as it allows"]);
    drop(taken);
    server.tells("ended");
    files(&server.settings(), &[]);
}

#[test]
fn a_session_that_needs_too_much_memory_ends_alone() {
    let server = Server::start(&["--memory", "400"]);
    let runs = TempDir::new().unwrap();
    let began = Instant::now();
    let large = ["backbone.width=64", "train.batch_size=128"];
    let output = command(runs.path(), &server.settings(), &large).output().unwrap();
    assert!(began.elapsed() < 2 * PROMISED, "{:?}", began.elapsed());
    assert!(!output.status.success() && output.stdout.is_empty());
    failed(&small::stderr(&output), &["the server at", "is gone"]);
    server.tells("a session may take 400 MiB of memory");
    assert!(files(&server.settings(), &[]) == flex(&[]), "what comes after differs");
}

/// Batches of 32 are divided; what is left of an epoch, too, where it is even.
#[test]
fn two_servers_share_every_batch_and_one_that_is_killed_ends_the_run_which_then_goes_on() {
    let first = Server::start(&[]);
    let token = first.folder.clone();
    let mut second = Server::listen("127.0.0.1:0", token.clone(), &[]);
    let settings = first.settings_with(&[&second]);
    let expected = files(&settings, &["train.epochs=30"]);
    for server in [&first, &second] {
        server.tells(" begins");
    }
    assert!(expected != flex(&["train.epochs=30"]), "batch norm has normalised all of a batch");

    let (address, runs) = (second.address.clone(), TempDir::new().unwrap());
    let run = started(runs.path(), &settings);
    second.process.kill().unwrap();
    second.process.wait().unwrap();
    let again = OnceLock::new();
    let gone = format!("{} or {address} is gone", first.address);
    let reasons = [gone.as_str(), "the same command goes on"];
    ends_and_goes_on(runs.path(), run, &reasons, &expected, || {
        again.get_or_init(|| Server::listen(&address, token, &[]));
        settings.clone()
    });
}

/// One error among what a run has told, with all these parts.
fn failed(told: &str, parts: &[&str]) {
    let errors: Vec<_> = told.lines().filter(|line| line.starts_with("error: ")).collect();
    let [error] = errors[..] else { panic!("{told}") };
    assert!(parts.iter().all(|part| error.contains(part)), "not all of {parts:?}: {told}");
}

/// Phase 1 for seconds, kept at each step.
const LONG: [&str; 3] = ["train.epochs=30", "run.cache=true", "run.checkpoint_seconds=0"];

/// A long run, once it has trained for an epoch.
fn started(runs: &Path, settings: &[String]) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut command = command(runs, settings, &LONG);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("epoch 1 of") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "training begins");
    }
    (child, stderr)
}

/// The run ends in time with the error, and the same command then goes on to the bytes of a run that never stopped.
fn ends_and_goes_on(
    runs: &Path,
    (child, mut stderr): (Child, BufReader<std::process::ChildStderr>),
    reasons: &[&str],
    expected: &[Vec<u8>],
    settings: impl FnOnce() -> Vec<String>,
) {
    let began = Instant::now();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    assert!(began.elapsed() < PROMISED, "{:?}", began.elapsed());
    assert!(!status.success() && stdout.is_empty(), "{rest}");
    failed(&rest, reasons);
    let output = command(runs, &settings(), &LONG).output().unwrap();
    let told = small::stderr(&output);
    assert!(output.status.success() && told.contains("goes on in epoch"), "{told}");
    let found = read(runs);
    assert!(found[..3] == expected[..3], "the run that went on differs");
}

#[test]
fn a_server_that_is_killed_ends_the_run_which_then_goes_on() {
    let mut server = Server::start(&[]);
    let address = server.address.clone();
    let runs = TempDir::new().unwrap();
    let run = started(runs.path(), &server.settings());
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    // At the same address, with the same token, and so the same command.
    let token = server.folder.clone();
    let again = OnceLock::new();
    let expected = flex(&["train.epochs=30"]);
    ends_and_goes_on(runs.path(), run, &["is gone", "the same command goes on"], &expected, || {
        again.get_or_init(|| Server::listen(&address, token, &[])).settings()
    });
}

/// A network between client and server that can be cut: what was connected hears nothing more, and nothing connects.
struct Network {
    address: String,
    cut: Arc<AtomicBool>,
}

impl Network {
    fn at(address: &str, server: String) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        listener.set_nonblocking(true).unwrap();
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = cut.clone();
        thread::spawn(move || {
            while !is_cut.load(Ordering::Acquire) {
                let Ok((client, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                client.set_nonblocking(false).unwrap();
                let server = TcpStream::connect(&server).unwrap();
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let is_cut = is_cut.clone();
                    thread::spawn(move || carry(&from, &to, &is_cut));
                }
            }
        });
        Self { address, cut }
    }
}

fn carry(mut from: &TcpStream, mut to: &TcpStream, is_cut: &AtomicBool) {
    let mut bytes = [0; 1 << 16];
    loop {
        let length = from.read(&mut bytes).unwrap_or(0);
        while is_cut.load(Ordering::Acquire) {
            thread::sleep(Duration::from_secs(1));
        }
        if length == 0 || to.write_all(&bytes[..length]).is_err() {
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}

#[test]
fn a_network_that_is_cut_ends_the_run_which_then_goes_on() {
    let server = Server::start(&[]);
    let mut settings = server.settings();
    let network = Network::at("127.0.0.1:0", server.address.clone());
    settings[1] = format!("backend.address={}", network.address);
    let runs = TempDir::new().unwrap();
    let run = started(runs.path(), &settings);
    network.cut.store(true, Ordering::Release);
    let mended = OnceLock::new();
    let expected = flex(&["train.epochs=30"]);
    ends_and_goes_on(runs.path(), run, &["is gone", "the same command goes on"], &expected, || {
        mended.get_or_init(|| Network::at(&network.address, server.address.clone()));
        settings.clone()
    });
}
