mod models;
mod phases;

pub use models::{CheckpointCommand, EvaluateOptions, ModelOptions, PredictOptions};
pub use phases::{EmbedOptions, FinetuneOptions, ReassembleOptions, Split, TrainOptions};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit;

/// Expanse: train a CNN on imbalanced images, over-sample its embeddings, fine-tune its head.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = exit_codes())]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Show no progress on stderr.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// What to log to stderr: a level, or a filter such as `plugin=debug`.
    #[arg(
        long,
        global = true,
        env = "EXPANSE_LOG",
        hide_env_values = true,
        default_value = "warn",
        value_name = "FILTER"
    )]
    pub log: String,
    /// Where a plugin was built against another boundary, show the difference of the layouts.
    #[arg(long, global = true)]
    pub explain: bool,
}

fn exit_codes() -> String {
    let (failed, usage) = (exit::FAILED, exit::USAGE);
    let (configuration, interrupted) = (exit::CONFIGURATION, exit::INTERRUPTED);
    format!(
        "Exit codes: 0 done, {failed} failed, {usage} wrong usage, {configuration} wrong configuration, {interrupted} interrupted"
    )
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the three phases of an experiment and print what they achieve.
    Run(RunOptions),
    /// Run variants of an experiment over several seeds and print means with 95 % intervals.
    Study(StudyOptions),
    /// Phase 1 alone: train backbone and head, and write the model.
    Train(TrainOptions),
    /// The embeddings of an experiment's images by a model from a file.
    Embed(EmbedOptions),
    /// Over-sample the embeddings in a file, whoever has made them, and write all rows to another one.
    Augment(AugmentOptions),
    /// Phase 3 alone: train a head on the embeddings in a file, and write it.
    Finetune(FinetuneOptions),
    /// Put a head into a model.
    Reassemble(ReassembleOptions),
    /// Measure a model from a file on the test set of an experiment.
    Evaluate(EvaluateOptions),
    /// Tell the class of pictures, with the confidence, by a model from a file.
    Predict(PredictOptions),
    /// Files of models, those of PyTorch among them.
    #[command(subcommand)]
    Checkpoint(CheckpointCommand),
    /// Plugins.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Data sets.
    #[command(subcommand)]
    Data(DataCommand),
    /// Runs that were kept.
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Lend the devices of this machine to backends `remote` on others; `-- --help` tells what it takes.
    Serve(PassOn),
    /// What this machine offers, which data sets and plugins are here, and what to do about what is missing.
    Doctor(PluginOptions),
    /// Build everything that tests need and run all tests.
    Test(PassOn),
    /// Format, lints, tidy, documentation and tests: what must pass before a change lands.
    Check,
    /// Format, lints, tidy and documentation, without the tests.
    Lint,
    /// The rules of the house: layers, what the driver links, the map.
    Tidy,
    /// Measure, with the profile that everything runs in.
    Bench {
        /// What to measure.
        which: Benchmark,
        #[command(flatten)]
        options: PassOn,
    },
    /// Print a script that completes `expanse` in a shell, where that is an alias of `cargo xtask`.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write a manual page for each command.
    Man {
        /// The folder to write them to.
        #[arg(long, default_value = "man", value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Whether the boundary (crates/abi) still suits the plugins of earlier versions, and which version it needs.
    Abi,
    /// Serve one plugin to the program that has started this one.
    #[command(name = crate::plugins::WORKER, hide = true)]
    PluginWorker,
}

/// What is measured: each is the file of its name in tests/benches.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Benchmark {
    /// A training step through host and plugin, against the engine called directly.
    Boundary,
    /// Loading a plugin, and a sampler's call, in this process and in one of its own, against the plain function.
    Calls,
    /// Over-samplers and the search for neighbours, beside their peers in Python where it has them.
    Samplers,
    /// The backend `cpu` in training, evaluation and fine-tuning, beside PyTorch where its Python is given.
    Backend,
}

/// Where an experiment's values come from.
#[derive(Clone, Debug, Args)]
pub struct Source {
    /// Name of an experiment in config/experiments, or a file that ends in .toml.
    #[arg(default_value = DEFAULT_EXPERIMENT)]
    pub experiment: String,
    /// Set a value, such as sampler.plugin=smote or train.epochs=5; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// The experiment that runs when none is named: the data set inside the repository.
pub const DEFAULT_EXPERIMENT: &str = "fashion-mnist-lt";

/// Where plugins come from.
#[derive(Clone, Debug, Args)]
pub struct PluginOptions {
    /// Look for plugins in this folder first; may be given several times.
    #[arg(long, value_name = "FOLDER")]
    pub plugin_path: Vec<PathBuf>,
    /// Do not build the plugins of the workspace first.
    #[arg(long)]
    pub no_build: bool,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunOptions {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub plugins: PluginOptions,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Check everything, measure a few steps and print what the run would do; nothing is written.
    #[arg(long)]
    pub dry_run: bool,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Options of `study`.
#[derive(Debug, Args)]
pub struct StudyOptions {
    /// Name of a study in config/studies, or a file that ends in .toml.
    #[arg(default_value = "samplers")]
    pub study: String,
    /// Set a value for all variants.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub plugins: PluginOptions,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Options of `augment`.
#[derive(Debug, Args)]
pub struct AugmentOptions {
    /// The file to read: .safetensors, .npy, .npz, .csv, or .parquet with `cargo xtask-parquet`.
    pub file: PathBuf,
    /// The file to write; its extension tells its format, too.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Name of the array of features in .safetensors and .npz, or of the column of .parquet that holds lists of them.
    #[arg(long, value_name = "NAME", default_value = "embeddings")]
    pub features: String,
    /// Name of the array of labels in .safetensors and .npz, or of their column in .csv and .parquet.
    #[arg(long, value_name = "NAME", default_value = "labels")]
    pub labels: String,
    /// A file of its own that the labels are read from, for .npy.
    #[arg(long, value_name = "FILE")]
    pub labels_file: Option<PathBuf>,
    /// A file of its own that the labels are written to, for .npy.
    #[arg(long, value_name = "FILE")]
    pub labels_out: Option<PathBuf>,
    /// Take sampler, sampling strategy and seed from this experiment: a name in config/experiments, or a file.
    #[arg(long, default_value = DEFAULT_EXPERIMENT)]
    pub experiment: String,
    /// Set a value, such as sampler.plugin=smote or augment.sampling_strategy=0.5; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub plugins: PluginOptions,
    /// How to print what was made.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// About plugins.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// List the plugins in the search path, and the devices of backends; no library is opened in this process for it.
    List(PluginOptions),
    /// Build plugins of this workspace that are built only when asked for: backends that take many minutes.
    Build {
        /// Their names, such as wgpu.
        #[arg(required = true, value_name = "PLUGIN")]
        plugins: Vec<String>,
    },
    /// Trust a library that was not built with this program, by the SHA-256 of its bytes: its code may then run with
    /// your rights.
    Trust {
        /// The library.
        file: PathBuf,
    },
    /// Make a crate of its own, outside of this workspace, that is a plugin which works.
    New(NewOptions),
    /// Tell all that a plugin says of itself: options with types, defaults and ranges, licence, citation.
    Describe(DescribeOptions),
    /// Run every check of the conformance kit on a library, in a process of its own.
    Check(CheckOptions),
    /// Make what is given to others: a folder with the library and its manifest.
    Pack(PackPluginOptions),
}

/// Options of `plugin new`.
#[derive(Debug, Args)]
pub struct NewOptions {
    /// What it is for.
    #[arg(value_enum)]
    pub kind: NewKind,
    /// Its name in configuration files: lower-case letters, digits and hyphens.
    pub name: String,
    /// The folder to make the crate in; it is called KIND-NAME there.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub path: PathBuf,
    /// Take the sdk from this git repository instead of this checkout.
    #[arg(long, value_name = "URL")]
    pub git: Option<String>,
}

/// What a new plugin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NewKind {
    /// Images to embeddings.
    Backbone,
    /// Embeddings to logits.
    Head,
    /// Logits and targets to one number.
    Loss,
    /// Rows to more rows.
    Sampler,
    /// A device that runs programs.
    Backend,
}

/// Options of `plugin describe`.
#[derive(Debug, Args)]
pub struct DescribeOptions {
    /// Name of a plugin, or the file of a library.
    pub plugin: String,
    #[command(flatten)]
    pub plugins: PluginOptions,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Options of `plugin check`.
#[derive(Debug, Args)]
pub struct CheckOptions {
    /// The library.
    pub file: PathBuf,
    /// Set an option of the plugin for all checks that are not about options; may be given several times.
    #[arg(long, value_name = "OPTION=VALUE")]
    pub set: Vec<String>,
    /// A file with golden numbers for a sampler.
    #[arg(long, value_name = "FILE")]
    pub golden: Option<PathBuf>,
    #[command(flatten)]
    pub plugins: PluginOptions,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Options of `plugin pack`.
#[derive(Debug, Args)]
pub struct PackPluginOptions {
    /// The library.
    pub file: PathBuf,
    /// The folder to put the distributable into.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub out: PathBuf,
}

/// About configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the resolved configuration of an experiment, with the origin of each value.
    Show(ShowOptions),
    /// Tell what every layer says of a key, and which one holds.
    Explain {
        /// The key, such as train.epochs.
        key: String,
        #[command(flatten)]
        source: Source,
    },
    /// Tell where two experiments differ.
    Diff {
        /// Name of an experiment, or a file that ends in .toml.
        first: String,
        /// Another one.
        second: String,
        /// Set a value for both.
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
    /// Print the JSON schema of experiment files, with the options of the plugins that are here, for editors.
    Schema(PluginOptions),
    /// Check an experiment, with the options of its plugins, without running it.
    Check {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        plugins: PluginOptions,
    },
}

/// Options of `config show`.
#[derive(Debug, Args)]
pub struct ShowOptions {
    #[command(flatten)]
    pub source: Source,
    /// How to print it: as TOML with origins, or as JSON.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// About data sets.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the data sets, where they lie and what they hold.
    List,
    /// Make a data set and an experiment of a folder that holds a folder of pictures for each class.
    New(NewDataOptions),
    /// Make the small long-tailed data set of the repository from the complete Fashion-MNIST.
    Pack(PackOptions),
}

/// Options of `data new`.
#[derive(Debug, Args)]
pub struct NewDataOptions {
    /// Its name: lower-case letters, digits and hyphens.
    pub name: String,
    /// The folder: FOLDER/CLASS/…, or FOLDER/train/CLASS/… and FOLDER/test/CLASS/….
    pub folder: PathBuf,
    /// Side of the square image that each picture becomes, in pixels; up to 64 if it is not given, as the pictures are.
    #[arg(long, value_parser = clap::value_parser!(u32).range(i64::from(crate::new_data::SMALLEST_IMAGE)..))]
    pub size: Option<u32>,
}

/// Options of `data pack`.
#[derive(Debug, Args)]
pub struct PackOptions {
    /// The data set to take images from: names config/data/NAME.toml.
    #[arg(long, default_value = "fashion-mnist")]
    pub from: String,
    /// The folder to write.
    #[arg(long, default_value = "data/fashion-mnist-lt")]
    pub to: PathBuf,
    /// Training images of the largest class.
    #[arg(long, default_value_t = 1000)]
    pub largest: u64,
    /// Largest class to smallest class.
    #[arg(long, default_value_t = 100.0)]
    pub ratio: f64,
    /// Test images of each class.
    #[arg(long, default_value_t = 100)]
    pub test: u64,
    /// Which images are taken.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// About runs that were kept.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// List them, with what they achieved.
    List(RunsOptions),
    /// Show what one achieved and what made it.
    Show {
        #[command(flatten)]
        options: RunsOptions,
        /// EXPERIMENT/NUMBER as listed, or the folder of the run.
        run: String,
    },
    /// Compare the files of all runs, or of some, with the hashes that were taken when they were kept.
    Verify {
        #[command(flatten)]
        options: RunsOptions,
        /// EXPERIMENT/NUMBER as listed, or the folder of the run; all if none is named.
        runs: Vec<String>,
    },
}

/// Where runs are.
#[derive(Debug, Args)]
pub struct RunsOptions {
    /// The folder of runs; run.folder of the defaults if it is not given.
    #[arg(long)]
    pub folder: Option<PathBuf>,
}

/// Arguments that are passed on.
#[derive(Debug, Args)]
pub struct PassOn {
    /// Passed on as they are.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<String>,
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use clap::{Command, CommandFactory};

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The help of a command and of those below it.
    fn help(command: &mut Command, to: &mut String) {
        if command.is_hide_set() || command.get_name() == "help" {
            return;
        }
        let text = command.render_long_help();
        *to += &format!("===== {}\n{text}\n", command.get_bin_name().unwrap_or("?"));
        command.get_subcommands_mut().for_each(|command| help(command, to));
    }

    #[test]
    fn the_help_is_what_was_agreed_on() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/help.txt");
        let (mut now, mut command) = (String::new(), Cli::command().disable_help_subcommand(true));
        command.build();
        help(&mut command, &mut now);
        let now: String = now.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
        if std::env::var_os("EXPANSE_WRITE").is_some() {
            fs::write(&file, &now).unwrap();
        }
        let agreed = fs::read_to_string(&file).unwrap();
        let differs = agreed.lines().zip(now.lines()).find(|(agreed, now)| agreed != now);
        assert_eq!(differs, None, "if that is meant, write it with EXPANSE_WRITE=1 cargo test --bin xtask");
        assert_eq!(agreed.lines().count(), now.lines().count());
    }
}
