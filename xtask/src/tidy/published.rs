//! What is published can be: the sdk is for authors who have no checkout.

use cargo_metadata::DependencyKind;

/// A package that is to be published, with the packages of the workspace that it builds on.
pub(super) struct Published {
    /// Its folder, from the root.
    pub folder: String,
    pub needs: Vec<Need>,
}

/// A package of the workspace that a published one needs.
pub(super) struct Need {
    pub name: String,
    pub kind: DependencyKind,
    /// Whether it is itself to be published.
    pub published: bool,
    /// Whether the manifest asks for a version of it.
    pub versioned: bool,
}

/// A package builds on published ones only, and names their versions; its tests may use what they like.
pub(super) fn check(packages: &[Published]) -> Vec<String> {
    let needs = packages.iter().flat_map(|package| package.needs.iter().map(move |need| (package, need)));
    let built = needs.filter(|(_, need)| need.kind != DependencyKind::Development);
    let problem =
        |(Published { folder, .. }, Need { name, published, versioned, .. }): (&Published, &Need)| {
            let what = match (published, versioned) {
                (true, true) => return None,
                (false, _) => "which is not published; set `publish = true` there, or do without it",
                (true, false) => "without a version; name it beside the path in the workspace's Cargo.toml",
            };
            Some(format!("{folder}: is published and uses {name}, {what}"))
        };
    built.filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use DependencyKind::{Build, Development, Normal};

    #[test]
    fn a_published_package_stands_on_published_ones_with_versions() {
        let check = |kind, published, versioned, expected: Option<&str>| {
            let need = Need { name: "expanse-x".into(), kind, published, versioned };
            let problems = check(&[Published { folder: "crates/sdk".into(), needs: vec![need] }]);
            assert_eq!(problems.len(), usize::from(expected.is_some()), "{problems:?}");
            assert!(problems.iter().all(|problem| problem.contains(expected.unwrap())), "{problems:?}");
        };
        check(Normal, true, true, None);
        check(Development, false, false, None);
        check(
            Normal,
            false,
            true,
            Some("crates/sdk: is published and uses expanse-x, which is not published"),
        );
        check(Build, true, false, Some("crates/sdk: is published and uses expanse-x, without a version"));
    }
}
