//! What shells and `man` want to know of the command line.

use std::{fs, path::Path};

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{cli::Cli, error::Error};

/// The name under which the driver is completed: an alias of the user's, as cargo completes its own command alone.
pub const ALIAS: &str = "expanse";

/// `completions`: a script for a shell.
pub fn completions(shell: Shell) {
    clap_complete::generate(shell, &mut Cli::command(), ALIAS, &mut std::io::stdout());
}

/// `man`: a page for each command, in a folder.
pub fn pages(folder: &Path) -> Result<(), Error> {
    let failed = |source| Error::File { path: folder.into(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command().name(ALIAS), folder).map_err(failed)?;
    println!("{}", folder.display());
    Ok(())
}
