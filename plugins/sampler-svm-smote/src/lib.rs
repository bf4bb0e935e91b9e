//! A family: SVM-SMOTE and SVM-balance.

use expanse_sampling_learned::{
    SvmBalance, SvmBalanceParams, SvmSmote, SvmSmoteParams, svm_balance, svm_smote,
};
use expanse_sdk::{Error, Host, Output, Plugin, Report, Request, Sampler};

struct SvmSmoteSampler(SvmSmote);

impl Plugin for SvmSmoteSampler {
    const NAME: &'static str = "svm-smote";
    const SUMMARY: &'static str =
        "SMOTE from the support vectors of a class, and away from them (Nguyen, Cooper, Kamei, IJKESDP 2011)";
    type Options = SvmSmoteParams;

    fn new(options: SvmSmoteParams) -> Result<Self, Error> {
        SvmSmote::try_from(options).map(Self).map_err(|error| Error::option(error.option, error.to_string()))
    }
}

impl Sampler for SvmSmoteSampler {
    fn resample(&self, request: &Request<'_>, output: Output<'_>, host: &Host) -> Result<Report, Error> {
        Ok(svm_smote(request, &self.0, output, host)?)
    }
}

struct SvmBalanceSampler(SvmBalance);

impl Plugin for SvmBalanceSampler {
    const NAME: &'static str = "svm-balance";
    const SUMMARY: &'static str =
        "rows of SMOTE that a support vector machine gives to their class (Farquad, Bose, DSS 53, 2012)";
    type Options = SvmBalanceParams;

    fn new(options: SvmBalanceParams) -> Result<Self, Error> {
        SvmBalance::try_from(options)
            .map(Self)
            .map_err(|error| Error::option(error.option, error.to_string()))
    }
}

impl Sampler for SvmBalanceSampler {
    fn resample(&self, request: &Request<'_>, output: Output<'_>, host: &Host) -> Result<Report, Error> {
        Ok(svm_balance(request, &self.0, output, host)?)
    }
}

expanse_sdk::export_sampler!(SvmSmoteSampler, SvmBalanceSampler);
