//! What takes many minutes to compile is compiled only when asked for.

/// Packages that bring the compilers of GPUs, or a network, with them.
const HEAVY: [&str; 5] = ["burn-cubecl", "burn-cuda", "burn-remote", "burn-wgpu", "cubecl"];

/// Where the table above stands, for messages.
const HERE: &str = "xtask/src/tidy/heavy.rs";

/// A member of the workspace.
pub(super) struct Member {
    /// Its folder, from the root.
    pub folder: String,
    /// Whether cargo builds it where nothing is named.
    pub by_default: bool,
    /// All packages that its manifest names.
    pub needs: Vec<String>,
}

/// Only backends name heavy packages, and just those backends are no default members.
pub(super) fn check(members: &[Member]) -> Vec<String> {
    let problem = |Member { folder, by_default, needs }: &Member| {
        let heavy = needs.iter().find(|need| HEAVY.contains(&need.as_str()));
        match heavy {
            Some(need) if !folder.starts_with("plugins/backend-") => {
                Some(format!("{folder}: uses {need}; only backends may, move it to one"))
            }
            Some(need) if *by_default => Some(format!(
                "{folder}: uses {need}, which takes many minutes to compile; leave it out of default-members in Cargo.toml"
            )),
            None if !by_default => Some(format!(
                "{folder}: is never built by default and uses none of {}; add it to default-members in Cargo.toml, or \
                 what it uses to {HERE}",
                HEAVY.join(", ")
            )),
            _ => None,
        }
    };
    members.iter().filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heavy_packages_are_for_backends_that_are_built_when_asked_for() {
        let check = |folder: &str, by_default, need: &str, expected: Option<&str>| {
            let problems = check(&[Member { folder: folder.into(), by_default, needs: vec![need.into()] }]);
            assert_eq!(problems.len(), usize::from(expected.is_some()), "{problems:?}");
            assert!(problems.iter().all(|problem| problem.contains(expected.unwrap())), "{problems:?}");
        };
        check("plugins/backend-wgpu", false, "burn-wgpu", None);
        check("plugins/backend-flex", true, "burn-flex", None);
        check("plugins/backend-wgpu", true, "burn-wgpu", Some("leave it out of default-members"));
        check("plugins/head-linear", false, "burn", Some("is never built by default"));
        for by_default in [true, false] {
            check("crates/engine", by_default, "cubecl", Some("only backends may"));
            check("plugins/sampler-eos", by_default, "burn-cuda", Some("only backends may"));
        }
    }
}
