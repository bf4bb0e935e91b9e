//! The driver of Expanse: `cargo xtask run` trains, over-samples, fine-tunes and measures.
//!
//! Results go to stdout, everything else to stderr.

#![allow(clippy::print_stdout, reason = "the results of the driver go to stdout")]

mod boundary;
mod checks;
mod cli;
mod data;
mod doctor;
mod ending;
mod error;
mod exit;
mod logging;
mod machine;
mod plugins;
mod progress;
mod run;
mod runs;
mod show;
mod stdout;
mod study;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command, ConfigCommand, DataCommand, PluginCommand};
use error::Error;

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::install(&cli.log);
    match dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error::chain(&error));
            match error.explanation() {
                Some(explanation) if cli.explain => eprintln!("{explanation}"),
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
        Command::Plugin(PluginCommand::List(options)) => plugins::list(options),
        Command::Plugin(PluginCommand::Trust { file }) => plugins::trust(file),
        Command::Abi => boundary::command(),
        Command::PluginWorker => plugins::serve(),
        Command::Config(ConfigCommand::Show(options)) => show::config(options),
        Command::Config(ConfigCommand::Explain { key, source }) => show::explain(key, source),
        Command::Config(ConfigCommand::Diff { first, second, set }) => show::diff(first, second, set),
        Command::Config(ConfigCommand::Schema(options)) => show::schema(options),
        Command::Config(ConfigCommand::Check { source, plugins }) => show::check(source, plugins),
        Command::Data(DataCommand::List) => data::list(),
        Command::Data(DataCommand::Pack(options)) => data::pack(options),
        Command::Runs(command) => runs::command(command),
        Command::Doctor(options) => doctor::command(options),
        Command::Test(options) => checks::test(options),
        Command::Check => checks::check(),
        Command::Lint => checks::lint(),
        Command::Tidy => checks::tidy(),
        Command::Bench(options) => checks::bench(options),
    }
}
