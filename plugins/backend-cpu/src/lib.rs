//! The CPU in pure Rust: programs are compiled before they run.

use std::sync::{Mutex, PoisonError};

use expanse_cpu::{Convolutions, Isa, Session, Team, missing_operations};
use expanse_sdk::{Error, Host, Optimizer, Plugin, Program, Runtime, options};

options! {
    /// Options of `cpu`.
    pub struct CpuOptions {
        /// The instruction set: `auto` for the widest that the processor has, or one of `AVX-512`, `AVX2`, `portable`.
        pub instructions: String = "auto".into(),
        /// How 3×3 convolutions are computed: `direct`, or `winograd` with a quarter of the products, other errors of
        /// rounding, and a gain where an image has 16 channels or more.
        pub convolutions: String = "direct".into(),
    }
}

/// Its sessions share one team of threads, which is formed with the first of them.
struct CpuBackend {
    isa: Isa,
    convolutions: Convolutions,
    team: Mutex<Option<Team>>,
}

impl CpuBackend {
    fn team(&self, host: &Host) -> Result<Team, Error> {
        let mut team = self.team.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(team) = &*team {
            return Ok(team.clone());
        }
        let formed = Team::with_isa(host.threads(), self.isa).map_err(Error::internal)?;
        Ok(team.insert(formed).clone())
    }
}

impl Plugin for CpuBackend {
    const NAME: &'static str = "cpu";
    const SUMMARY: &'static str = "the CPU in pure Rust, compiled and fused for AVX-512, AVX2 or any other";
    type Options = CpuOptions;

    fn new(CpuOptions { instructions, convolutions }: CpuOptions) -> Result<Self, Error> {
        let available = Isa::available();
        let named = available.iter().find(|isa| isa.name().eq_ignore_ascii_case(&instructions));
        let isa = match named {
            Some(isa) => *isa,
            None if instructions == "auto" => Isa::detect(),
            None => {
                let names: Vec<_> = available.into_iter().map(Isa::name).collect();
                let message = format!(
                    "this processor has no instruction set `{instructions}`; use auto or one of {}",
                    names.join(", ")
                );
                return Err(Error::option("instructions", message));
            }
        };
        let known = Convolutions::ALL.into_iter().find(|known| known.name() == convolutions);
        let convolutions = known.ok_or_else(|| {
            let names = Convolutions::ALL.map(Convolutions::name).join(" or ");
            Error::option("convolutions", format!("`{convolutions}` is no way to convolve; use {names}"))
        })?;
        Ok(Self { isa, convolutions, team: Mutex::default() })
    }
}

impl Runtime for CpuBackend {
    type Session = Session;

    fn name(&self, host: &Host) -> Result<String, Error> {
        self.team(host)?;
        Ok(format!("CPU ({})", self.isa.name()))
    }

    fn missing_operations(&self, program: &Program, _: &Host) -> Result<Vec<String>, Error> {
        missing_operations(program).map_err(Error::input)
    }

    fn open_session(&self, optimizer: Optimizer, host: &Host) -> Result<Session, Error> {
        Ok(Session::new(self.team(host)?, optimizer).with_convolutions(self.convolutions))
    }
}

expanse_sdk::export_backend!(CpuBackend);
