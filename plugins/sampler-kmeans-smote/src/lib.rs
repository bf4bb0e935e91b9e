//! k-means-SMOTE: SMOTE within clusters, more rows in the sparse ones.

use expanse_sampling_learned::{KmeansSmote, KmeansSmoteParams, kmeans_smote};
use expanse_sdk::{Error, Host, Output, Plugin, Report, Request, Sampler};

struct KmeansSmoteSampler(KmeansSmote);

impl Plugin for KmeansSmoteSampler {
    const NAME: &'static str = "kmeans-smote";
    const SUMMARY: &'static str =
        "SMOTE within clusters, more rows in the sparse ones (Douzas, Bacao, Last, Inf. Sciences 465, 2018)";
    type Options = KmeansSmoteParams;

    fn new(options: KmeansSmoteParams) -> Result<Self, Error> {
        KmeansSmote::try_from(options)
            .map(Self)
            .map_err(|error| Error::option(error.option, error.to_string()))
    }
}

impl Sampler for KmeansSmoteSampler {
    fn resample(&self, request: &Request<'_>, output: Output<'_>, host: &Host) -> Result<Report, Error> {
        Ok(kmeans_smote(request, &self.0, output, host)?)
    }
}

expanse_sdk::export_sampler!(KmeansSmoteSampler);
