use std::io;

use tracing_subscriber::EnvFilter;

/// Logs to stderr what the filter lets through; a filter that cannot be read falls back to warnings.
pub fn install(filter: &str) {
    let parsed = EnvFilter::try_new(filter);
    let broken = parsed.is_err();
    tracing_subscriber::fmt()
        .with_env_filter(parsed.unwrap_or_else(|_| EnvFilter::new("warn")))
        .with_writer(io::stderr)
        .without_time()
        .init();
    if broken {
        tracing::warn!("the log filter `{filter}` cannot be read; logging warnings");
    }
}
