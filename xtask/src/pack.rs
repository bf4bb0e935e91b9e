//! `plugin pack`: what an author gives to others.

use std::{fs, path::Path};

use expanse_domain::sha256;
use expanse_host::{Host, Sidecar, TARGET};

use crate::{cli::PackPluginOptions, describe, error::Error, plugins};

/// `plugin pack`: a folder with the library and its manifest, which appears when it is whole.
pub fn pack(options: &PackPluginOptions) -> Result<(), Error> {
    let file = &options.file;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    let bytes = fs::read(file).map_err(failed(file))?;
    let wrong = |message: &str| Error::PluginFile { path: file.clone(), message: message.into() };
    // The author of a library trusts it; it is asked in a process of its own all the same.
    let (kind, manifest) = describe::manifest(&Host::new(Vec::new()).with_worker(plugins::worker()?), file)?;
    let hash = sha256(&bytes);
    if fs::read(file).map_err(failed(file))? != bytes {
        return Err(wrong("the file changes while it is packed; wait for its build to end"));
    }
    let name = file.file_name().ok_or_else(|| wrong("this is no file"))?;
    let stem = file.file_stem().unwrap_or(name).to_string_lossy();
    let version = &manifest.version;
    let folder = options.out.join(format!("{}-{version}-{TARGET}", stem.trim_start_matches("lib")));
    if folder.exists() {
        let message = "this is there already; remove it, or raise the plugin's version".into();
        return Err(Error::PluginFile { path: folder, message });
    }
    fs::create_dir_all(&options.out).map_err(failed(&options.out))?;
    let partial = options.out.join(format!(".{}.{}.partial", stem, std::process::id()));
    let written = write(&partial, name.as_ref(), &bytes, &Sidecar::of(kind, &manifest, &hash))
        .and_then(|()| fs::rename(&partial, &folder));
    if let Err(source) = written {
        // What cannot be removed either is named by the error.
        let _ = fs::remove_dir_all(&partial);
        return Err(Error::File { path: partial, source });
    }
    println!("{}", folder.display());
    Ok(())
}

fn write(folder: &Path, name: &Path, bytes: &[u8], sidecar: &Sidecar) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let library = folder.join(name);
    fs::write(&library, bytes)?;
    fs::write(Sidecar::path(&library), sidecar.to_toml())
}
