//! A family: mixup and Remix.

use expanse_sampling::{
    Mixup, MixupParams, MixupParamsError, Remix, RemixParams, RemixParamsError, mixup, remix,
};
use expanse_sdk::{Error, Host, Output, Plugin, Report, Request, Sampler};

struct MixupSampler(Mixup);

impl Plugin for MixupSampler {
    const NAME: &'static str = "mixup";
    const SUMMARY: &'static str =
        "mixtures with any other sample, of the class with the greater share (Zhang et al., ICLR 2018)";
    type Options = MixupParams;

    fn new(options: MixupParams) -> Result<Self, Error> {
        let option = |error: &MixupParamsError| match error {
            MixupParamsError::Alpha { .. } => "alpha",
        };
        Mixup::try_from(options).map(Self).map_err(|error| Error::option(option(&error), error.to_string()))
    }
}

impl Sampler for MixupSampler {
    fn resample(&self, request: &Request<'_>, output: Output<'_>, host: &Host) -> Result<Report, Error> {
        Ok(mixup(request, &self.0, output, host)?)
    }
}

struct RemixSampler(Remix);

impl Plugin for RemixSampler {
    const NAME: &'static str = "remix";
    const SUMMARY: &'static str = "mixup whose label goes to the smaller class below a share of `tau` (Chou et al., ECCV workshops 2020)";
    type Options = RemixParams;

    fn new(options: RemixParams) -> Result<Self, Error> {
        let option = |error: &RemixParamsError| match error {
            RemixParamsError::Alpha { .. } => "alpha",
            RemixParamsError::Kappa { .. } => "kappa",
            RemixParamsError::Tau { .. } => "tau",
        };
        Remix::try_from(options).map(Self).map_err(|error| Error::option(option(&error), error.to_string()))
    }
}

impl Sampler for RemixSampler {
    fn resample(&self, request: &Request<'_>, output: Output<'_>, host: &Host) -> Result<Report, Error> {
        Ok(remix(request, &self.0, output, host)?)
    }
}

expanse_sdk::export_sampler!(MixupSampler, RemixSampler);
