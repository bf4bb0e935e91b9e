//! A session whose calls end even where the server is gone without a word.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        OnceLock,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use burn_remote::{RemoteBackend, RemoteDevice};
use expanse_sdk::{
    Error, Optimizer, Program, TensorData, TensorView,
    engine::{EngineError, Kind, Running, Session},
};

use crate::connect::Server;

/// While an answer is waited for, the server is looked for this often.
const BEAT: Duration = Duration::from_secs(5);
/// When it is missing so many times in a row it is taken for gone.
const MISSING: usize = 2;

type Call = Box<dyn FnOnce(&mut Session<RemoteBackend>) + Send>;

/// The session lives in a thread of its own, since burn waits without end for a server that a cut network hides.
pub(crate) struct Watched {
    calls: mpsc::Sender<Call>,
    server: Server,
    /// Why the server was taken for gone: no later call waits for it again.
    gone: OnceLock<String>,
}

impl Watched {
    pub fn new(server: Server, device: RemoteDevice, optimizer: Optimizer) -> Result<Self, Error> {
        let (calls, called) = mpsc::channel::<Call>();
        let work = move || {
            let mut session = Session::new(device, optimizer);
            for call in called {
                call(&mut session);
            }
        };
        thread::Builder::new().name("remote-session".into()).spawn(work).map_err(Error::internal)?;
        Ok(Self { calls, server, gone: OnceLock::new() })
    }

    fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session<RemoteBackend>) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        if let Some(reason) = self.gone.get() {
            return Err(self.gone(reason));
        }
        let (answer, answered) = mpsc::channel();
        let call = move |session: &mut Session<RemoteBackend>| {
            // Burn panics where it cannot ask the server; whoever waits is told by the channel's end.
            let worked = catch_unwind(AssertUnwindSafe(|| work(session)));
            if let Ok(result) = worked {
                // Nobody waits any more where the server was taken for gone.
                let _ = answer.send(result);
            }
        };
        self.calls.send(Box::new(call)).map_err(|_| self.gone("its session has ended"))?;
        let mut missing = 0;
        loop {
            match answered.recv_timeout(BEAT) {
                Ok(Err(EngineError::Device(reason))) => return Err(self.gone(&reason)),
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone("its session has ended")),
                Err(RecvTimeoutError::Timeout) => match self.server.reach() {
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
        EngineError::Device(format!(
            "the server at {} is gone ({reason}); when it is there again, the same command goes on from where phase 1 was \
             last kept",
            self.server.address()
        ))
    }
}

/// A tensor that may outlive its call, as it does where the server is given up.
struct Owned {
    name: String,
    shape: Vec<usize>,
    values: Values,
}

enum Values {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

fn owned(inputs: &[TensorView<'_>]) -> Vec<Owned> {
    let owned = |input: &TensorView<'_>| Owned {
        name: input.name.to_owned(),
        shape: input.shape.to_vec(),
        values: match input.data {
            TensorData::F32(values) => Values::F32(values.to_vec()),
            TensorData::I64(values) => Values::I64(values.to_vec()),
        },
    };
    inputs.iter().map(owned).collect()
}

fn views(inputs: &[Owned]) -> Vec<TensorView<'_>> {
    inputs.iter().map(Owned::view).collect()
}

impl Owned {
    fn view(&self) -> TensorView<'_> {
        let data = match &self.values {
            Values::F32(values) => TensorData::F32(values),
            Values::I64(values) => TensorData::I64(values),
        };
        TensorView { name: &self.name, shape: &self.shape, data }
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
        let inputs = owned(inputs);
        self.call(move |session| session.step(program, &views(&inputs), learning_rate))
    }

    fn losses(&mut self) -> Result<Vec<f32>, EngineError> {
        self.call(Session::losses)
    }

    fn forward(
        &mut self,
        program: usize,
        inputs: &[TensorView<'_>],
        outputs: &mut [(&str, &mut [f32])],
    ) -> Result<(), EngineError> {
        let inputs = owned(inputs);
        let wanted: Vec<_> = outputs.iter().map(|(name, values)| (name.to_string(), values.len())).collect();
        let given = self.call(move |session| {
            let mut given: Vec<_> =
                wanted.into_iter().map(|(name, values)| (name, vec![0.0; values])).collect();
            let mut outputs: Vec<_> =
                given.iter_mut().map(|(name, values)| (name.as_str(), values.as_mut_slice())).collect();
            session.forward(program, &views(&inputs), &mut outputs)?;
            Ok(given)
        })?;
        for ((_, values), (_, given)) in outputs.iter_mut().zip(given) {
            values.copy_from_slice(&given);
        }
        Ok(())
    }

    fn gradients(&mut self, program: usize, inputs: &[TensorView<'_>]) -> Result<Vec<u8>, EngineError> {
        let inputs = owned(inputs);
        self.call(move |session| session.gradients(program, &views(&inputs)))
    }
}
