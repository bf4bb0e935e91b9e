//! The process that listens: it lets in as many sessions as are allowed, and hands each to a worker.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};

use crate::{Arguments, error::ServerError, token};

/// How a session begins, whatever else comes after.
const GREETING: &[u8] = b"GET /session";
/// How long one who connects may take to greet.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client that says nothing may be out of reach before its session ends.
const SILENCE: Duration = Duration::from_secs(30);
/// Connections that have not greeted yet; more are turned away.
const STRANGERS: usize = 64;

const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Listens until the process is stopped.
pub(crate) fn serve(arguments: &Arguments) -> Result<(), ServerError> {
    let secret = if arguments.no_token { String::new() } else { token::of(&arguments.token_file)? };
    let failed = |source| ServerError::Listen { address: arguments.listen.clone(), source };
    let listener = TcpListener::bind(&arguments.listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    // A worker that cannot begin is told now and not to the first session.
    let devices = Worker::begin(&secret)?.devices.clone();
    let asks = match arguments.no_token {
        true => "asks for no token".to_owned(),
        false => format!("asks for the token in {}", arguments.token_file.display()),
    };
    eprintln!(
        "listening at {address}; lends {devices}; {asks}; at most {} sessions at a time",
        arguments.sessions
    );
    let gate = Arc::new(Gate {
        arguments: arguments.clone(),
        secret,
        sessions: AtomicUsize::new(0),
        strangers: AtomicUsize::new(0),
    });
    for (number, stream) in (1usize..).zip(listener.incoming()) {
        let gate = gate.clone();
        match stream {
            Ok(stream) => drop(thread::spawn(move || gate.receive(number, &stream))),
            // Too many open files, say: others end meanwhile.
            Err(error) => {
                eprintln!("a connection cannot be accepted: {error}");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
    Ok(())
}

struct Gate {
    arguments: Arguments,
    secret: String,
    sessions: AtomicUsize,
    strangers: AtomicUsize,
}

/// One of a limited number of places, free again when it is dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(taken: &'a AtomicUsize, most: usize) -> Option<Self> {
        let more = |count| (count < most).then_some(count + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Self(taken))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    /// One connection, from its first byte to its end. Errors of the connection end it; nobody is there to be told.
    fn receive(&self, number: usize, stream: &TcpStream) {
        let Some(stranger) = Place::take(&self.strangers, STRANGERS) else { return };
        let peer = stream.peer_addr().map_or_else(|_| "?".to_owned(), |peer| peer.to_string());
        match greeted(stream) {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => {
                eprintln!("{peer} asked for no session and was turned away");
                let _ = (&*stream).write_all(NOT_FOUND);
                return;
            }
        }
        let Some(_session) = Place::take(&self.sessions, self.arguments.sessions) else {
            eprintln!("{peer} asked for a session; there are {} and no more", self.arguments.sessions);
            let _ = (&*stream).write_all(FULL);
            return;
        };
        drop(stranger);
        eprintln!("session {number} of {peer} begins");
        let ended = Worker::begin(&self.secret).and_then(|mut worker| {
            worker.carry(stream)?;
            Ok(worker.end()?)
        });
        match ended {
            Ok(None) => eprintln!("session {number} of {peer} ended"),
            Ok(Some(status)) => {
                eprintln!("session {number} of {peer} failed: its worker ended with {status}{}", self.bound())
            }
            Err(error) => eprintln!("session {number} of {peer} failed: {error}"),
        }
    }

    /// What a worker may have run into.
    fn bound(&self) -> String {
        let bounds = [
            (self.arguments.memory, "memory"),
            #[cfg(any(feature = "wgpu", feature = "cuda"))]
            (self.arguments.gpu_memory, "GPU memory"),
        ];
        let bound = |(mib, of)| Some(format!("; a session may take {} MiB of {of}", mib?));
        bounds.into_iter().filter_map(bound).collect()
    }
}

/// Whether one who connects begins a session; `false` if the connection ends without a word, as it does for one who only
/// looks whether somebody listens.
fn greeted(stream: &TcpStream) -> io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut greeting = [0; GREETING.len()];
    // Peeking does not wait for all of it.
    for _ in 0..100 {
        let length = stream.peek(&mut greeting)?;
        if length == 0 {
            return Ok(false);
        }
        if !GREETING.starts_with(&greeting[..length]) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if length == GREETING.len() {
            stream.set_read_timeout(None)?;
            return Ok(true);
        }
        thread::sleep(PATIENCE / 100);
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// The process of a session.
struct Worker {
    process: Child,
    port: u16,
    /// What it lends.
    devices: String,
}

impl Worker {
    fn begin(secret: &str) -> Result<Self, ServerError> {
        let mut command = Command::new(env::current_exe()?);
        command.args(env::args_os().skip(1)).arg("--worker");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let told = (|| {
            // Its input stays open for as long as it may live.
            writeln!(process.stdin.as_mut()?, "{secret}").ok()?;
            let mut line = String::new();
            BufReader::new(process.stdout.take()?).read_line(&mut line).ok()?;
            Some(line.trim().to_owned())
        })();
        let told = told.unwrap_or_default();
        let parts = told.split_once(' ').and_then(|(port, devices)| Some((port.parse().ok()?, devices)));
        match parts {
            Some((port, devices)) => Ok(Self { process, port, devices: devices.into() }),
            None => {
                let status = Self { process, port: 0, devices: String::new() }.end()?;
                if !told.is_empty() {
                    return Err(ServerError::Told(told));
                }
                let status = status.map_or_else(|| "without a word".to_owned(), |status| status.to_string());
                Err(ServerError::Worker(io::Error::other(format!("it ended: {status}"))))
            }
        }
    }

    /// Carries bytes both ways until one side ends.
    fn carry(&mut self, client: &TcpStream) -> Result<(), ServerError> {
        let worker = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        for stream in [client, &worker] {
            stream.set_nodelay(true)?;
        }
        notice_silence(client)?;
        let both = |from: &TcpStream, to: &TcpStream| {
            let _ = io::copy(&mut &*from, &mut &*to);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        };
        thread::scope(|scope| {
            scope.spawn(|| both(client, &worker));
            both(&worker, client);
        });
        Ok(())
    }

    /// Ends the process, and answers how it had ended by itself, if it had.
    fn end(mut self) -> io::Result<Option<ExitStatus>> {
        // A worker that has just crashed may take a moment to be gone.
        thread::sleep(Duration::from_millis(200));
        let by_itself = self.process.try_wait()?.filter(|status| !status.success());
        self.process.kill()?;
        self.process.wait()?;
        Ok(by_itself)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Has the system end a connection whose other side is out of reach.
fn notice_silence(client: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(client);
    let beat = SILENCE / 3;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(beat).with_interval(beat))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(SILENCE))?;
    Ok(())
}
