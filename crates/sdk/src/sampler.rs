use expanse_abi::{
    Fallible, SamplerBox,
    abi_stable::{erased_types::TD_Opaque, std_types::RString},
};
use expanse_abi::{SampleOutput, SampleRequest, SamplerObject, SamplerObject_TO, SyntheticSource};
use expanse_domain::{MatrixView, Provenance, Seed};
use expanse_sampling::{Output, Report, Request};

use crate::{Error, Host, Plugin, export::Member, guard::Guarded};

/// Makes synthetic rows for classes that have too few.
pub trait Sampler: Plugin {
    /// Fills all of `output`: for every class exactly as many rows as `request.wanted` says.
    ///
    /// The same request and seed must give the same bytes, whatever the number of threads.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] where the counts cannot be met, naming the class; [`Error::Cancelled`] soon after the
    /// host asks to stop.
    fn resample(&self, request: &Request<'_>, output: Output<'_>, host: &Host) -> Result<Report, Error>;
}

struct Object<S>(Guarded<S>);

impl<S: Sampler> SamplerObject for Object<S> {
    fn resample(&self, request: SampleRequest<'_>, mut output: SampleOutput<'_>) -> Fallible<RString> {
        self.0.call(|sampler| {
            let matrix = request.features;
            let features = MatrixView::new(matrix.data.into(), matrix.rows, matrix.cols, matrix.stride)
                .map_err(Error::input)?;
            let view = Request {
                features,
                labels: request.labels.into(),
                wanted: request.wanted.into(),
                seed: Seed(request.seed),
            };
            let mut provenance = vec![Provenance::default(); output.sources.len()];
            let (cols, stride) = (output.features.cols, output.features.stride);
            let features = output.features.data.as_mut_slice();
            let target = Output::new(features, cols, stride, output.labels.as_mut_slice(), &mut provenance)
                .map_err(Error::input)?;
            let report = sampler.resample(&view, target, &Host::new())?;
            for (to, from) in output.sources.as_mut_slice().iter_mut().zip(provenance) {
                let Provenance { base, partner, partner_class, r } = from;
                *to = SyntheticSource { base, partner, partner_class, r };
            }
            Ok(serde_json::to_string(&report).map_err(Error::internal)?.into())
        })
    }
}

impl Member<SamplerBox> {
    /// A sampler of a library.
    pub fn sampler<S: Sampler>() -> Self {
        Self::new::<S>(|json| {
            crate::export::instance::<S, SamplerBox>(json, |sampler| {
                SamplerObject_TO::from_value(Object(Guarded::new(sampler)), TD_Opaque)
            })
        })
    }
}

crate::export::kind!(sampler_root, SamplerRoot, SamplerRoot_Ref, SamplerBox, None);
