//! Over-sampling of a feature matrix: [`random()`], [`smote()`], [`borderline_smote()`], [`adasyn()`], [`mixup()`],
//! [`remix()`] and [`eos()`].
//!
//! Every sampler takes a [`Request`] (features, labels, how many rows to make of each class), its own checked
//! parameters, an [`Output`] that the caller has allocated and a [`Control`], and answers with a [`Report`].
//! The rows come out by class, in ascending order of labels, in exactly the numbers wanted; each carries its
//! provenance. Block `b` of class `c`, of 512 rows, draws from `seed.derive(sampler, &[c, b])`, so that the same seed
//! gives the same bytes on any number of threads, and what is made of one class never depends on what is made of
//! another.
//!
//! What the samplers are made of is there for others: [`fill_steps`] and [`fill`] meet the counts, derive the
//! generators and use all cores; [`Within`] and [`Surroundings`] are the two kinds of neighbourhood, [`apportion`]
//! divides rows, [`Meter`] reports progress.
//!
//! [`audit()`] looks at rows that any sampler has made.
//!
//! After an error the output holds anything.

mod adasyn;
mod apportion;
mod audit;
mod borderline;
mod control;
mod draws;
mod eos;
mod error;
mod fill;
mod mixing;
mod output;
mod random;
mod request;
mod smote;
mod surroundings;
mod within;

pub use adasyn::{Adasyn, AdasynParams, AdasynParamsError, adasyn};
pub use apportion::apportion;
pub use audit::{ClassAudit, Made, audit};
pub use borderline::{Borderline, BorderlineKind, BorderlineParams, BorderlineParamsError, borderline_smote};
pub use control::{Control, Meter, Note, Report, Unattended};
pub use draws::{draw_rows, gaussian, symmetric_beta};
pub use eos::{EnemyWeights, Eos, EosParams, EosParamsError, eos};
pub use error::SamplingError;
pub use expanse_neighbors::Index;
pub use fill::{Base, Place, Step, fill, fill_between, fill_steps};
pub use mixing::{Mixup, MixupParams, MixupParamsError, Remix, RemixParams, RemixParamsError, mixup, remix};
pub use output::{Output, OutputError};
pub use random::{Random, RandomParams, RandomParamsError, random};
pub use request::Request;
pub use smote::{Smote, SmoteParams, SmoteParamsError, smote};
pub use surroundings::Surroundings;
pub use within::Within;

#[cfg(test)]
mod tests;
