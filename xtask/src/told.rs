//! Errors as people see them: the message, the place in its file, the next command.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use expanse_config::Mark;

use crate::error::{self, Error};

/// Tells an error on stderr; colours are left out where that is no terminal, or where `NO_COLOR` asks for it.
pub fn error(error: &Error) {
    anstream::eprintln!("{}", rendered(error, &Renderer::styled()));
}

fn rendered(error: &Error, renderer: &Renderer) -> String {
    let (message, mark) = (error::chain(error), error.mark());
    let title = Level::ERROR.primary_title(message);
    let told = match &mark {
        Some(Mark { file, text, span }) => {
            let snippet = Snippet::source(text).path(file.display().to_string());
            title.element(snippet.annotation(AnnotationKind::Primary.span(span.clone())))
        }
        None => Group::with_title(title),
    };
    let next = error.next().map(|next| Group::with_title(Level::HELP.primary_title(next)));
    match (&mark, next) {
        // Only what belongs to a place is joined by lines.
        (None, Some(next)) => format!("{}\n{}", renderer.render(&[told]), renderer.render(&[next])),
        (_, next) => renderer.render(&[told].into_iter().chain(next).collect::<Vec<_>>()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use expanse_config::{Sources, resolve};
    use expanse_data::EmbeddingsError;

    use super::*;

    /// What is told of an experiment that is wrong, without colours.
    #[track_caller]
    fn check(experiment: &str, set: &[&str], expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        fs::write(&file, experiment).unwrap();
        let set: Vec<String> = set.iter().map(|&set| set.into()).collect();
        let sources = Sources {
            config_folder: &crate::workspace::config_folder(),
            experiment: file.to_str(),
            environment: Vec::<(String, String)>::new(),
            set: &set,
        };
        let error = Error::from(resolve(sources).map(|_| ()).unwrap_err());
        let told = rendered(&error, &Renderer::plain());
        assert_eq!(told.replace(&format!("{}/", folder.path().display()), ""), expected);
    }

    #[test]
    fn what_is_to_be_mended_is_shown_in_its_file() {
        check(
            "seed = 1\n\n[augment]\nsampler_strategy = 'all' # every class\n",
            &[],
            "\
error: x.toml:4: unknown key `sampler_strategy` in [augment]; did you mean `sampling_strategy`?
 --> x.toml:4:1
  |
4 | sampler_strategy = 'all' # every class
  | ^^^^^^^^^^^^^^^^
  |
help: `cargo xtask config show` prints every key",
        );
        check(
            "[train]\nepochs = 0\n",
            &[],
            "\
error: x.toml:2: train.epochs is 0, expected 1 or more
 --> x.toml:2:10
  |
2 | epochs = 0
  |          ^
  |
help: `cargo xtask config explain train.epochs` tells its meaning and what every layer says of it",
        );
        check(
            "[train]\nepochs = = 1\n",
            &[],
            "\
error: x.toml:2:10: extra `=`, expected nothing
 --> x.toml:2:10
  |
2 | epochs = = 1
  |          ^",
        );
        check(
            "",
            &["train.epochs=0"],
            "\
error: --set train.epochs=0: train.epochs is 0, expected 1 or more
help: `cargo xtask config explain train.epochs` tells its meaning and what every layer says of it",
        );
    }

    #[test]
    fn what_is_not_built_is_told_with_the_command_that_builds_it() {
        let error = Error::from(EmbeddingsError::NoParquet { path: "x.parquet".into() });
        assert_eq!(
            rendered(&error, &Renderer::plain()),
            "\
error: x.parquet: this build can use no Parquet; build it with the feature `parquet`, or use .csv
help: `cargo xtask-parquet` does what `cargo xtask` does, and is built with that feature"
        );
        let aliases = fs::read_to_string(crate::workspace::root().join(".cargo/config.toml")).unwrap();
        assert!(
            aliases.contains("\nxtask-parquet = \"run --package xtask --features parquet --\""),
            "{aliases}"
        );
    }
}
