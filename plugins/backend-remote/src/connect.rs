//! How the server is reached.

use std::{
    fmt, fs,
    net::{TcpStream, ToSocketAddrs},
    path::PathBuf,
    sync::mpsc,
    thread,
    time::Duration,
};

use burn_remote::{ConnectError, HostSpec, RemoteDevice};
use expanse_sdk::Error;

use crate::RemoteOptions;

/// How long a server may take to open a session.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the system of a server may take to answer at all.
const REACH: Duration = Duration::from_secs(5);

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device {} of {}", self.device, self.address)
    }
}

/// A server, and which of its devices is meant.
#[derive(Clone)]
pub(crate) struct Server {
    address: String,
    token_file: PathBuf,
    device: usize,
}

impl Server {
    /// Each device of each address.
    pub fn all(RemoteOptions { address, token_file, device }: RemoteOptions) -> Vec<Self> {
        let all = address.as_slice().iter().flat_map(|address| {
            let address = address.trim_start_matches("ws://");
            let of = |&device| Self { address: address.to_owned(), token_file: token_file.clone(), device };
            device.as_slice().iter().map(of).collect::<Vec<_>>()
        });
        all.collect()
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether somebody listens there. What listens sees a connection that ends at once.
    pub fn reach(&self) -> Result<(), String> {
        let addresses = self.address.to_socket_addrs().map_err(|error| error.to_string())?;
        let mut last = "the name has no address".to_owned();
        for address in addresses {
            match TcpStream::connect_timeout(&address, REACH) {
                Ok(_) => return Ok(()),
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    }

    /// Opens the session with the device. All instances of a process share it, and a second call finds it open.
    pub fn connect(&self) -> Result<RemoteDevice, Error> {
        let address = &self.address;
        self.reach().map_err(|error| {
            Error::option(
                "address",
                format!(
                    "no server answers at {address}: {error}; start it there with `cargo xtask serve`, or name another \
                     address"
                ),
            )
        })?;
        let token = self.token()?;
        let host = HostSpec::websocket(&format!("ws://{address}")).with_credential(token);
        // Whoever listens there may never answer.
        let (sender, connected) = mpsc::channel();
        let device = self.device;
        thread::spawn(move || sender.send(host.connect(device)));
        match connected.recv_timeout(PATIENCE) {
            Ok(connected) => connected.map_err(|error| self.refused(error)),
            Err(_) => Err(Error::option(
                "address",
                format!(
                    "{address} does not answer within {} seconds; it may be no server of `cargo xtask serve`",
                    PATIENCE.as_secs()
                ),
            )),
        }
    }

    fn token(&self) -> Result<String, Error> {
        if self.token_file.as_os_str().is_empty() {
            return Ok(String::new());
        }
        let token = fs::read_to_string(&self.token_file).map_err(|error| {
            Error::option("token_file", format!("{} cannot be read: {error}", self.token_file.display()))
        })?;
        Ok(token.trim().to_owned())
    }

    fn refused(&self, error: ConnectError) -> Error {
        let address = &self.address;
        match error {
            ConnectError::Unauthorized => Error::option(
                "token_file",
                format!(
                    "the server at {address} refuses the token; copy the file that its `cargo xtask serve` names, and \
                     name the copy here"
                ),
            ),
            ConnectError::NoSuchDevice { device_count } => Error::option(
                "device",
                format!(
                    "the server at {address} has no device {}; the numbers go from 0 to {}",
                    self.device,
                    device_count.saturating_sub(1)
                ),
            ),
            ConnectError::Unreachable { reason } if reason.contains("503") => Error::input(format!(
                "the server at {address} has as many sessions as it allows; wait for one to end, or start it with a \
                 larger --sessions"
            )),
            other => Error::option("address", format!("no session with {address} can be opened: {other}")),
        }
    }
}
