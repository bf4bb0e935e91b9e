//! The marker of dropout, the one operation of a program that burn does not have.

use burn_backend::{Backend, TensorData};
use burn_ir::CustomOpIr;
use expanse_domain::Seed;
use expanse_program::DROPOUT;

use super::{Compiler, Instruction, slot};
use crate::frame::{Frame, Value};

impl<B: Backend> Compiler<B> {
    pub(super) fn custom(&mut self, operation: &CustomOpIr) -> Option<Instruction<B>> {
        let ([input], [output], [probability]) =
            (&operation.inputs[..], &operation.outputs[..], &operation.scalars[..])
        else {
            return None;
        };
        if operation.id != DROPOUT {
            return None;
        }
        let (x, out, probability) = (self.read(input), slot(output), probability.elem::<f64>());
        let (shape, device) = (output.shape.to_vec(), self.device.clone());
        Some(Box::new(move |frame: &mut Frame<B>| {
            let x = frame.float(x);
            let y = match frame.training {
                None => x,
                Some(step) => {
                    let values = mask(step, out as u64, shape.iter().product(), probability);
                    let mask = B::float_from_data(TensorData::new(values, shape.clone()), &device);
                    B::float_mul(x, mask)
                }
            };
            frame.set(out, Value::Float(y));
        }))
    }
}

/// 0 with that probability, and otherwise 1/(1 − p): the same for a step and a place in the program.
fn mask(step: u64, place: u64, values: usize, probability: f64) -> Vec<f32> {
    let mut rng = Seed(step).derive("dropout", &[place]).rng();
    let (dropped, kept) = (probability as f32, (1.0 / (1.0 - probability)) as f32);
    (0..values).map(|_| if rng.unit_f32() < dropped { 0.0 } else { kept }).collect()
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn a_mask_keeps_the_mean_and_depends_on_step_and_place() {
        let values = mask(1, 2, 10_000, 0.3);
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!(values.iter().all(|&value| value == 0.0 || value == 1.0 / 0.7f32));
        assert_eq!(values, mask(1, 2, 10_000, 0.3));
        assert_ne!(values, mask(2, 2, 10_000, 0.3));
        assert_ne!(values, mask(1, 3, 10_000, 0.3));
    }
}
