//! SMOTE: convex combinations of a sample and its neighbours of the same class.

use expanse_sampling::{Smote, SmoteParams, SmoteParamsError, smote};
use expanse_sdk::{Error, Host, Output, Plugin, Report, Request, Sampler};

struct SmoteSampler(Smote);

impl Plugin for SmoteSampler {
    const NAME: &'static str = "smote";
    const SUMMARY: &'static str =
        "convex combinations of samples and neighbours of the same class (Chawla et al., JAIR 2002)";
    type Options = SmoteParams;

    fn new(options: SmoteParams) -> Result<Self, Error> {
        let option = |error: &SmoteParamsError| match error {
            SmoteParamsError::KNeighbors => "k_neighbors",
        };
        Smote::try_from(options).map(Self).map_err(|error| Error::option(option(&error), error.to_string()))
    }
}

impl Sampler for SmoteSampler {
    fn resample(&self, request: &Request<'_>, output: Output<'_>, host: &Host) -> Result<Report, Error> {
        Ok(smote(request, &self.0, output, host)?)
    }
}

expanse_sdk::export_sampler!(SmoteSampler);
