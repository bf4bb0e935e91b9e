use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// Where a data folder lies: an absolute one where it says, a relative one below the first base that has it.
///
/// An absolute folder is not looked at; loading tells whether it is there.
pub fn search(folder: &Path, bases: &[PathBuf]) -> Option<PathBuf> {
    if folder.is_absolute() {
        return Some(folder.into());
    }
    bases.iter().map(|base| base.join(folder)).find(|candidate| candidate.is_dir())
}

/// The folders in which systems install data sets: `datasets` below each of `XDG_DATA_DIRS`.
///
/// Source: XDG Base Directory Specification, which also gives the value for an unset variable and ignores
/// relative entries.
pub fn standard_bases() -> Vec<PathBuf> {
    bases_of(env::var_os("XDG_DATA_DIRS").as_deref())
}

fn bases_of(data_dirs: Option<&OsStr>) -> Vec<PathBuf> {
    let dirs = data_dirs.filter(|dirs| !dirs.is_empty()).unwrap_or(OsStr::new("/usr/local/share:/usr/share"));
    env::split_paths(dirs).filter(|dir| dir.is_absolute()).map(|dir| dir.join("datasets")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_first_base_that_has_the_folder_wins() {
        let root = TempDir::new().unwrap();
        let bases = ["a", "b", "c"].map(|base| root.path().join(base));
        for base in &bases[1..] {
            fs::create_dir_all(base.join("mnist")).unwrap();
        }
        assert_eq!(search(Path::new("mnist"), &bases), Some(bases[1].join("mnist")));
        assert_eq!(search(Path::new("cifar"), &bases), None);
        let absolute = root.path().join("absent");
        assert_eq!(search(&absolute, &bases), Some(absolute));
    }

    #[test]
    #[cfg(unix)]
    fn bases_follow_the_environment() {
        let bases = |dirs: &str| bases_of(Some(OsStr::new(dirs)));
        let standard = ["/usr/local/share/datasets", "/usr/share/datasets"].map(PathBuf::from);
        assert_eq!((bases_of(None), bases("")), (standard.to_vec(), standard.to_vec()));
        assert_eq!(
            bases("/opt/data::relative:/srv"),
            ["/opt/data/datasets", "/srv/datasets"].map(PathBuf::from)
        );
    }
}
