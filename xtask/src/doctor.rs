//! `doctor`: what this machine offers, what is here, and what to do about what is not.

use std::{path::Path, thread};

use expanse_config::data_sets;
use expanse_data::DataSet;
use expanse_host::{Host, Kind};

use crate::{
    cli::{DEFAULT_EXPERIMENT, PluginOptions, Source},
    data, error,
    error::Error,
    machine, on_demand, plugins, show, workspace,
};

/// Free disk below which a run may not find room: embeddings and two models of a large data set.
const LITTLE_DISK: u64 = 1 << 30;

/// `doctor`.
pub fn command(options: &PluginOptions) -> Result<(), Error> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    told(true, "cores", &cores.to_string());
    told(true, "instructions", &instructions());
    match machine::memory() {
        Some(memory) => told(true, "memory", &gib(memory)),
        None => told(false, "memory", "the system does not tell how much there is"),
    }
    let source = Source { experiment: DEFAULT_EXPERIMENT.into(), set: Vec::new() };
    let runs = workspace::root().join(show::resolved(&source, &[])?.experiment.run.folder);
    disk(&runs);
    for name in data_sets(&workspace::config_folder())? {
        match data::find(&name) {
            Ok((folder, DataSet { train, test })) => {
                let (train, test) = (train.len(), test.len());
                told(
                    true,
                    &name,
                    &format!("{train} training and {test} test images in {}", folder.display()),
                );
            }
            Err(error) => told(false, &name, &error::chain(&error)),
        }
    }
    let host = plugins::host(options)?;
    for kind in Kind::ALL {
        let mut names = Vec::new();
        for found in host.list().into_iter().filter(|found| found.kind == kind) {
            match host.manifest(&found) {
                Ok(manifest) => names.extend(manifest.plugins.into_iter().map(|plugin| plugin.name)),
                Err(error) => told(false, kind.name(), &error.to_string()),
            }
        }
        match names.is_empty() {
            false => told(true, kind.name(), &names.join(", ")),
            true => told(
                false,
                kind.name(),
                "no plugin is here; `cargo xtask plugin list` builds those of the workspace",
            ),
        }
    }
    devices(&host);
    for member in on_demand::members()?.iter().filter(|member| member.found(&host).is_none()) {
        told(false, &device_of(&member.name), &format!("not built; `{}` builds it, once", member.command()));
    }
    Ok(())
}

/// Which backends have a device here.
fn devices(host: &Host) {
    for found in host.list().into_iter().filter(|found| found.kind == Kind::Backend) {
        // What has no manifest has been told of.
        let plugins = host.manifest(&found).map(|manifest| manifest.plugins).unwrap_or_default();
        for plugin in plugins {
            let device = host.device(&found, &plugin.name);
            told(device.is_ok(), &device_of(&plugin.name), &plugins::device(device));
        }
    }
}

fn device_of(backend: &str) -> String {
    format!("device of {backend}")
}

fn told(good: bool, what: &str, text: &str) {
    println!("{:<9}{what:<24}{text}", if good { "ok" } else { "missing" });
}

/// What the kernels of backends choose by.
fn instructions() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let known = [
            ("AVX2", is_x86_feature_detected!("avx2")),
            ("FMA", is_x86_feature_detected!("fma")),
            ("AVX-512", is_x86_feature_detected!("avx512f")),
        ];
        let there: Vec<_> = known.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
        format!(
            "x86_64, {}",
            if there.is_empty() { "no vectors beyond SSE2".into() } else { there.join(", ") }
        )
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::env::consts::ARCH.into()
}

#[cfg(unix)]
fn disk(runs: &Path) {
    // The folder may not be there yet: the nearest one around it is on the same disk.
    let there = runs.ancestors().find(|folder| folder.exists()).unwrap_or(runs);
    match rustix::fs::statvfs(there) {
        Ok(disk) => {
            let free = disk.f_bavail * disk.f_frsize;
            let text = format!("{} free for runs in {}", gib(free), runs.display());
            let little =
                if free < LITTLE_DISK { "; free some, or choose another place with run.folder" } else { "" };
            told(free >= LITTLE_DISK, "disk", &format!("{text}{little}"));
        }
        Err(error) => told(false, "disk", &format!("{}: {error}", there.display())),
    }
}

#[cfg(not(unix))]
fn disk(_: &Path) {}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}
