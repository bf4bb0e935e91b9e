//! Principal components by power iteration: the class may have fewer samples than columns.

/// A direction of unit length, and the standard deviation of the samples along it.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    pub direction: Vec<f32>,
    pub deviation: f32,
}

const ITERATIONS: usize = 50;
/// What is left of the samples below this share of their squared length is rounding.
const NEGLIGIBLE: f64 = 1e-9;

/// The components of the largest variance, at most `count`, the largest first.
///
/// Each is found as the limit of v ← XᵀXv / |XᵀXv| over the centred samples X, kept orthogonal to those before it.
/// There are at most as many as samples less one.
pub fn principal_components(samples: &[&[f32]], count: usize) -> Vec<Component> {
    let (rows, cols) = (samples.len(), samples.first().map_or(0, |row| row.len()));
    let centred = centre(samples, cols);
    let mut found: Vec<(Vec<f64>, f64)> = Vec::new();
    let longest = centred.iter().map(|row| dot(row, row)).fold(0.0, f64::max);
    for _ in 0..count.min(rows.saturating_sub(1)).min(cols) {
        // The sample that is longest once the components before are taken out of it points along what is left.
        let rest = centred.iter().map(|row| without(row, &found));
        let Some(mut v) = rest.max_by(|a, b| dot(a, a).total_cmp(&dot(b, b))) else { break };
        if dot(&v, &v) <= NEGLIGIBLE * longest {
            break;
        }
        let mut variance = 0.0;
        for _ in 0..ITERATIONS {
            let length = dot(&v, &v).sqrt();
            v.iter_mut().for_each(|value| *value /= length);
            let mut next = vec![0.0; cols];
            for row in &centred {
                let along = dot(row, &v);
                next.iter_mut().zip(row).for_each(|(next, value)| *next += along * value);
            }
            variance = dot(&next, &v) / (rows - 1) as f64;
            v = without(&next, &found);
        }
        let length = dot(&v, &v).sqrt();
        v.iter_mut().for_each(|value| *value /= length);
        found.push((v, variance));
    }
    let component = |(direction, variance): (Vec<f64>, f64)| Component {
        direction: direction.into_iter().map(|value| value as f32).collect(),
        deviation: variance.sqrt() as f32,
    };
    found.into_iter().map(component).collect()
}

fn centre(samples: &[&[f32]], cols: usize) -> Vec<Vec<f64>> {
    let mean =
        |column: usize| samples.iter().map(|row| f64::from(row[column])).sum::<f64>() / samples.len() as f64;
    let means: Vec<f64> = (0..cols).map(mean).collect();
    samples
        .iter()
        .map(|row| row.iter().zip(&means).map(|(value, mean)| f64::from(*value) - mean).collect())
        .collect()
}

/// x less its parts along the components that are known.
fn without(x: &[f64], known: &[(Vec<f64>, f64)]) -> Vec<f64> {
    let mut x = x.to_vec();
    for (direction, _) in known {
        let along = dot(&x, direction);
        x.iter_mut().zip(direction).for_each(|(value, part)| *value -= along * part);
    }
    x
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: along (3, 4) / 5 the samples lie at ±10, along (4, −3) / 5 at ±5, so the variances are 200/3 and 50/3.
    #[test]
    fn the_components_of_a_cross() {
        let samples: [&[f32]; 4] = [&[7.0, 9.0], &[-5.0, -7.0], &[5.0, -2.0], &[-3.0, 4.0]];
        let found = principal_components(&samples, 5);
        assert_eq!(found.len(), 2);
        for (component, direction, variance) in
            [(&found[0], [0.6, 0.8], 200.0f32 / 3.0), (&found[1], [0.8, -0.6], 50.0 / 3.0)]
        {
            assert!((component.deviation - variance.sqrt()).abs() < 1e-4, "{component:?}");
            let along: f32 = component.direction.iter().zip(direction).map(|(a, b)| a * b).sum();
            assert!((along.abs() - 1.0).abs() < 1e-5, "{component:?}");
        }
    }

    #[test]
    fn where_nothing_varies_there_is_no_component() {
        let same: [&[f32]; 3] = [&[1.0, 2.0]; 3];
        assert_eq!(principal_components(&same, 2), []);
        assert_eq!(principal_components(&same[..1], 2), []);
        assert_eq!(principal_components(&[], 2), []);
        let line: [&[f32]; 3] = [&[0.0, 0.0], &[1.0, 1.0], &[2.0, 2.0]];
        assert_eq!(principal_components(&line, 2).len(), 1);
    }
}
