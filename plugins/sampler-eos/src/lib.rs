//! Expansive Over-Sampling: convex combinations of minority samples and their nearest enemies.

use expanse_sampling::{Eos, EosParams, EosParamsError, eos};
use expanse_sdk::{Error, Host, Output, Plugin, Report, Request, Sampler};

struct EosSampler(Eos);

impl Plugin for EosSampler {
    const NAME: &'static str = "eos";
    const SUMMARY: &'static str = "convex combinations of minority samples and their nearest enemies (Dablain et al., arXiv 2207.06080)";
    type Options = EosParams;

    fn new(options: EosParams) -> Result<Self, Error> {
        let option = |error: &EosParamsError| match error {
            EosParamsError::KNeighbors => "k_neighbors",
            EosParamsError::RMax { .. } => "r_max",
        };
        Eos::try_from(options).map(Self).map_err(|error| Error::option(option(&error), error.to_string()))
    }
}

impl Sampler for EosSampler {
    fn resample(&self, request: &Request<'_>, output: Output<'_>, host: &Host) -> Result<Report, Error> {
        Ok(eos(request, &self.0, output, host)?)
    }
}

expanse_sdk::export_sampler!(EosSampler);
