use expanse_neighbors::{Index, Neighbors, Search, nearest};

use crate::{Meter, Note, Request, SamplingError, within::note_recall};

/// How many of the M samples nearest to some rows, among those of all classes, are enemies: of another class.
#[derive(Clone, Debug)]
pub struct Surroundings {
    enemies: Vec<usize>,
    m: usize,
}

impl Surroundings {
    /// Looks around the rows `samples` of `class`. M is lowered to the other samples where they are fewer, which is
    /// noted under the name of the option.
    ///
    /// # Errors
    ///
    /// The caller cancelled.
    pub fn of(
        request: &Request<'_>,
        (class, samples): (usize, &[usize]),
        (option, asked, index): (&str, usize, Index),
        meter: &Meter<'_>,
        notes: &mut Vec<Note>,
    ) -> Result<Self, SamplingError> {
        let Some(neighbors) =
            nearest_of_all(request, (class, samples), (option, asked, index), meter, notes)?
        else {
            return Ok(Self { enemies: vec![0; samples.len()], m: 0 });
        };
        let m = neighbors.k();
        let is_enemy = |&&row: &&u32| request.labels[row as usize] as usize != class;
        let enemies = |sample| neighbors.row(sample).iter().filter(is_enemy).count();
        Ok(Self { enemies: (0..samples.len()).map(enemies).collect(), m })
    }

    /// The enemies among the M nearest of each sample.
    pub fn enemies(&self) -> &[usize] {
        &self.enemies
    }

    /// Whether half or more of the neighbours of sample number `sample`, but not all, are enemies.
    pub fn in_danger(&self, sample: usize) -> bool {
        2 * self.enemies[sample] >= self.m && self.enemies[sample] < self.m
    }

    /// Whether all neighbours of sample number `sample` are enemies.
    pub fn is_noise(&self, sample: usize) -> bool {
        self.enemies[sample] == self.m && self.m > 0
    }
}

/// The samples nearest to the rows `samples` of `class`, among those of all classes: as many as asked, or all others
/// where they are fewer, which is noted under the name of the option; `None` where there are no others.
pub(crate) fn nearest_of_all(
    request: &Request<'_>,
    (class, samples): (usize, &[usize]),
    (option, asked, index): (&str, usize, Index),
    meter: &Meter<'_>,
    notes: &mut Vec<Note>,
) -> Result<Option<Neighbors>, SamplingError> {
    let others = request.features.rows() - 1;
    let count = asked.min(others);
    if count < asked {
        let message =
            format!("{option} was lowered from {asked} to {count}: there are {} samples in all", others + 1);
        notes.push(Note::new(class, message));
    }
    if count == 0 {
        return Ok(None);
    }
    let watch = |answered| meter.watch(answered);
    let search = Search { index, watch: &watch, ..Search::of(request.features) };
    let neighbors = nearest(&search, samples, count)?;
    notes.extend(note_recall(&neighbors, 0..samples.len(), class));
    Ok(Some(neighbors))
}
