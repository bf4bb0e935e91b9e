//! A device of another machine: the engine on burn's `remote` backend, whose server is `cargo xtask serve`.

mod connect;
mod watched;

use std::path::PathBuf;

use expanse_sdk::{Error, Host, Optimizer, Plugin, Program, Runtime, engine, options};

use connect::Server;
use watched::Watched;

options! {
    /// Options of `remote`.
    pub struct RemoteOptions {
        /// Where the server listens: HOST:PORT, as `cargo xtask serve` tells it.
        pub address: String = "127.0.0.1:7341".into(),
        /// File with the token that the server asks for: the one that `cargo xtask serve` has written, or a copy of it.
        pub token_file: PathBuf = PathBuf::new(),
        /// Number of the device, from 0, in the server's list.
        pub device: usize = 0,
    }
}

struct RemoteBackend(Server);

impl Plugin for RemoteBackend {
    const NAME: &'static str = "remote";
    const SUMMARY: &'static str = "a device of another machine, by burn-remote";
    type Options = RemoteOptions;

    fn new(options: RemoteOptions) -> Result<Self, Error> {
        Ok(Self(Server::new(options)))
    }
}

impl Runtime for RemoteBackend {
    type Session = Watched;

    fn name(&self, _: &Host) -> Result<String, Error> {
        self.0.connect()?;
        Ok(format!("device {} of {} (burn-remote)", self.0.device(), self.0.address()))
    }

    fn missing_operations(&self, program: &Program, _: &Host) -> Result<Vec<String>, Error> {
        let device = self.0.connect()?;
        engine::missing_operations::<burn_remote::RemoteBackend>(program, &device).map_err(Error::input)
    }

    fn open_session(&self, optimizer: Optimizer, _: &Host) -> Result<Watched, Error> {
        Watched::new(self.0.clone(), self.0.connect()?, optimizer)
    }
}

expanse_sdk::export_backend!(RemoteBackend);
