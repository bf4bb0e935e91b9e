//! The driver of Expanse: `cargo xtask run` trains, over-samples, fine-tunes and measures.
//!
//! Results go to stdout, everything else to stderr.

#![allow(clippy::print_stdout, reason = "the results of the driver go to stdout")]

mod augment;
mod boundary;
mod checkpoint;
mod checks;
mod cli;
mod conformance;
mod data;
mod describe;
mod doctor;
mod dry_run;
mod ending;
mod error;
mod evaluate;
mod exit;
mod logging;
mod machine;
mod new_data;
mod on_demand;
mod pack;
mod plugins;
mod predict;
mod progress;
mod run;
mod runs;
mod scaffold;
mod shell;
mod show;
mod single;
mod stdout;
mod study;
mod tidy;
mod told;
mod workspace;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command, ConfigCommand, DataCommand, PluginCommand};
use error::Error;
use expanse_conformance::Task;

fn main() -> ExitCode {
    if let Some(task) = Task::from_environment() {
        return exit(conformance::child(&task), false);
    }
    let cli = Cli::parse();
    logging::install(&cli.log);
    exit(dispatch(&cli), cli.explain)
}

fn exit(result: Result<(), Error>, explain: bool) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            told::error(&error);
            match error.explanation() {
                Some(explanation) if explain => eprintln!("{explanation}"),
                Some(_) => eprintln!("hint: --explain shows the difference"),
                None => {}
            }
            error.exit_code()
        }
    }
}

fn dispatch(cli: &Cli) -> Result<(), Error> {
    match &cli.command {
        Command::Run(options) => run::command(options, cli.quiet),
        Command::Study(options) => study::command(options, cli.quiet),
        Command::Train(options) => single::train(options, cli.quiet),
        Command::Embed(options) => single::embed_images(options, cli.quiet),
        Command::Finetune(options) => single::finetune(options, cli.quiet),
        Command::Reassemble(options) => single::reassemble(options, cli.quiet),
        Command::Augment(options) => augment::command(options, cli.quiet),
        Command::Evaluate(options) => evaluate::command(options, cli.quiet),
        Command::Predict(options) => predict::command(options),
        Command::Checkpoint(command) => checkpoint::command(command, cli.quiet),
        Command::Serve(options) => on_demand::serve(options),
        Command::Plugin(PluginCommand::List(options)) => plugins::list(options),
        Command::Plugin(PluginCommand::Build { plugins }) => on_demand::build(plugins),
        Command::Plugin(PluginCommand::Trust { file }) => plugins::trust(file),
        Command::Completions { shell } => {
            shell::completions(*shell);
            Ok(())
        }
        Command::Man { out } => shell::pages(out),
        Command::Abi => boundary::command(),
        Command::PluginWorker => plugins::serve(),
        Command::Plugin(PluginCommand::New(options)) => scaffold::new(options),
        Command::Plugin(PluginCommand::Describe(options)) => describe::describe(options),
        Command::Plugin(PluginCommand::Check(options)) => conformance::check(options),
        Command::Plugin(PluginCommand::Pack(options)) => pack::pack(options),
        Command::Config(ConfigCommand::Show(options)) => show::config(options),
        Command::Config(ConfigCommand::Explain { key, source }) => show::explain(key, source),
        Command::Config(ConfigCommand::Diff { first, second, set }) => show::diff(first, second, set),
        Command::Config(ConfigCommand::Schema(options)) => show::schema(options),
        Command::Config(ConfigCommand::Check { source, plugins }) => show::check(source, plugins),
        Command::Data(DataCommand::List) => data::list(),
        Command::Data(DataCommand::New(options)) => new_data::command(options),
        Command::Data(DataCommand::Pack(options)) => data::pack(options),
        Command::Runs(command) => runs::command(command),
        Command::Doctor(options) => doctor::command(options),
        Command::Test(options) => checks::test(options),
        Command::Check => checks::check(),
        Command::Lint => checks::lint(),
        Command::Tidy => checks::tidy(),
        Command::Bench { which, options } => checks::bench(*which, options),
    }
}
