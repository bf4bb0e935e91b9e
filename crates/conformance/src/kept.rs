//! Images that stay on the device, for backends that have memory of their own.

use expanse_domain::Seed;
use expanse_host::TensorKind;
use expanse_program::NamedTensor;

use crate::{
    backend::{present, ready},
    model::{decoded, encoded},
    outcome::{Verdict, ensure, not_applicable},
    subject::Subject,
};

const SEED: Seed = Seed(9);
/// Images that stay, which come in two pieces.
const KEPT: usize = 5;
/// How far a gradient may be from that of images that are sent, relative to the largest of its tensor: kernels may be others.
const TOLERANCE: f32 = 1e-4;

/// What is picked of kept images has the gradients that it has when it is sent, and what is not there is refused.
pub(crate) fn kept_images(subject: &Subject<'_>) -> Verdict {
    let (backend, model) = ready(subject)?;
    if present(&*backend)?.keeps.is_none() {
        not_applicable!("its memory is that of the host");
    }
    let inputs = model.inputs(SEED)?;
    let views = inputs.views();
    let images = views.iter().find(|view| view.name == "images").map(|view| view.shape.to_vec());
    let Some(&[batch, channels, height, width]) = images.as_deref() else {
        not_applicable!("there is no reference backbone");
    };

    let [rows_kept, columns_kept] = [height + 1, width + 2];
    let size = channels * rows_kept * columns_kept;
    let mut rng = SEED.derive("kept", &[]).rng();
    let kept: Vec<f32> = (0..KEPT * size).map(|_| 2.0 * rng.unit_f32() - 1.0).collect();
    let mut session = model.session(&*backend)?;
    for images in [0..2, 2..KEPT] {
        let (shape, values) = (vec![images.len(), channels, rows_kept, columns_kept], &kept[..]);
        let values = values[images.start * size..images.end * size].to_vec();
        session
            .import(TensorKind::Kept, &encoded(&[NamedTensor { name: "images".into(), shape, values }])?)?;
    }

    let mut draw =
        |count: usize, below: usize| -> Vec<i64> { (0..count).map(|_| rng.index(below) as i64).collect() };
    let rows = draw(batch, KEPT);
    let (ys, xs) = (draw(batch * height, rows_kept), draw(batch * width, columns_kept));
    let mut picked = Vec::with_capacity(batch * channels * height * width);
    for (image, row) in rows.iter().enumerate() {
        for channel in 0..channels {
            for y in &ys[image * height..][..height] {
                let line = (*row as usize * channels + channel) * rows_kept + *y as usize;
                let line = &kept[line * columns_kept..][..columns_kept];
                picked.extend(xs[image * width..][..width].iter().map(|x| line[*x as usize]));
            }
        }
    }

    let sent = inputs.clone().with("images", picked);
    let expected = decoded(&session.gradients(0, &sent.views())?)?;
    let picks = |rows: &[i64]| {
        let picks = inputs.clone().without("images").and("images.rows", &[batch], rows);
        picks.and("images.ys", &[batch, height], &ys).and("images.xs", &[batch, width], &xs)
    };
    let found = decoded(&session.gradients(0, &picks(&rows).views())?)?;
    for (found, expected) in found.iter().zip(&expected) {
        let largest = expected.values.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
        let far = found.values.iter().zip(&expected.values).map(|(found, value)| (found - value).abs());
        let far = far.fold(0.0, f32::max) / largest;
        ensure!(
            far <= TOLERANCE,
            "`{}` is {far} of its largest value away from what it is for the same images, sent",
            expected.name
        );
    }

    for (what, place) in [("the image after the last", KEPT as i64), ("image -1", -1)] {
        let mut rows = rows.clone();
        rows[batch - 1] = place;
        ensure!(session.gradients(0, &picks(&rows).views()).is_err(), "{what} can be picked");
    }
    let nothing = inputs.clone().without("images");
    ensure!(session.gradients(0, &nothing.views()).is_err(), "it needs no images at all");
    let found = decoded(&session.gradients(0, &picks(&rows).views())?)?;
    ensure!(found.len() == expected.len(), "after picks that it refused it has lost its images");
    Ok(())
}
