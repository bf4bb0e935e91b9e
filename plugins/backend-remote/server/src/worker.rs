//! The process of one session.

use std::{
    io::{self, BufRead, Read, Write},
    net::{Ipv4Addr, TcpListener},
    process, thread,
};

use burn_flex::Flex;
use burn_remote::{
    ir::BackendIr,
    server::{BackendServer, TokenAuthorizer, WebSocketTransport},
};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    Arguments, Lent,
    devices::{self, Named},
    error::ServerError,
};

/// Reads the token from its input, tells its port and its devices, and serves there until its input ends, as it does with
/// the process that began it.
pub(crate) fn serve(arguments: &Arguments) -> Result<(), ServerError> {
    let mut token = String::new();
    io::stdin().lock().read_line(&mut token)?;
    thread::spawn(|| {
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        process::exit(0);
    });
    if let Some(mib) = arguments.memory {
        bound(mib.saturating_mul(1 << 20))?;
    }
    // Otherwise burn would log to the output.
    let log = fmt::layer().with_writer(io::stderr).with_ansi(false).without_time().with_target(false);
    // burn warns of each kernel that it tries and a GPU cannot run.
    let levels = Targets::new().with_default(LevelFilter::WARN);
    let levels = levels.with_target("cubecl_common::device::handle", LevelFilter::ERROR);
    tracing_subscriber::registry().with(log).with(levels).init();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let server = Server { token: token.trim().to_owned(), listener };
    match arguments.backend {
        Lent::Flex => server.lend::<Flex>(devices::flex()),
        #[cfg(feature = "wgpu")]
        Lent::Wgpu => {
            server.lend::<burn_wgpu::Wgpu>(devices::bounded(devices::wgpu()?, arguments.gpu_memory))
        }
        #[cfg(feature = "cuda")]
        Lent::Cuda => {
            server.lend::<burn_cuda::Cuda>(devices::bounded(devices::cuda()?, arguments.gpu_memory))
        }
    }
}

struct Server {
    token: String,
    listener: TcpListener,
}

impl Server {
    /// Tells its port and its devices, and serves them.
    fn lend<B: BackendIr>(self, devices: Vec<Named<B::Device>>) -> Result<(), ServerError> {
        let (devices, names): (Vec<_>, Vec<_>) = devices.into_iter().unzip();
        writeln!(io::stdout(), "{} {}", self.listener.local_addr()?.port(), names.join(", "))?;
        let mut server = BackendServer::<B>::new(devices);
        if let Ok(authorizer) = TokenAuthorizer::new(self.token) {
            server = server.with_authorizer(authorizer);
        }
        let served = server.serve(WebSocketTransport::from_listener(self.listener));
        served.map_err(|error| ServerError::Serve(error.to_string()))
    }
}

/// Bounds the memory that this process may take for itself; what asks for more ends it.
#[cfg(unix)]
fn bound(bytes: u64) -> Result<(), ServerError> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::Data, limit).map_err(|_| ServerError::Memory)
}

#[cfg(not(unix))]
fn bound(_: u64) -> Result<(), ServerError> {
    Err(ServerError::Memory)
}
