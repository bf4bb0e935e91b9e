//! __NAME__: rows on the way from one sample of a class to another.
//!
//! This is an example that works. Put your own method in its place, and say here what it does.

use expanse_sdk::{Error, Host, Output, Plugin, Provenance, Report, Request, Sampler, options};

options! {
    /// Options of `__NAME__`.
    pub struct __TYPE__Options {
        /// How far at most a new row lies on the way to the other sample, in [0, 1].
        #[schemars(range(min = 0.0, max = 1.0))]
        pub share: f32 = 0.5,
    }
}

struct __TYPE__(__TYPE__Options);

impl Plugin for __TYPE__ {
    const NAME: &'static str = "__NAME__";
    const SUMMARY: &'static str = "rows on the way from one sample of a class to another";
    type Options = __TYPE__Options;

    fn new(options: __TYPE__Options) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&options.share) {
            let message = format!("a share of {} is not in 0 to 1", options.share);
            return Err(Error::option("share", message));
        }
        Ok(Self(options))
    }
}

impl Sampler for __TYPE__ {
    fn resample(&self, request: &Request<'_>, mut output: Output<'_>, host: &Host) -> Result<Report, Error> {
        // The rows of each class; a request that contradicts itself is refused here.
        let members = request.members(&output)?;
        let mut row = 0;
        for class in request.classes() {
            if host.cancelled() {
                return Err(Error::Cancelled);
            }
            for number in 0..request.wanted[class] {
                // A generator of its own for each row: what is drawn for one never moves another.
                let mut rng = request.seed.derive("__NAME__", &[class as u64, number]).rng();
                let base = members[class][rng.index(members[class].len())];
                let partner = members[class][rng.index(members[class].len())];
                let r = self.0.share * rng.unit_f32();
                let (from, to) = (request.features.row(base), request.features.row(partner));
                let source =
                    Provenance { base: base as u64, partner: partner as u64, partner_class: class as u32, r };
                output.write(row, &between(from, to, r), class as u32, source);
                row += 1;
            }
        }
        Ok(Report::default())
    }
}

/// from + r · (to − from)
fn between(from: &[f32], to: &[f32], r: f32) -> Vec<f32> {
    from.iter().zip(to).map(|(from, to)| from + r * (to - from)).collect()
}

expanse_sdk::export_sampler!(__TYPE__);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_between_their_sources() {
        assert_eq!(between(&[0.0, 4.0], &[2.0, 0.0], 0.25), [0.5, 3.0]);
        assert_eq!(between(&[1.0], &[9.0], 0.0), [1.0]);
    }

    #[test]
    fn a_share_out_of_range_is_refused() {
        assert!(__TYPE__::new(__TYPE__Options { share: 1.5 }).is_err());
        assert!(__TYPE__::new(__TYPE__Options::default()).is_ok());
    }
}
