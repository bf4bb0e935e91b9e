use std::{fs, path::Path};

use crate::ConfigError;

/// The name most like `word` (Jaro similarity above 0.7, whatever the case), the first of equals.
pub fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let alike =
        names.map(|name| (strsim::jaro(&word, &name.to_lowercase()), name)).filter(|(score, _)| *score > 0.7);
    alike.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, name)| name)
}

/// The names of the experiments in `config_folder`, sorted.
///
/// # Errors
///
/// [`ConfigError::Read`] if `config_folder/experiments` cannot be listed.
pub fn experiments(config_folder: &Path) -> Result<Vec<String>, ConfigError> {
    toml_files(&config_folder.join("experiments"))
}

/// The names of the data sets in `config_folder`, sorted.
///
/// # Errors
///
/// [`ConfigError::Read`] if `config_folder/data` cannot be listed.
pub fn data_sets(config_folder: &Path) -> Result<Vec<String>, ConfigError> {
    toml_files(&config_folder.join("data"))
}

/// The names of the `.toml` files in `folder`, without their ending.
pub(crate) fn toml_files(folder: &Path) -> Result<Vec<String>, ConfigError> {
    let unread = |source| ConfigError::Read { file: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        if let (Some(name), Some("toml")) = (path.file_stem(), path.extension().and_then(|end| end.to_str()))
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_close_or_absent() {
        let check = |word, expected| {
            let names = ["smote", "borderline-smote", "eos", "random"];
            assert_eq!(nearest(word, names.into_iter()), expected, "{word}");
        };
        check("smot", Some("smote"));
        check("EOS", Some("eos"));
        check("boderline_smote", Some("borderline-smote"));
        check("xyz", None);
        check("", None);
    }
}
