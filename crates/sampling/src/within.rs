use std::ops::Range;

use expanse_neighbors::{Index, Neighbors, Search, nearest};

use crate::{Base, Meter, Note, Request, SamplingError};

/// The neighbourhood within a class, from which SMOTE and its relatives take their partners.
#[derive(Clone, Copy, Debug)]
pub struct Within {
    /// The sampler, for messages.
    pub sampler: &'static str,
    /// The name of the option, for messages.
    pub option: &'static str,
    /// K, the neighbours asked for.
    pub k_neighbors: usize,
    /// How they are searched.
    pub index: Index,
}

impl Within {
    /// The rows `samples` of a class, each with its K nearest among the rows `members` of the class, itself excluded
    /// by row number. K is lowered to the other members where they are fewer, which is noted.
    ///
    /// # Errors
    ///
    /// [`SamplingError::SingleSample`] for fewer than two members, or the caller cancelled.
    pub fn bases(
        &self,
        request: &Request<'_>,
        (class, members, samples): (usize, &[usize], &[usize]),
        meter: &Meter<'_>,
        notes: &mut Vec<Note>,
    ) -> Result<Vec<Base>, SamplingError> {
        if members.len() < 2 {
            return Err(SamplingError::SingleSample { class: class as u32, sampler: self.sampler });
        }
        let (asked, k) = (self.k_neighbors, self.k_neighbors.min(members.len() - 1));
        if k < asked {
            let message =
                format!("{} was lowered from {asked} to {k}: the class has {} samples", self.option, k + 1);
            notes.push(Note::new(class, message));
        }
        let watch = |answered| meter.watch(answered);
        let (candidates, index) = (Some(members), self.index);
        let search = Search { candidates, index, watch: &watch, ..Search::of(request.features) };
        let neighbors = nearest(&search, samples, k)?;
        notes.extend(note_recall(&neighbors, 0..samples.len(), class));
        Ok(bases(samples, &neighbors))
    }
}

/// What is to say of neighbours that were not searched exactly: the queries of these places are samples of that class.
pub(crate) fn note_recall(neighbors: &Neighbors, queries: Range<usize>, class: usize) -> Option<Note> {
    let recall = neighbors.recall(queries)?;
    let (share, queries) = (recall.share(), recall.queries);
    let message = format!(
        "neighbors are approximate: of the {} nearest to each of {queries} samples, a share of {share:.3} was found",
        neighbors.k()
    );
    Some(Note::new(class, message))
}

/// The rows `samples`, each with its neighbours as partners.
pub fn bases(samples: &[usize], neighbors: &Neighbors) -> Vec<Base> {
    let base = |(place, &row): (usize, &usize)| Base { row, partners: neighbors.row(place).to_vec() };
    samples.iter().enumerate().map(base).collect()
}
