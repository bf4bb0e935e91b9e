//! Borderline-SMOTE 1 and 2: SMOTE from the samples that are in danger.

use expanse_sampling::{Borderline, BorderlineParams, borderline_smote};
use expanse_sdk::{Error, Host, Output, Plugin, Report, Request, Sampler};

struct BorderlineSampler(Borderline);

impl Plugin for BorderlineSampler {
    const NAME: &'static str = "borderline-smote";
    const SUMMARY: &'static str =
        "SMOTE from samples half surrounded by other classes, `kind` 1 or 2 (Han, Wang, Mao, ICIC 2005)";
    type Options = BorderlineParams;

    fn new(options: BorderlineParams) -> Result<Self, Error> {
        Borderline::try_from(options)
            .map(Self)
            .map_err(|error| Error::option(error.option, error.to_string()))
    }
}

impl Sampler for BorderlineSampler {
    fn resample(&self, request: &Request<'_>, output: Output<'_>, host: &Host) -> Result<Report, Error> {
        Ok(borderline_smote(request, &self.0, output, host)?)
    }
}

expanse_sdk::export_sampler!(BorderlineSampler);
