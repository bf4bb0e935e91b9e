//! ADASYN: SMOTE with more rows from samples that more enemies surround.

use expanse_sampling::{Adasyn, AdasynParams, AdasynParamsError, adasyn};
use expanse_sdk::{Error, Host, Output, Plugin, Report, Request, Sampler};

struct AdasynSampler(Adasyn);

impl Plugin for AdasynSampler {
    const NAME: &'static str = "adasyn";
    const SUMMARY: &'static str =
        "SMOTE with more rows from samples that more enemies surround (He, Bai, Garcia, Li, IJCNN 2008)";
    type Options = AdasynParams;

    fn new(options: AdasynParams) -> Result<Self, Error> {
        let option = |error: &AdasynParamsError| match error {
            AdasynParamsError::NNeighbors => "n_neighbors",
        };
        Adasyn::try_from(options).map(Self).map_err(|error| Error::option(option(&error), error.to_string()))
    }
}

impl Sampler for AdasynSampler {
    fn resample(&self, request: &Request<'_>, output: Output<'_>, host: &Host) -> Result<Report, Error> {
        Ok(adasyn(request, &self.0, output, host)?)
    }
}

expanse_sdk::export_sampler!(AdasynSampler);
