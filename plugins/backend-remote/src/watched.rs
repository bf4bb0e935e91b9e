//! A session whose calls end even where the server is gone without a word.

use std::{
    sync::{OnceLock, mpsc::RecvTimeoutError},
    time::Duration,
};

use burn_remote::RemoteBackend;
use expanse_sdk::{
    Error, Program, TensorView,
    engine::{EngineError, Kind, Owned, Parallel, Running, Worker, forward_owned},
};

use crate::connect::Server;

/// While an answer is waited for, the server is looked for this often.
const BEAT: Duration = Duration::from_secs(5);
/// When it is missing so many times in a row it is taken for gone.
const MISSING: usize = 2;

/// The session lives in a thread of its own, since burn waits without end for a server that a cut network hides.
pub(crate) struct Watched {
    session: Worker<Parallel<RemoteBackend>>,
    servers: Vec<Server>,
    /// Why a server was taken for gone: no later call waits for it again.
    gone: OnceLock<String>,
}

impl Watched {
    pub fn new(servers: Vec<Server>, session: Parallel<RemoteBackend>) -> Result<Self, Error> {
        let session = Worker::begin("remote-session", session).map_err(Error::internal)?;
        Ok(Self { session, servers, gone: OnceLock::new() })
    }

    fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Parallel<RemoteBackend>) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        if let Some(reason) = self.gone.get() {
            return Err(self.gone(reason));
        }
        let answered = self.session.call(work);
        let mut missing = 0;
        loop {
            match answered.recv_timeout(BEAT) {
                Ok(Err(EngineError::Device(reason))) => return Err(self.gone(&reason)),
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone("its session has ended")),
                Err(RecvTimeoutError::Timeout) => match self.servers.iter().try_for_each(Server::reach) {
                    Ok(()) => missing = 0,
                    Err(reason) => {
                        missing += 1;
                        if missing == MISSING {
                            return Err(self.gone(&reason));
                        }
                    }
                },
            }
        }
    }

    fn gone(&self, reason: &str) -> EngineError {
        let reason = self.gone.get_or_init(|| reason.to_owned());
        let addresses: Vec<_> = self.servers.iter().map(Server::address).collect();
        EngineError::Device(format!(
            "the server at {} is gone ({reason}); when it is there again, the same command goes on from where phase 1 was \
             last kept",
            addresses.join(" or ")
        ))
    }
}

impl Running for Watched {
    fn load(&mut self, programs: &[Program]) -> Result<usize, EngineError> {
        let programs = programs.to_vec();
        self.call(move |session| session.load(&programs))
    }

    fn import(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), EngineError> {
        let bytes = bytes.to_vec();
        self.call(move |session| session.import(kind, &bytes))
    }

    fn export(&self, kind: Kind) -> Result<Vec<u8>, EngineError> {
        self.call(move |session| session.export(kind))
    }

    fn step(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        learning_rate: f64,
    ) -> Result<(), EngineError> {
        let inputs = Owned::all(inputs);
        self.call(move |session| session.step(program, &Owned::views(&inputs), learning_rate))
    }

    fn losses(&mut self) -> Result<Vec<f32>, EngineError> {
        self.call(Running::losses)
    }

    fn forward(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        outputs: &mut [(&str, &mut [f32])],
    ) -> Result<(), EngineError> {
        let inputs = Owned::all(inputs);
        let sizes: Vec<_> = outputs.iter().map(|(name, values)| (name.to_string(), values.len())).collect();
        let given =
            self.call(move |session| forward_owned(session, program, &Owned::views(&inputs), &sizes))?;
        for ((_, values), given) in outputs.iter_mut().zip(given) {
            values.copy_from_slice(&given);
        }
        Ok(())
    }

    fn gradients(&mut self, program: usize, inputs: &[TensorView<'_>]) -> Result<Vec<u8>, EngineError> {
        let inputs = Owned::all(inputs);
        self.call(move |session| session.gradients(program, &Owned::views(&inputs)))
    }
}
