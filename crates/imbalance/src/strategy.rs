use crate::rounding::snap;
use expanse_domain::ClassCounts;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Up to which count each class is over-sampled, with the meaning of imbalanced-learn's `sampling_strategy`.
///
/// Written as a name (`not-majority`, `minority`, `not-minority`, `all`), as a number (the ratio to the
/// largest class) or as a list (the final count of each class). The majority is the first of the largest
/// classes, the minority the first of the smallest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum SamplingStrategy {
    /// Every class but the majority, up to the majority.
    #[default]
    NotMajority,
    /// The minority alone, up to the majority.
    Minority,
    /// Every class but the minority, up to the majority.
    NotMinority,
    /// Every class, up to the majority; for over-sampling the same as `NotMajority`.
    All,
    /// Every class below ⌈ratio · n_max⌉, up to that; the ratio lies in `(0, 1]`.
    Ratio(f64),
    /// The final count of each class.
    Counts(Vec<u64>),
}

/// Why a strategy cannot be read, or cannot be met by over-sampling.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StrategyError {
    /// No strategy is written like this.
    #[error("`{text}` is not a sampling strategy; use one of {}, a ratio in (0, 1] or a list of final counts", SamplingStrategy::NAMES.join(", "))]
    Unknown {
        /// The text given.
        text: String,
    },
    /// The ratio lies outside its range.
    #[error("a ratio of {ratio} to the largest class cannot be reached; it must be above 0 and at most 1")]
    Ratio {
        /// The ratio given.
        ratio: f64,
    },
    /// The list of counts has the wrong length.
    #[error("{given} final counts for {classes} classes; give one count for each class")]
    Length {
        /// Counts given.
        given: usize,
        /// Classes of the data set.
        classes: usize,
    },
    /// Over-sampling takes no samples away.
    #[error(
        "class {class} has {have} samples and would end with {wanted}; over-sampling removes none, ask for at least {have}"
    )]
    Below {
        /// The class.
        class: usize,
        /// Samples it has.
        have: u64,
        /// Final count asked for.
        wanted: u64,
    },
    /// There is nothing to make synthetic samples from.
    #[error(
        "class {class} has no samples to make {wanted} from; keep at least one, or list counts with 0 for it"
    )]
    Empty {
        /// The class.
        class: usize,
        /// Synthetic samples asked for.
        wanted: u64,
    },
}

impl SamplingStrategy {
    /// The names that are read.
    pub const NAMES: [&str; 4] = ["not-majority", "minority", "not-minority", "all"];

    /// The synthetic rows that each class needs to reach its target.
    ///
    /// # Errors
    ///
    /// [`StrategyError::Ratio`], [`StrategyError::Length`], [`StrategyError::Below`] and
    /// [`StrategyError::Empty`].
    pub fn synthetic(&self, counts: &ClassCounts) -> Result<Vec<u64>, StrategyError> {
        let present = counts.as_slice();
        let largest = counts.largest();
        let minority = (0..present.len()).min_by_key(|&class| present[class]);
        let raise_if = |raised: &dyn Fn(usize) -> bool| {
            present.iter().enumerate().map(|(class, &n)| if raised(class) { largest } else { n }).collect()
        };
        let targets: Vec<u64> = match self {
            Self::NotMajority | Self::All => vec![largest; present.len()],
            Self::Minority => raise_if(&|class| Some(class) == minority),
            Self::NotMinority => raise_if(&|class| Some(class) != minority),
            Self::Ratio(ratio) => {
                let target = snap(checked(*ratio)? * largest as f64).ceil() as u64;
                present.iter().map(|&n| n.max(target)).collect()
            }
            Self::Counts(finals) if finals.len() == present.len() => finals.clone(),
            Self::Counts(finals) => {
                return Err(StrategyError::Length { given: finals.len(), classes: present.len() });
            }
        };
        let missing = |(class, (&have, &wanted)): (usize, (&u64, &u64))| match wanted.checked_sub(have) {
            None => Err(StrategyError::Below { class, have, wanted }),
            Some(wanted) if have == 0 && wanted > 0 => Err(StrategyError::Empty { class, wanted }),
            Some(wanted) => Ok(wanted),
        };
        present.iter().zip(&targets).enumerate().map(missing).collect()
    }
}

fn checked(ratio: f64) -> Result<f64, StrategyError> {
    if ratio > 0.0 && ratio <= 1.0 { Ok(ratio) } else { Err(StrategyError::Ratio { ratio }) }
}

/// The three ways a strategy is written in a configuration file.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "a sampling strategy is a name, a ratio in (0, 1] or a list of final counts")]
enum Written {
    Name(String),
    Ratio(f64),
    Counts(Vec<u64>),
}

impl TryFrom<Written> for SamplingStrategy {
    type Error = StrategyError;

    fn try_from(written: Written) -> Result<Self, StrategyError> {
        match written {
            Written::Name(text) => text.parse(),
            Written::Ratio(ratio) => checked(ratio).map(Self::Ratio),
            Written::Counts(counts) => Ok(Self::Counts(counts)),
        }
    }
}

impl From<SamplingStrategy> for Written {
    fn from(strategy: SamplingStrategy) -> Self {
        match strategy {
            SamplingStrategy::Ratio(ratio) => Self::Ratio(ratio),
            SamplingStrategy::Counts(counts) => Self::Counts(counts),
            named => Self::Name(named.to_string()),
        }
    }
}

/// Reads a name, a number, or a list such as `[50, 40, 40]` (the brackets may be left out of a list of two or more).
impl FromStr for SamplingStrategy {
    type Err = StrategyError;

    fn from_str(text: &str) -> Result<Self, StrategyError> {
        let named = [Self::NotMajority, Self::Minority, Self::NotMinority, Self::All];
        if let Some(place) = Self::NAMES.iter().position(|name| *name == text) {
            return Ok(named[place].clone());
        }
        if let Ok(ratio) = text.parse() {
            return checked(ratio).map(Self::Ratio);
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        let counts: Result<_, _> = bare.split(',').map(|count| count.trim().parse()).collect();
        counts.map(Self::Counts).map_err(|_| StrategyError::Unknown { text: text.to_owned() })
    }
}

impl fmt::Display for SamplingStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [not_majority, minority, not_minority, all] = Self::NAMES;
        match self {
            Self::NotMajority => f.write_str(not_majority),
            Self::Minority => f.write_str(minority),
            Self::NotMinority => f.write_str(not_minority),
            Self::All => f.write_str(all),
            Self::Ratio(ratio) => write!(f, "{ratio}"),
            Self::Counts(counts) => write!(f, "{counts:?}"),
        }
    }
}

#[cfg(test)]
mod tests;
