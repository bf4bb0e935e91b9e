use expanse_domain::ClassCounts;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The β of `effective-number`.
pub const DEFAULT_BETA: f64 = 0.9999;

/// How much each class weighs in the loss. Written `none`, `inverse` or `effective-number`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClassWeighting {
    /// Every class weighs 1.
    #[default]
    None,
    /// w_c ∝ N / (K · n_c): every class has the same share of the loss.
    Inverse,
    /// w_c ∝ (1 − β) / (1 − β^n_c). Source: Cui, Jia, Lin, Song, Belongie, *Class-Balanced Loss Based on
    /// Effective Number of Samples*.
    EffectiveNumber {
        /// How much of a new sample is new, in `[0, 1)`: 0 weighs all classes alike, towards 1 as `inverse`.
        /// The written form has no place for it and always means [`DEFAULT_BETA`].
        beta: f64,
    },
}

/// Why classes cannot be weighted, or a weighting cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WeightError {
    /// No weighting has this name.
    #[error("`{name}` is not a class weighting; use one of {}", ClassWeighting::NAMES.join(", "))]
    Unknown {
        /// The name given.
        name: String,
    },
    /// β lies outside its range.
    #[error("beta = {beta} of `effective-number` must be at least 0 and below 1")]
    Beta {
        /// The β given.
        beta: f64,
    },
    /// A class without samples has no weight.
    #[error(
        "class {class} has no samples, so `{weighting}` gives it no weight; use `none`, or keep a sample of it"
    )]
    Empty {
        /// The class.
        class: usize,
        /// The weighting asked for.
        weighting: ClassWeighting,
    },
}

impl ClassWeighting {
    /// The names that are read.
    pub const NAMES: [&str; 3] = ["none", "inverse", "effective-number"];

    /// One weight for each class, their sum K.
    ///
    /// # Errors
    ///
    /// [`WeightError::Empty`] unless the weighting is `none`, and [`WeightError::Beta`].
    pub fn weights(&self, counts: &ClassCounts) -> Result<Vec<f64>, WeightError> {
        // Factors common to all classes cancel in the normalisation.
        let weight: Box<dyn Fn(f64) -> f64> = match *self {
            Self::None => return Ok(vec![1.0; counts.classes()]),
            Self::Inverse => Box::new(|n| 1.0 / n),
            Self::EffectiveNumber { beta } if (0.0..1.0).contains(&beta) => {
                Box::new(move |n| -1.0 / (n * beta.ln()).exp_m1())
            }
            Self::EffectiveNumber { beta } => return Err(WeightError::Beta { beta }),
        };
        if let Some(class) = counts.as_slice().iter().position(|&n| n == 0) {
            return Err(WeightError::Empty { class, weighting: *self });
        }
        let weights: Vec<f64> = counts.as_slice().iter().map(|&n| weight(n as f64)).collect();
        let scale = weights.len() as f64 / weights.iter().sum::<f64>();
        Ok(weights.into_iter().map(|weight| weight * scale).collect())
    }
}

impl FromStr for ClassWeighting {
    type Err = WeightError;

    fn from_str(name: &str) -> Result<Self, WeightError> {
        match name {
            "none" => Ok(Self::None),
            "inverse" => Ok(Self::Inverse),
            "effective-number" => Ok(Self::EffectiveNumber { beta: DEFAULT_BETA }),
            _ => Err(WeightError::Unknown { name: name.to_owned() }),
        }
    }
}

impl TryFrom<String> for ClassWeighting {
    type Error = WeightError;

    fn try_from(name: String) -> Result<Self, WeightError> {
        name.parse()
    }
}

impl From<ClassWeighting> for String {
    fn from(weighting: ClassWeighting) -> Self {
        weighting.to_string()
    }
}

impl fmt::Display for ClassWeighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [none, inverse, effective_number] = Self::NAMES;
        f.write_str(match self {
            Self::None => none,
            Self::Inverse => inverse,
            Self::EffectiveNumber { .. } => effective_number,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIFAR_10: [u64; 10] = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50];

    fn weights(weighting: ClassWeighting, counts: &[u64]) -> Result<Vec<f64>, WeightError> {
        weighting.weights(&ClassCounts::new(counts.to_vec()))
    }

    fn check(weighting: ClassWeighting, counts: &[u64], expected: &[f64], tolerance: f64) {
        let weights = weights(weighting, counts).unwrap();
        assert_eq!(weights.len(), expected.len());
        for (weight, expected) in weights.iter().zip(expected) {
            assert!((weight - expected).abs() <= tolerance, "{weighting}: {weights:?}");
        }
    }

    #[test]
    #[expect(clippy::approx_constant, reason = "1.4426 is a weight here, not log2(e)")]
    fn weights_are_the_published_ones() {
        let cifar_10 = [0.0506, 0.0769, 0.1211, 0.1950, 0.3188, 0.5246, 0.8683, 1.4426, 2.4092, 3.9927];
        let effective_number = "effective-number".parse().unwrap();
        check(effective_number, &CIFAR_10, &cifar_10, 0.5e-4);
        check(ClassWeighting::EffectiveNumber { beta: 0.0 }, &[9, 1], &[1.0, 1.0], 1e-12);
        check(ClassWeighting::Inverse, &[30, 10], &[0.5, 1.5], 1e-12);
        check(ClassWeighting::None, &[30, 0], &[1.0, 1.0], 0.0);
        check(ClassWeighting::Inverse, &[], &[], 0.0);
    }

    #[test]
    fn what_has_no_weight_is_an_error() {
        let effective_number = |beta| ClassWeighting::EffectiveNumber { beta };
        let inverse = ClassWeighting::Inverse;
        assert_eq!(weights(inverse, &[3, 0]), Err(WeightError::Empty { class: 1, weighting: inverse }));
        assert_eq!(weights(effective_number(1.0), &[3]), Err(WeightError::Beta { beta: 1.0 }));
        assert!(matches!(weights(effective_number(f64::NAN), &[3]), Err(WeightError::Beta { .. })));
    }

    #[test]
    fn the_written_form_is_a_name() {
        #[derive(Serialize, Deserialize)]
        struct Table {
            class_weighting: ClassWeighting,
        }
        for name in ClassWeighting::NAMES {
            let text = format!("class_weighting = \"{name}\"\n");
            assert_eq!(toml::to_string(&toml::from_str::<Table>(&text).unwrap()).unwrap(), text);
        }
        let error = toml::from_str::<Table>("class_weighting = \"balanced\"").err().unwrap();
        assert!(error.message().contains("use one of none, inverse, effective-number"), "{error}");
    }
}
