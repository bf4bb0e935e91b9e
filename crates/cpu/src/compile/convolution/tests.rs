use expanse_domain::{Rng, Seed};

use super::*;
use crate::{
    graph::Value,
    kernels::{
        blocks::{from_blocks, to_blocks},
        grouped::Grouped,
    },
    team::Team,
};

/// What a convolution is tested for; each pair is rows and columns.
#[derive(Clone, Copy, Debug)]
struct Case {
    channels: [usize; 2],
    image: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [(usize, usize); 2],
    dilation: [usize; 2],
}

/// 3×3, stride 1, a border of one pixel.
const SLIDING: Case = Case {
    channels: [16, 16],
    image: [8, 8],
    kernel: [3, 3],
    stride: [1, 1],
    padding: [(1, 1), (1, 1)],
    dilation: [1, 1],
};

#[test]
fn every_kernel_computes_what_the_definition_says() {
    for channels in [[16, 16], [3, 16], [64, 64], [20, 37], [33, 48], [1, 1]] {
        for image in [[8, 8], [7, 7], [32, 32], [5, 28], [1, 1], [3, 1], [1, 17]] {
            check(Case { channels, image, ..SLIDING });
        }
    }
    check(Case { channels: [16, 32], image: [9, 10], stride: [2, 2], ..SLIDING });
    check(Case { channels: [32, 16], kernel: [1, 1], padding: [(0, 0); 2], ..SLIDING });
    check(Case { kernel: [1, 1], stride: [2, 2], padding: [(0, 0); 2], ..SLIDING });
}

#[test]
fn random_shapes_compute_what_the_definition_says() {
    let mut rng = Seed(11).derive("shapes", &[]).rng();
    for _ in 0..300 {
        let mut draw = |from: usize, to: usize| from + rng.index(to - from + 1);
        let case = Case {
            channels: [draw(1, 40), draw(1, 40)],
            image: [draw(1, 20), draw(1, 20)],
            kernel: [draw(1, 7), draw(1, 7)],
            stride: [draw(1, 3), draw(1, 3)],
            padding: [(draw(0, 3), draw(0, 3)), (draw(0, 3), draw(0, 3))],
            dilation: [draw(1, 2), draw(1, 2)],
        };
        if (0..2).all(|axis| output(&case, axis).is_some()) {
            check(case);
        }
    }
}

/// The length of an output, if the kernel fits into the image.
fn output(case: &Case, axis: usize) -> Option<usize> {
    let (before, behind) = case.padding[axis];
    let seen = (case.kernel[axis] - 1) * case.dilation[axis] + 1;
    Some((case.image[axis] + before + behind).checked_sub(seen)? / case.stride[axis] + 1)
}

#[track_caller]
fn check(case: Case) {
    let Case { channels: [inputs, outputs], image, kernel, stride, padding, dilation } = case;
    let to = [0, 1].map(|axis| output(&case, axis).unwrap());
    let conv = Conv { stride, padding, dilation, groups: 1 };
    let grouped = Grouped { conv: conv.clone(), images: 1, channels: case.channels, from: image, to, kernel };
    let mut rng = Seed(5).derive("values", &[]).rng();
    let x = draw(&mut rng, inputs * image[0] * image[1]);
    let w = draw(&mut rng, outputs * inputs * kernel[0] * kernel[1]);
    let dy = draw(&mut rng, outputs * to[0] * to[1]);
    let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
    grouped.forward(&x, &w, &mut y);
    grouped.input_gradient(&w, &dy, &mut dx);
    grouped.weight_gradient(&x, &dy, &mut dw);

    let size = |channels: usize, [rows, columns]: [usize; 2]| {
        Value { shape: vec![1, channels, rows, columns], ..Value::default() }.blocked()
    };
    let (x_size, y_size) = (size(inputs, image), size(outputs, to));
    for isa in Isa::available() {
        let convolution = Convolution::new(&conv, kernel, x_size, y_size, isa);
        let mut scratch = vec![f32::NAN; convolution.scratch().max(convolution.gradient_scratch())];
        let mut packed =
            [vec![f32::NAN; convolution.weights.packed()], vec![f32::NAN; convolution.weights.packed()]];
        let [forward, backward] = &mut packed;
        let team = Team::with_isa(1, isa).unwrap();
        team.run(false, |crew| convolution.pack(crew, &w, forward, Some(backward)));
        let blocks = |values: &[f32], channels: usize, floats: usize| {
            let mut blocks = vec![f32::NAN; floats];
            to_blocks(values, channels, &mut blocks);
            blocks
        };
        let plain = |blocks: &[f32], channels: usize, floats: usize| {
            let mut values = vec![f32::NAN; floats];
            from_blocks(blocks, channels, false, &mut values);
            values
        };
        let (x_blocks, dy_blocks) =
            (blocks(&x, inputs, x_size.image()), blocks(&dy, outputs, y_size.image()));

        let mut found = vec![f32::NAN; y_size.image()];
        convolution.forward(isa, &x_blocks, forward, &mut scratch, &mut found);
        assert_close(&plain(&found, outputs, y.len()), &y, "forward", isa, case);

        let mut found = vec![f32::NAN; x_size.image()];
        convolution.input_gradient(isa, &dy_blocks, backward, &mut scratch, false, &mut found);
        assert_close(&plain(&found, inputs, x.len()), &dx, "input gradient", isa, case);
        convolution.input_gradient(isa, &dy_blocks, backward, &mut scratch, true, &mut found);
        let twice: Vec<f32> = dx.iter().map(|value| 2.0 * value).collect();
        assert_close(&plain(&found, inputs, x.len()), &twice, "input gradient, added", isa, case);

        let mut partial = vec![0.0; convolution.weights.packed()];
        convolution.weight_gradient(isa, &x_blocks, &dy_blocks, &mut scratch, &mut partial);
        let mut found = vec![f32::NAN; w.len()];
        team.run(false, |crew| convolution.weights.unpack_sum(crew, &mut partial, 1, false, &mut found));
        assert_close(&found, &dw, "weight gradient", isa, case);
    }
}

fn draw(rng: &mut Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| 2.0 * rng.unit_f32() - 1.0).collect()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], what: &str, isa: Isa, case: Case) {
    let most = expected.iter().fold(1.0f32, |most, value| most.max(value.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = (found - expected).abs() <= 1e-5 * most;
        assert!(close, "{what} with {isa:?}: {found} at {at}, expected {expected}: {case:?}");
    }
}
