use std::path::PathBuf;

use expanse_abi::{ErrorCode, PluginError};

use crate::{FileProblem, Kind, SidecarError};

/// A plugin cannot be found, loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No library of that name.
    #[error(
        "no {kind} is called `{name}`{}known: {}; searched in {}",
        nearest.as_ref().map_or("; ".into(), |n| format!("; did you mean `{n}`? ")),
        if known.is_empty() { "none".to_owned() } else { known.join(", ") },
        searched.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NotFound {
        /// What was looked for.
        kind: Kind,
        /// The name.
        name: String,
        /// The known name that is most like it.
        nearest: Option<String>,
        /// All known names of that kind.
        known: Vec<String>,
        /// The folders that were searched.
        searched: Vec<PathBuf>,
    },
    /// A library holds no plugin of that name.
    #[error("{}: it holds no `{name}`; it holds {}; use one of those names", path.display(), members.join(", "))]
    NoMember {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
        /// What it holds.
        members: Vec<String>,
    },
    /// A file is not a plugin that can be loaded here.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: FileProblem,
    },
    /// There is no room for a private copy of a library.
    #[error("{}: a private copy of it cannot be made: {source}; free memory", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A library is not trusted.
    #[error(
        "{}: it is not trusted, and opening it would run its code with your rights; if you know where it comes from: cargo xtask plugin trust {}",
        path.display(), path.display()
    )]
    Untrusted {
        /// The file.
        path: PathBuf,
    },
    /// The manifest beside a library cannot be used.
    #[error("{}: {problem}", path.display())]
    Sidecar {
        /// The library.
        path: PathBuf,
        /// What is wrong with its manifest.
        problem: SidecarError,
    },
    /// The manifest beside a library is not this library's.
    #[error(
        "{}: its manifest tells the {field} {expected} and it is {found}; get both anew from where they come from, or make the manifest with `plugin pack`",
        path.display()
    )]
    OtherManifest {
        /// The library.
        path: PathBuf,
        /// What differs.
        field: &'static str,
        /// What the manifest tells.
        expected: String,
        /// What is the case.
        found: String,
    },
    /// A plugin in a process of its own has ended the process.
    #[error("{kind} `{name}`: its process {how}; nothing of what it was making is used{}",
        if stderr.is_empty() { String::new() } else { format!("; it said last: {stderr}") })]
    Crashed {
        /// The kind of plugin.
        kind: Kind,
        /// The plugin.
        name: String,
        /// How the process ended.
        how: String,
        /// The last line on its stderr.
        stderr: String,
    },
    /// A plugin in a process of its own has shown no sign of life.
    #[error(
        "{kind} `{name}`: it has neither returned nor reported progress for {seconds} s and was ended; raise augment.stall_seconds if it only needs longer"
    )]
    Stalled {
        /// The kind of plugin.
        kind: Kind,
        /// The plugin.
        name: String,
        /// For how long it was silent.
        seconds: u64,
    },
    /// The process for a plugin cannot be started or talked to.
    #[error("{kind} `{name}`: a process of its own cannot be had: {message}")]
    Process {
        /// The kind of plugin.
        kind: Kind,
        /// The plugin.
        name: String,
        /// Why not.
        message: String,
    },
    /// What a plugin's process says of a library that it cannot use.
    #[error("{0}")]
    Refused(String),
    /// The operating system cannot load the library.
    #[error("{}: the system's loader refuses it: {message}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the loader says.
        message: String,
    },
    /// The library has no root module.
    #[error(
        "{}: this is a shared library and no plugin: it exports no root module; build it with the sdk's `export_{kind}!`",
        path.display()
    )]
    NoPlugin {
        /// The file.
        path: PathBuf,
        /// The kind that was expected.
        kind: Kind,
    },
    /// The library is a plugin of something else.
    #[error("{}: this is a plugin of kind `{found}`, and a {kind} is needed", path.display())]
    OtherKind {
        /// The file.
        path: PathBuf,
        /// The name of its root module.
        found: String,
        /// The kind that was expected.
        kind: Kind,
    },
    /// The boundary's types differ.
    #[error(
        "{}: built against another version of the plugin boundary ({version}, this program has {expected}); rebuild it with this version's sdk",
        path.display()
    )]
    Layout {
        /// The file.
        path: PathBuf,
        /// The version it was built with.
        version: String,
        /// The version of this program.
        expected: String,
        /// The difference, for those who maintain the boundary.
        difference: String,
    },
    /// The library speaks another dialect of programs.
    #[error(
        "{}: its programs are in dialect `{found}` and this program's are in `{expected}`; rebuild it with this version's sdk",
        path.display()
    )]
    Dialect {
        /// The file.
        path: PathBuf,
        /// The library's dialect.
        found: String,
        /// This program's dialect.
        expected: String,
    },
    /// An option of a plugin cannot be used.
    #[error("{kind} `{name}`: {message}")]
    Option {
        /// The kind of plugin.
        kind: Kind,
        /// The plugin.
        name: String,
        /// The option; empty if it is not about one option.
        option: String,
        /// What is wrong and what is allowed.
        message: String,
        /// The options that exist.
        allowed: Vec<String>,
    },
    /// There is no memory for the rows asked for.
    #[error(
        "{wanted:?} synthetic rows by class, of {cols} values each, do not fit into memory; ask for fewer"
    )]
    TooManyRows {
        /// Rows asked for, by class.
        wanted: Vec<u64>,
        /// Values of a row.
        cols: usize,
    },
    /// A component cannot run its module, only record it.
    #[error("this component can only record its module, not run it")]
    RecordOnly,
    /// The user asked to stop.
    #[error("stopped at your request")]
    Cancelled,
    /// A plugin answers with an error.
    #[error("{kind} `{name}`: {message}")]
    Plugin {
        /// The kind of plugin.
        kind: Kind,
        /// The plugin.
        name: String,
        /// What it says.
        message: String,
    },
    /// A plugin answers with something that breaks its contract.
    #[error("{kind} `{name}` breaks its contract: {problem}; please tell its author")]
    Contract {
        /// The kind of plugin.
        kind: Kind,
        /// The plugin.
        name: String,
        /// What is wrong with its answer.
        problem: String,
    },
}

impl HostError {
    /// The host's form of an error that a plugin answers with.
    pub(crate) fn of_plugin(kind: Kind, name: &str, error: PluginError, allowed: &[String]) -> Self {
        let (name, message) = (name.to_owned(), error.message.to_string());
        match error.code {
            ErrorCode::OPTIONS => {
                let detail: serde_json::Value = serde_json::from_str(&error.detail).unwrap_or_default();
                let option = detail["option"].as_str().unwrap_or_default().to_owned();
                Self::Option { kind, name, option, message, allowed: allowed.to_vec() }
            }
            ErrorCode::CANCELLED => Self::Cancelled,
            _ => Self::Plugin { kind, name, message },
        }
    }
}
