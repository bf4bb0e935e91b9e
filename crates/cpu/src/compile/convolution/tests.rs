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

/// The distances from `f64` of forward, gradient of the input and gradient of the weights of one image, relative to its
/// size in the Euclidean norm, on images and weights as a network has them.
fn errors(channels: usize, size: usize, target: Target) -> [f64; 3] {
    let mut rng = Seed(3).derive("values", &[]).rng();
    let (count, taps) = (channels * size * size, channels * channels * 9);
    // Behind a ReLU.
    let x: Vec<f32> = draw(&mut rng, count).into_iter().map(|value| value.max(0.0)).collect();
    let (w, dy) = (draw(&mut rng, taps), draw(&mut rng, count));
    let (mut y, mut dx, mut dw) = (vec![0.0; count], vec![0.0; count], vec![0.0; taps]);
    for to in 0..channels {
        for from in 0..channels {
            for tap in 0..9 {
                let weight = (to * channels + from) * 9 + tap;
                for pixel in 0..size * size {
                    let (row, column) = (pixel / size + tap / 3, pixel % size + tap % 3);
                    if !(1..=size).contains(&row) || !(1..=size).contains(&column) {
                        continue;
                    }
                    let input = (from * size + row - 1) * size + column - 1;
                    let output = to * size * size + pixel;
                    y[output] += f64::from(x[input]) * f64::from(w[weight]);
                    dx[input] += f64::from(dy[output]) * f64::from(w[weight]);
                    dw[weight] += f64::from(dy[output]) * f64::from(x[input]);
                }
            }
        }
    }
    let blocked = Value { shape: vec![1, channels, size, size], ..Value::default() }.blocked();
    let conv = Conv { stride: [1, 1], padding: [(1, 1); 2], dilation: [1, 1], groups: 1 };
    let convolution = Convolution::new(&conv, [3, 3], blocked, blocked, target);
    let mut packed = convolution.packed().map(|floats| vec![0.0; floats]);
    let [forward, backward] = &mut packed;
    let mut scratch = vec![0.0; convolution.scratch().max(convolution.gradient_scratch())];
    let mut images = [vec![0.0; count], vec![0.0; count], vec![0.0; count], vec![0.0; count]];
    let [x_blocks, dy_blocks, y_blocks, dx_blocks] = &mut images;
    to_blocks(&x, channels, x_blocks);
    to_blocks(&dy, channels, dy_blocks);
    let (mut partial, mut found_dw) = (vec![0.0; convolution.partial()], vec![0.0; taps]);
    Team::with_isa(1, target.isa).unwrap().run(false, |crew| {
        convolution.pack(crew, &w, forward, Some(backward));
        convolution.forward(crew.isa, x_blocks, forward, &mut scratch, y_blocks);
        convolution.input_gradient(crew.isa, dy_blocks, backward, &mut scratch, false, dx_blocks);
        convolution.weight_gradient(crew.isa, x_blocks, dy_blocks, &mut scratch, &mut partial);
        convolution.unpack(crew, &mut partial, 1, false, &mut found_dw);
    });
    let (mut found_y, mut found_dx) = (vec![0.0; count], vec![0.0; count]);
    from_blocks(y_blocks, channels, false, &mut found_y);
    from_blocks(dx_blocks, channels, false, &mut found_dx);
    [(found_y, y), (found_dx, dx), (found_dw, dw)].map(|(found, exact)| {
        let apart = found.iter().zip(&exact).map(|(found, exact)| (f64::from(*found) - exact).powi(2));
        (apart.sum::<f64>() / exact.iter().map(|exact| exact * exact).sum::<f64>()).sqrt()
    })
}

/// The documentation of the backend names these bounds.
#[test]
fn convolutions_are_as_near_to_f64_as_the_documentation_says() {
    for isa in Isa::available() {
        for (channels, size) in [(16, 32), (32, 16), (64, 8), (64, 16), (256, 8)] {
            let [direct, winograd] =
                Convolutions::ALL.map(|convolutions| errors(channels, size, Target { isa, convolutions }));
            let told = format!("{isa:?}, {channels} channels of {size}×{size}: {direct:?}, {winograd:?}");
            let times = winograd[0] / direct[0];
            assert!(
                direct.iter().all(|&error| error < 8.5e-7) && winograd.iter().all(|&error| error < 1.6e-6),
                "{told}"
            );
            // Winograd's method is used at all, and two to three times as far.
            assert!((1.5..3.5).contains(&times), "{told}");
        }
    }
}

/// The length of an output, if the kernel fits into the image.
fn output(case: &Case, axis: usize) -> Option<usize> {
    let (before, behind) = case.padding[axis];
    let seen = (case.kernel[axis] - 1) * case.dilation[axis] + 1;
    Some((case.image[axis] + before + behind).checked_sub(seen)? / case.stride[axis] + 1)
}

/// Those of a batch are convolved together.
const IMAGES: usize = 3;

#[track_caller]
fn check(case: Case) {
    let Case { channels: [inputs, outputs], image, kernel, stride, padding, dilation } = case;
    let to = [0, 1].map(|axis| output(&case, axis).unwrap());
    let conv = Conv { stride, padding, dilation, groups: 1 };
    let grouped =
        Grouped { conv: conv.clone(), images: IMAGES, channels: case.channels, from: image, to, kernel };
    let mut rng = Seed(5).derive("values", &[]).rng();
    let x = draw(&mut rng, IMAGES * inputs * image[0] * image[1]);
    let w = draw(&mut rng, outputs * inputs * kernel[0] * kernel[1]);
    let dy = draw(&mut rng, IMAGES * outputs * to[0] * to[1]);
    let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
    grouped.forward(&x, &w, &mut y);
    grouped.input_gradient(&w, &dy, &mut dx);
    grouped.weight_gradient(&x, &dy, &mut dw);

    let size = |channels: usize, [rows, columns]: [usize; 2]| {
        Value { shape: vec![IMAGES, channels, rows, columns], ..Value::default() }.blocked()
    };
    let (x_size, y_size) = (size(inputs, image), size(outputs, to));
    let targets = Isa::available()
        .into_iter()
        .flat_map(|isa| Convolutions::ALL.map(|convolutions| Target { isa, convolutions }));
    for target in targets {
        let isa = target.isa;
        let convolution = Convolution::new(&conv, kernel, x_size, y_size, target);
        let mut scratch = vec![f32::NAN; convolution.scratch().max(convolution.gradient_scratch())];
        let mut packed = convolution.packed().map(|floats| vec![f32::NAN; floats]);
        let [forward, backward] = &mut packed;
        let team = Team::with_isa(1, isa).unwrap();
        team.run(false, |crew| convolution.pack(crew, &w, forward, Some(backward)));
        let blocks = |values: &[f32], channels: usize, floats: usize| {
            let mut blocks = vec![f32::NAN; floats];
            for (x, y) in
                values.chunks_exact(values.len() / IMAGES).zip(blocks.chunks_exact_mut(floats / IMAGES))
            {
                to_blocks(x, channels, y);
            }
            blocks
        };
        let plain = |blocks: &[f32], channels: usize, floats: usize| {
            let mut values = vec![f32::NAN; floats];
            for (x, y) in
                blocks.chunks_exact(blocks.len() / IMAGES).zip(values.chunks_exact_mut(floats / IMAGES))
            {
                from_blocks(x, channels, false, y);
            }
            values
        };
        let (x_blocks, dy_blocks) =
            (blocks(&x, inputs, x_size.floats()), blocks(&dy, outputs, y_size.floats()));

        let mut found = vec![f32::NAN; y_size.floats()];
        convolution.forward(isa, &x_blocks, forward, &mut scratch, &mut found);
        assert_close(&plain(&found, outputs, y.len()), &y, "forward", isa, case);

        let mut found = vec![f32::NAN; x_size.floats()];
        convolution.input_gradient(isa, &dy_blocks, backward, &mut scratch, false, &mut found);
        assert_close(&plain(&found, inputs, x.len()), &dx, "input gradient", isa, case);
        convolution.input_gradient(isa, &dy_blocks, backward, &mut scratch, true, &mut found);
        let twice: Vec<f32> = dx.iter().map(|value| 2.0 * value).collect();
        assert_close(&plain(&found, inputs, x.len()), &twice, "input gradient, added", isa, case);

        let mut partial = vec![0.0; convolution.partial()];
        convolution.weight_gradient(isa, &x_blocks, &dy_blocks, &mut scratch, &mut partial);
        let mut found = vec![f32::NAN; w.len()];
        team.run(false, |crew| convolution.unpack(crew, &mut partial, 1, false, &mut found));
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
