use crate::rounding::snap;
use expanse_domain::ClassCounts;

/// How many samples each class keeps, so that a balanced data set becomes an imbalanced one.
///
/// With K classes and n_max samples in the largest:
///
/// | profile | samples of class c |
/// |---|---|
/// | `natural` | all there are |
/// | `exponential` | ⌊n_max · ratio^(−c/(K−1))⌋ |
/// | `step` | n_max for c < ⌊K/2⌋, else ⌊n_max / ratio⌋ |
/// | `counts` | as listed |
///
/// Source: Cui, Jia, Lin, Song, Belongie, *Class-Balanced Loss Based on Effective Number of Samples*
/// (exponential); Buda, Maki, Mazurowski, *A systematic study of the class imbalance problem* (step).
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Profile {
    /// Every sample of every class.
    #[default]
    Natural,
    /// From n_max in the first class down to n_max / ratio in the last, by a constant factor.
    Exponential {
        /// Size of the largest class over that of the smallest, at least 1.
        ratio: f64,
    },
    /// Half of the classes (rounded down) with n_max, the others with n_max / ratio.
    Step {
        /// Size of the larger classes over that of the smaller, at least 1.
        ratio: f64,
    },
    /// One count for each class.
    Counts(Vec<u64>),
}

/// Why a profile cannot be read, or cannot be met by the samples there are.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProfileError {
    /// No profile has this name.
    #[error("`{name}` is not a profile; use one of {}", Profile::NAMES.join(", "))]
    Unknown {
        /// The name given.
        name: String,
    },
    /// The profile needs a value that was not given.
    #[error("profile `{profile}` needs `{missing}`; set it")]
    Missing {
        /// The profile.
        profile: &'static str,
        /// The value it needs.
        missing: &'static str,
    },
    /// The ratio is below 1 or not finite.
    #[error(
        "an imbalance ratio of {ratio} does not exist; it is largest over smallest class, a finite number of at least 1"
    )]
    Ratio {
        /// The ratio given.
        ratio: f64,
    },
    /// The list of counts has the wrong length.
    #[error("{given} counts for {classes} classes; give one count for each class")]
    Length {
        /// Counts given.
        given: usize,
        /// Classes of the data set.
        classes: usize,
    },
    /// The profile leaves nothing of a class.
    #[error(
        "class {class} would keep no sample where the largest class has {largest} and the ratio is {ratio}; lower the ratio or raise the size of the largest class"
    )]
    Empty {
        /// The class.
        class: usize,
        /// Samples of the largest class.
        largest: u64,
        /// The ratio asked for.
        ratio: f64,
    },
    /// A class has fewer samples than the profile asks for.
    #[error(
        "class {class} has {have} samples and the profile asks for {wanted}; lower the size of the largest class or list `counts`"
    )]
    Short {
        /// The class.
        class: usize,
        /// Samples it has.
        have: u64,
        /// Samples asked for.
        wanted: u64,
    },
}

impl Profile {
    /// The names that [`Profile::parse`] reads.
    pub const NAMES: [&str; 4] = ["natural", "exponential", "step", "counts"];

    /// The profile called `name`. `ratio` is read by `exponential` and `step` only, `counts` by `counts` only.
    ///
    /// # Errors
    ///
    /// [`ProfileError::Unknown`], [`ProfileError::Missing`] and [`ProfileError::Ratio`].
    pub fn parse(name: &str, ratio: Option<f64>, counts: Option<Vec<u64>>) -> Result<Self, ProfileError> {
        let missing = |profile, missing| ProfileError::Missing { profile, missing };
        match name {
            "natural" => Ok(Self::Natural),
            "exponential" => {
                let ratio = checked(ratio.ok_or(missing("exponential", "ratio"))?)?;
                Ok(Self::Exponential { ratio })
            }
            "step" => Ok(Self::Step { ratio: checked(ratio.ok_or(missing("step", "ratio"))?)? }),
            "counts" => Ok(Self::Counts(counts.ok_or(missing("counts", "counts"))?)),
            _ => Err(ProfileError::Unknown { name: name.to_owned() }),
        }
    }

    /// The samples each class keeps of those `available`.
    ///
    /// `largest` is n_max, by default the largest count available; `natural` and `counts` do not read it.
    /// The only class of a data set with one class keeps n_max under `exponential`.
    ///
    /// # Errors
    ///
    /// [`ProfileError::Ratio`], [`ProfileError::Length`], [`ProfileError::Empty`] and [`ProfileError::Short`].
    pub fn counts(&self, available: &ClassCounts, largest: Option<u64>) -> Result<ClassCounts, ProfileError> {
        let classes = available.classes();
        let largest = largest.unwrap_or(available.largest());
        let wanted = match self {
            Self::Natural => available.as_slice().to_vec(),
            Self::Exponential { ratio } => {
                let last = classes.saturating_sub(1).max(1) as f64;
                thin(classes, largest, checked(*ratio)?, |class| class as f64 / last)?
            }
            Self::Step { ratio } => {
                thin(classes, largest, checked(*ratio)?, |class| f64::from(u8::from(class >= classes / 2)))?
            }
            Self::Counts(counts) if counts.len() == classes => counts.clone(),
            Self::Counts(counts) => return Err(ProfileError::Length { given: counts.len(), classes }),
        };
        for (class, (&have, &wanted)) in available.as_slice().iter().zip(&wanted).enumerate() {
            if have < wanted {
                return Err(ProfileError::Short { class, have, wanted });
            }
        }
        Ok(ClassCounts::new(wanted))
    }
}

/// ⌊largest · ratio^(−exponent(c))⌋ for every class c.
fn thin(
    classes: usize,
    largest: u64,
    ratio: f64,
    exponent: impl Fn(usize) -> f64,
) -> Result<Vec<u64>, ProfileError> {
    let count = |class| match snap(largest as f64 / ratio.powf(exponent(class))).floor() as u64 {
        0 => Err(ProfileError::Empty { class, largest, ratio }),
        count => Ok(count),
    };
    (0..classes).map(count).collect()
}

fn checked(ratio: f64) -> Result<f64, ProfileError> {
    if ratio.is_finite() && ratio >= 1.0 { Ok(ratio) } else { Err(ProfileError::Ratio { ratio }) }
}

#[cfg(test)]
mod tests;
