//! The host of version 0.1.0 of the boundary, as a program of its own: `frozen-host KIND NAME FOLDER` opens the
//! plugin and prints one line of what it does.

use expanse_domain::{Matrix, Seed};
use expanse_host::{Host, HostError};
use expanse_program::{BackboneRequest, HeadRequest, LossRequest, Optimizer};
use serde_json::Map;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match answer(&arguments[1], &arguments[2], Host::new(vec![arguments[3].clone().into()])) {
        Ok(line) => println!("{line}"),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}

fn answer(kind: &str, name: &str, host: Host) -> Result<String, HostError> {
    let none = Map::new();
    let described = |program: expanse_program::Program, values: Vec<u8>| {
        let header = program.header;
        let values: usize = expanse_program::tensors_from_bytes(&values).unwrap().iter().map(|t| t.values.len()).sum();
        format!("{} {} {values}", header.source, header.trainable_values())
    };
    match kind {
        "backbone" => {
            let backbone = host.backbone(name, &none)?;
            let request = BackboneRequest { batch: 2, channels: 1, height: 8, width: 8 };
            Ok(described(backbone.record(&request)?, backbone.initialize(&request, Seed(1))?))
        }
        "head" => {
            let head = host.head(name, &none)?;
            let request = HeadRequest { batch: 2, features: 4, classes: 3 };
            Ok(described(head.record(&request)?, head.initialize(&request, Seed(1))?))
        }
        "loss" => {
            let loss = host.loss(name, &none)?;
            let request = LossRequest { batch: 2, classes: 3, class_counts: vec![1; 3] };
            Ok(described(loss.record(&request)?, loss.initialize(&request, Seed(1))?))
        }
        "sampler" => {
            let sampler = host.sampler(name, &none)?;
            let features = Matrix::new((0..12).map(|value| value as f32).collect(), 6, 2).unwrap();
            let made = sampler.resample(features.view(), &[0, 0, 0, 0, 1, 1], &[0, 2], Seed(1))?;
            Ok(format!("{} rows of {:?}", made.features.rows(), made.labels))
        }
        "backend" => {
            let backend = host.backend(name, &none)?;
            let session = backend.open_session(Optimizer { momentum: 0.9, weight_decay: 0.0 })?;
            let parameters = session.export(expanse_host::TensorKind::Parameters)?;
            Ok(format!("{} {} bytes", backend.device()?.name, parameters.len()))
        }
        _ => unreachable!(),
    }
}
