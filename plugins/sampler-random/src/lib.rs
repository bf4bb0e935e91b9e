//! Random over-sampling: copies, with optional scatter.

use expanse_sampling::{Random, RandomParams, RandomParamsError, random};
use expanse_sdk::{Error, Host, Output, Plugin, Report, Request, Sampler};

struct RandomSampler(Random);

impl Plugin for RandomSampler {
    const NAME: &'static str = "random";
    const SUMMARY: &'static str =
        "copies of samples, scattered by `shrinkage` where it is given (Menardi and Torelli, 2014)";
    type Options = RandomParams;

    fn new(options: RandomParams) -> Result<Self, Error> {
        let option = |error: &RandomParamsError| match error {
            RandomParamsError::Shrinkage { .. } => "shrinkage",
        };
        Random::try_from(options).map(Self).map_err(|error| Error::option(option(&error), error.to_string()))
    }
}

impl Sampler for RandomSampler {
    fn resample(&self, request: &Request<'_>, output: Output<'_>, host: &Host) -> Result<Report, Error> {
        Ok(random(request, &self.0, output, host)?)
    }
}

expanse_sdk::export_sampler!(RandomSampler);
