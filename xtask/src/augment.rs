//! Over-sampling of a file, without any training: for embeddings that another program has made.

use expanse_data::{Balanced, Names, check_extension, read_embeddings, write_balanced};
use expanse_domain::ClassCounts;
use expanse_pipeline::{Augmented, augment};
use expanse_report::audit_table;
use serde_json::json;

use crate::{
    cli::{AugmentOptions, Format, Source},
    error::Error,
    plugins, run, show,
    stdout::Protected,
};

/// `augment`.
pub fn command(options: &AugmentOptions, quiet: bool) -> Result<(), Error> {
    check_extension(&options.file)?;
    check_extension(&options.out)?;
    let source = Source { experiment: options.experiment.clone(), set: options.set.clone() };
    let resolved = show::resolved(&source, &[])?;
    run::begin(&resolved);
    let host = plugins::host(&options.plugins)?;
    let stdout = Protected::new();
    let (sampler, _) = plugins::open_sampler(&resolved, &host)?;
    let names = Names { features: &options.features, labels: &options.labels };
    let real = read_embeddings(&options.file, &names, options.labels_file.as_deref())?;
    let counts = ClassCounts::of(&real.labels, real.classes.len());
    let input = (real.features.view(), &real.labels[..]);
    let augmented = augment(&resolved.experiment, input, &counts, &*sampler)?;
    let Augmented { synthetic, audit } = &augmented;
    let balanced = Balanced {
        real: &real,
        synthetic: &synthetic.features,
        labels: &synthetic.labels,
        provenance: &synthetic.provenance,
    };
    write_balanced(&options.out, &names, options.labels_out.as_deref(), &balanced)?;
    drop(stdout);
    let classes = real.classes.names();
    if !quiet {
        augmented.notes(&classes).iter().for_each(|note| eprintln!("note: {note}"));
        let (rows, made) = (real.features.rows(), synthetic.features.rows());
        eprintln!("{rows} rows and {made} made of them are in {}", options.out.display());
    }
    match options.format {
        Format::Table => print!("{}", audit_table(audit, &classes)),
        Format::Json => {
            let document = json!({
                "classes": classes,
                "counts": counts.as_slice(),
                "audit": audit,
                "sampler_report": synthetic.report,
            });
            println!("{}", serde_json::to_string_pretty(&document)?);
        }
    }
    Ok(())
}
