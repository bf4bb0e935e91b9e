//! The phases one at a time, on files: `train`, `embed`, `finetune` and `reassemble`; `augment` and `evaluate` have files
//! of their own.

use std::path::Path;

use expanse_checkpoint::{Checkpoint, Element, Tensor, Values, read, write};
use expanse_domain::{Matrix, Provenance};
use expanse_pipeline::{PipelineError, Rows, embed, finetune_head, reassembled, train_model};

use crate::{
    checkpoint::{self, Opened},
    cli::{EmbedOptions, FinetuneOptions, ReassembleOptions, Split, TrainOptions},
    ending::Unfinished,
    error::Error,
    plugins,
    progress::Progress,
    run::{self, Loaded},
    show,
    stdout::Protected,
};

/// `train`: phase 1.
pub fn train(options: &TrainOptions, quiet: bool) -> Result<(), Error> {
    checkpoint::check_extension(&options.out)?;
    let resolved = show::resolved(&options.source, &[])?;
    run::begin(&resolved);
    let host = plugins::host(&options.plugins)?;
    let _stdout = Protected::new();
    let _unfinished = Unfinished::new();
    let Loaded { data, components } = run::load(&resolved, &host)?;
    let (experiment, progress) = (&resolved.experiment, Progress::new(quiet));
    let model = train_model(experiment, &data, &components, run::cache(experiment).as_deref(), &progress)?;
    write(&options.out, &model)?;
    progress.line(&format!("the model is in {}", options.out.display()));
    Ok(())
}

/// `embed`: the first half of phase 2.
pub fn embed_images(options: &EmbedOptions, quiet: bool) -> Result<(), Error> {
    checkpoint::check_extension(&options.out)?;
    let Opened { checkpoint, resolved, .. } =
        checkpoint::open(&options.model, options.experiment.as_deref())?;
    let host = plugins::host(&options.plugins)?;
    let _stdout = Protected::new();
    let Loaded { data, components } = run::load(&resolved, &host)?;
    let images = match options.split {
        Split::Train => &*data.train,
        Split::Test => &data.test,
    };
    let (embeddings, logits) = embed(&checkpoint, &data, &components, images)
        .map_err(|error| checkpoint::located(&options.model.checkpoint, error))?;
    write_rows(&options.out, &embeddings, &logits, images.labels())?;
    if !quiet {
        eprintln!("{} embeddings are in {}", images.len(), options.out.display());
    }
    Ok(())
}

/// `finetune`: phase 3.
pub fn finetune(options: &FinetuneOptions, quiet: bool) -> Result<(), Error> {
    checkpoint::check_extension(&options.out)?;
    let Opened { checkpoint, resolved, .. } =
        checkpoint::open(&options.model, options.experiment.as_deref())?;
    let rows = rows(&options.embeddings, &read(&options.embeddings)?)?;
    let host = plugins::host(&options.plugins)?;
    let _stdout = Protected::new();
    let _unfinished = Unfinished::new();
    let Loaded { data, components } = run::load(&resolved, &host)?;
    let progress = Progress::new(quiet);
    let head = finetune_head(&resolved.experiment, &data, &components, &checkpoint, rows, &progress);
    let head = head.map_err(|error| match error {
        PipelineError::Rows { .. } => {
            Error::Misfit { path: options.embeddings.clone(), source: Box::new(error) }
        }
        error => checkpoint::located(&options.model.checkpoint, error),
    })?;
    write(&options.out, &head)?;
    progress.line(&format!("the head is in {}", options.out.display()));
    Ok(())
}

/// `reassemble`: one model again.
pub fn reassemble(options: &ReassembleOptions, quiet: bool) -> Result<(), Error> {
    checkpoint::check_extension(&options.out)?;
    let (model, head) = (read(&options.checkpoint)?, read(&options.head)?);
    let whole = reassembled(&model, &head).map_err(|error| checkpoint::located(&options.head, error))?;
    write(&options.out, &whole)?;
    if !quiet {
        eprintln!("the model is in {}", options.out.display());
    }
    Ok(())
}

/// Writes embeddings, logits and labels, one row an image.
pub fn write_rows(out: &Path, embeddings: &Matrix, logits: &Matrix, labels: &[u32]) -> Result<(), Error> {
    let matrix = |name: &str, matrix: &Matrix| Tensor {
        name: name.into(),
        shape: vec![matrix.rows(), matrix.cols()],
        stored: Element::F32,
        values: Values::F32(matrix.as_slice().to_vec()),
    };
    let labels = Tensor {
        name: LABELS.into(),
        shape: vec![labels.len()],
        stored: Element::I64,
        values: Values::I64(labels.iter().map(|&label| label.into()).collect()),
    };
    let tensors = vec![matrix(EMBEDDINGS, embeddings), labels, matrix("logits", logits)];
    Ok(write(out, &Checkpoint { tensors, about: None })?)
}

/// The names that `augment` expects, too.
const EMBEDDINGS: &str = "embeddings";
const LABELS: &str = "labels";

/// What `augment` has written: embeddings, labels, and where the synthetic ones come from if the file tells it.
fn rows(path: &Path, file: &Checkpoint) -> Result<Rows, Error> {
    let refused = |message: String| {
        let source = Box::new(PipelineError::Rows { message });
        Error::Misfit { path: path.into(), source }
    };
    let find = |name: &str| file.tensors.iter().find(|tensor| tensor.name == name);
    let floats = |name: &str| match find(name) {
        Some(Tensor { values: Values::F32(values), shape, .. }) => Ok((values.clone(), shape.clone())),
        _ => Err(refused(format!("no floating-point numbers `{name}`"))),
    };
    let numbers = |name: &str| match find(name) {
        Some(Tensor { values: Values::I64(values), .. }) => {
            let natural = values.iter().map(|&value| u64::try_from(value).ok()).collect::<Option<Vec<_>>>();
            natural.ok_or_else(|| refused(format!("a negative number in `{name}`")))
        }
        _ => Err(refused(format!("no whole numbers `{name}`"))),
    };
    let (values, shape) = floats(EMBEDDINGS)?;
    let [count, cols] = *shape else {
        return Err(refused(format!("`{EMBEDDINGS}` of {} dimensions, not 2", shape.len())));
    };
    let labels = numbers(LABELS)?;
    if labels.len() != count {
        return Err(refused(format!("{count} rows and {} labels", labels.len())));
    }
    let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let provenance = match find("r") {
        None => Vec::new(),
        Some(_) => {
            let (r, _) = floats("r")?;
            let [base, partner, class] = ["base", "partner", "partner_class"].map(&numbers);
            let (base, partner, class) = (base?, partner?, class?);
            if [base.len(), partner.len(), class.len()] != [r.len(); 3] || r.len() > count {
                return Err(refused("base, partner, partner_class and r of different lengths".into()));
            }
            let row = |row: usize| Provenance {
                base: base[row],
                partner: partner[row],
                partner_class: small(class[row]),
                r: r[row],
            };
            (0..r.len()).map(row).collect()
        }
    };
    let embeddings = Matrix::new(values, count, cols).map_err(|error| refused(error.to_string()))?;
    Ok(Rows { embeddings, labels: labels.into_iter().map(small).collect(), provenance })
}
