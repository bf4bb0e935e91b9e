//! A device of another machine: the engine on burn's `remote` backend, whose server is `cargo xtask serve`.

mod connect;
mod watched;

use std::{iter, path::PathBuf};

use expanse_sdk::{
    Error, Host, OneOrMore, Optimizer, Plugin, Program, Runtime,
    engine::{self, Parallel, Session},
    options,
};

use connect::Server;
use watched::Watched;

options! {
    /// Options of `remote`.
    pub struct RemoteOptions {
        /// Where the server listens: HOST:PORT, as `cargo xtask serve` tells it; or a list of such, and each has an equal part
        /// of every batch.
        pub address: OneOrMore<String> = OneOrMore::One("127.0.0.1:7341".into()),
        /// File with the token that the server asks for: the one that `cargo xtask serve` has written, or a copy of it.
        pub token_file: PathBuf = PathBuf::new(),
        /// Number of the device, from 0, in the server's list; or a list of such, and each, of every server, has an equal part
        /// of every batch.
        pub device: OneOrMore<usize> = OneOrMore::One(0),
    }
}

/// Bytes of images that may stay on a server. It does not tell what it has; what it may take is bounded there.
const KEEPS: u64 = 1 << 30;

/// The first device, and those that share every batch with it.
struct RemoteBackend(Server, Vec<Server>);

impl Plugin for RemoteBackend {
    const NAME: &'static str = "remote";
    const SUMMARY: &'static str = "a device of another machine, by burn-remote";
    type Options = RemoteOptions;

    fn new(options: RemoteOptions) -> Result<Self, Error> {
        let mut servers = Server::all(options);
        Ok(Self(servers.remove(0), servers))
    }
}

impl RemoteBackend {
    fn servers(&self) -> impl Iterator<Item = &Server> {
        iter::once(&self.0).chain(&self.1)
    }
}

impl Runtime for RemoteBackend {
    type Session = Watched;

    fn name(&self, _: &Host) -> Result<String, Error> {
        let mut names = Vec::new();
        for server in self.servers() {
            server.connect()?;
            names.push(server.to_string());
        }
        Ok(format!("{} (burn-remote)", names.join(" + ")))
    }

    fn devices(&self, _: &Host) -> Result<usize, Error> {
        Ok(self.servers().count())
    }

    fn keeps(&self, _: &Host) -> Result<Option<u64>, Error> {
        Ok(Some(KEEPS))
    }

    fn missing_operations(&self, program: &Program, _: &Host) -> Result<Vec<String>, Error> {
        let device = self.0.connect()?;
        engine::missing_operations::<burn_remote::RemoteBackend>(program, &device).map_err(Error::input)
    }

    fn open_session(&self, optimizer: Optimizer, _: &Host) -> Result<Watched, Error> {
        let open = |server: &Server| Ok(Session::new(server.connect()?, optimizer));
        let others = self.1.iter().map(open).collect::<Result<Vec<_>, Error>>()?;
        let session = Parallel::new(open(&self.0)?, others).map_err(Error::internal)?;
        Watched::new(self.servers().cloned().collect(), session)
    }
}

expanse_sdk::export_backend!(RemoteBackend);
