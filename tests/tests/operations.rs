//! Every operation of the compiled CPU backend with its derivative, against the engine on burn's `flex`.

use burn::{
    module::{Initializer, Module, Param},
    tensor::{
        Device, Int, Tensor,
        activation::{leaky_relu, log_sigmoid, log_softmax, relu, sigmoid, softmax, tanh},
        module::{adaptive_avg_pool2d, avg_pool2d, conv2d, linear, max_pool2d},
        ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions},
        s,
    },
};
use burn_flex::{Flex, FlexDevice};
use expanse_cpu::{Isa, Team};
use expanse_domain::Seed;
use expanse_engine::{Kind, Running};
use expanse_program::{
    NamedTensor, Optimizer, Program, TensorData, TensorView, tensors_from_bytes, tensors_to_bytes,
};
use expanse_sdk::{Recording, record};

/// Batch, channels, rows and columns of the input.
const X: [usize; 4] = [3, 5, 7, 6];

/// Parameters of the shapes that operations want.
#[derive(Module, Debug)]
struct Weights {
    /// Of the input's shape.
    image: Param<Tensor<4>>,
    /// For convolutions of four channels.
    kernel: Param<Tensor<4>>,
    /// One for each channel.
    channel: Param<Tensor<1>>,
    /// From columns to four.
    matrix: Param<Tensor<2>>,
}

type Operation = fn(Tensor<4>, &Weights, Tensor<1, Int>) -> Tensor<4>;

const OPERATIONS: [(&str, Operation); 33] = [
    ("sigmoid", |x, _, _| sigmoid(x)),
    ("log sigmoid", |x, _, _| log_sigmoid(x)),
    ("tanh", |x, _, _| tanh(x)),
    ("relu", |x, _, _| relu(x)),
    ("leaky relu", |x, _, _| leaky_relu(x, 0.1)),
    ("exp", |x, _, _| x.exp()),
    ("log", |x, _, _| (x.abs() + 0.5).log()),
    ("log1p", |x, _, _| x.abs().log1p()),
    ("square root", |x, _, _| (x.abs() + 0.5).sqrt()),
    ("reciprocal", |x, _, _| (x.abs() + 0.5).recip()),
    ("power", |x, _, _| x.powi_scalar(3)),
    ("scalars", |x, _, _| (x * 2.0 - 0.5) / 3.0 + 1.0),
    ("clamp", |x, _, _| x.clamp(-0.4, 0.3)),
    ("softmax", |x, _, _| softmax(x, 2)),
    ("log softmax", |x, _, _| log_softmax(x, 1)),
    ("product", |x, w, _| x * w.image.val()),
    ("quotient", |x, w, _| x / (w.image.val().abs() + 0.5)),
    ("broadcast", |x, w, _| x.clone() * w.channel.val().reshape([1, 5, 1, 1]) - x.sum_dim(3)),
    ("same operand twice", |x, _, _| x.clone() * x.clone() + x),
    ("mean and extremes", |x, _, _| x.clone().mean_dim(2) + x.clone().max_dim(3) - x.min_dim(1)),
    ("permute and reshape", |x, _, _| x.permute([2, 0, 3, 1]).reshape([3, 5, 7, 6])),
    ("flip and slice", |x, _, _| x.flip([1, 3]).slice(s![.., 1..4, ..;2, 2..])),
    ("repeat and cat", |x, w, _| Tensor::cat(vec![x.repeat_dim(1, 2), w.image.val()], 1)),
    ("pad", |x, _, _| x.pad((1, 2, 0, 1), 0.5)),
    ("select", |x, _, indices| x.select(1, indices)),
    ("gather", |x, _, indices| {
        x.clone().gather(1, indices.reshape([1, 4, 1, 1]).repeat_dim(0, 3).repeat_dim(2, 7).repeat_dim(3, 6))
    }),
    ("mask", |x, w, _| {
        x.clone().mask_where(x.clone().greater_elem(0.2), w.image.val()).mask_fill(x.lower_elem(-0.3), 2.0)
    }),
    ("matrix product", |x, w, _| linear(x.reshape([105, 6]), w.matrix.val(), None).reshape([3, 5, 7, 4])),
    ("convolution with bias", |x, w, _| {
        conv2d(
            x,
            w.kernel.val(),
            Some(w.channel.val().narrow(0, 0, 4)),
            ConvOptions::new([2, 1], [2, 1], [1, 2], 1),
        )
    }),
    ("grouped convolution", |x, w, _| {
        let weight = w.kernel.val().slice([0..4, 0..2]);
        conv2d(x.slice([0..3, 0..4]), weight, None, ConvOptions::new([1, 2], [1, 0], [1, 1], 2))
    }),
    ("max pool of a convolution", |x, w, _| {
        let y = conv2d(x, w.kernel.val(), None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1));
        max_pool2d(relu(y), MaxPoolOptions::new([3, 2]).with_stride([2, 2]).with_padding([1, 1]))
    }),
    ("average pool", |x, _, _| {
        let options = AvgPoolOptions::new([3, 2]).with_stride([2, 1]).with_padding([1, 0]);
        avg_pool2d(x, options.with_count_include_pad(false))
    }),
    ("adaptive pool of a convolution", |x, w, _| {
        let y = conv2d(x, w.kernel.val(), None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1));
        adaptive_avg_pool2d(y * 0.5, [3, 2])
    }),
];

/// loss = Σ y²/2 + 0.3 y, so that every element of y counts in its own way.
fn program(operation: Operation) -> Program {
    let device = Device::flex();
    let weights = Weights {
        image: Initializer::Ones.init(X, &device),
        kernel: Initializer::Ones.init([4, 5, 3, 2], &device),
        channel: Initializer::Ones.init([5], &device),
        matrix: Initializer::Ones.init([6, 4], &device),
    };
    let forward = |weights: &Weights, recording: &mut Recording<'_>| {
        let x = recording.input("x", X);
        let indices = recording.int_input("indices", [4]);
        // The input itself gets no gradient, but what is made of it and parameters does.
        let y = operation(x + weights.image.val() * 0.5, weights, indices);
        let loss = (y.clone() * y.clone() * 0.5 + y.clone() * 0.3).sum();
        recording.output("y", &y);
        recording.output("loss", &loss);
    };
    record("loss `test`".into(), weights, forward).unwrap()
}

/// Outputs and gradients, sorted by name.
fn run(session: &mut dyn Running, program: &Program, parameters: &[u8]) -> Vec<NamedTensor> {
    session.load(std::slice::from_ref(program)).unwrap();
    session.import(Kind::Parameters, parameters).unwrap();
    let shape = &program.header.input("x").unwrap().shape;
    let x = draw(shape.iter().product(), 1);
    let inputs = [
        TensorView { name: "x", shape, data: TensorData::F32(&x) },
        TensorView { name: "indices", shape: &[4], data: TensorData::I64(&[3, 0, 3, 4]) },
    ];
    let port = program.header.output("y").unwrap();
    let mut y = vec![f32::NAN; port.shape.iter().product()];
    session.forward(0, &inputs, &mut [("y", &mut y)]).unwrap();
    let mut tensors = tensors_from_bytes(&session.gradients(0, &inputs).unwrap()).unwrap();
    tensors.push(NamedTensor { name: "y".into(), shape: port.shape.clone(), values: y });
    tensors
}

fn draw(count: usize, key: u64) -> Vec<f32> {
    let mut rng = Seed(key).derive("values", &[]).rng();
    (0..count).map(|_| 2.0 * rng.unit_f32() - 1.0).collect()
}

#[test]
fn operations_and_their_derivatives_are_those_of_flex() {
    for (name, operation) in OPERATIONS {
        check(name, &program(operation));
    }
}

/// What convolves an image that parameters move.
#[derive(Module, Debug)]
struct Convolution {
    image: Param<Tensor<4>>,
    kernel: Param<Tensor<4>>,
}

/// Any number of images and channels, and any kernel, stride, padding, dilation and groups.
#[test]
fn convolutions_of_random_shapes_are_those_of_flex() {
    let mut rng = Seed(3).derive("convolutions", &[]).rng();
    let mut checked = 0;
    while checked < 60 {
        let mut draw = |from: usize, to: usize| from + rng.index(to - from + 1);
        let mut pair = |from, to| [draw(from, to), draw(from, to)];
        let (image, kernel, [stride, dilation]) = (pair(1, 14), pair(1, 7), [pair(1, 3), pair(1, 2)]);
        let (padding, [inputs, outputs], [images, groups]) = (pair(0, 3), pair(1, 20), pair(1, 5));
        let groups = groups.div_ceil(2);
        let seen = |axis: usize| (kernel[axis] - 1) * dilation[axis] + 1;
        if (0..2).any(|axis| image[axis] + 2 * padding[axis] < seen(axis)) {
            continue;
        }
        checked += 1;
        let shape = [images, inputs * groups, image[0], image[1]];
        let device = Device::flex();
        let module = Convolution {
            image: Initializer::Ones.init(shape, &device),
            kernel: Initializer::Ones.init([outputs * groups, inputs, kernel[0], kernel[1]], &device),
        };
        let options = ConvOptions::new(stride, padding, dilation, groups);
        let name = format!("{shape:?} with kernels {kernel:?} and {options:?}");
        let program = record("loss `test`".into(), module, |module: &Convolution, recording| {
            let x: Tensor<4> = recording.input("x", shape);
            let y = conv2d(x + module.image.val(), module.kernel.val(), None, options);
            let loss = (y.clone() * y.clone() * 0.5).sum();
            recording.output("y", &y);
            recording.output("loss", &loss);
        });
        check(&name, &program.unwrap());
    }
}

/// Outputs and gradients are those of flex, with every instruction set.
fn check(name: &str, program: &Program) {
    let optimizer = Optimizer::sgd(0.0, 0.0);
    assert_eq!(expanse_cpu::missing_operations(program).unwrap(), [""; 0], "{name}");
    let parameters: Vec<_> = (2..)
        .zip(&program.header.parameters)
        .map(|(key, parameter)| {
            let shape = parameter.shape.clone();
            let values = draw(shape.iter().product(), key);
            NamedTensor { name: parameter.name.clone(), shape, values }
        })
        .collect();
    let parameters = tensors_to_bytes(&parameters).unwrap();
    let mut reference = expanse_engine::Session::<Flex>::new(FlexDevice, optimizer);
    let expected = run(&mut reference, program, &parameters);
    for isa in Isa::available() {
        let mut session = expanse_cpu::Session::new(Team::with_isa(2, isa).unwrap(), optimizer);
        let found = run(&mut session, program, &parameters);
        let names = |tensors: &[NamedTensor]| tensors.iter().map(|t| t.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            let most = expected.values.iter().fold(1.0f32, |most, value| most.max(value.abs()));
            for (a, b) in found.values.iter().zip(&expected.values) {
                let tensor = &found.name;
                assert!(
                    (a - b).abs() <= 1e-5 * most,
                    "{name} with {isa:?}: `{tensor}` has {a}, expected {b}"
                );
            }
        }
    }
}

#[test]
fn an_operation_that_is_lacking_is_named() {
    let program = program(|x, _, _| x.erf());
    assert_eq!(expanse_cpu::missing_operations(&program).unwrap(), ["Float::Erf"]);
}
