//! Over-sampling of files by the driver, as a user starts it.

use std::{fs, path::Path, process::Output};

use expanse_tests::driver_command;

fn augment(arguments: &[&str], folder: &Path) -> Output {
    driver_command().current_dir(folder).args(["augment", "--no-build"]).args(arguments).output().unwrap()
}

/// Two classes of 12 and 4 rows as CSV.
fn csv() -> String {
    let row = |i: usize| {
        let class = if i < 12 { "cat" } else { "dog" };
        format!("{}.5,{},{class}\n", i % 5, i * i % 7)
    };
    (0..16).map(row).fold("a,b,class\n".to_owned(), |text, row| text + &row)
}

#[test]
fn a_file_is_balanced_as_the_flags_say() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.csv"), csv()).unwrap();
    let set = ["--labels", "class", "--set", "sampler.plugin=smote", "--set", "sampler.k_neighbors=2"];
    let run = |more: &[&str]| {
        let output = augment(&[&["x.csv", "--out", "y.csv"], &set[..], more].concat(), folder.path());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (String::from_utf8(output.stdout).unwrap(), fs::read_to_string(folder.path().join("y.csv")).unwrap())
    };
    let (told, first) = run(&["--format", "json"]);
    let lines: Vec<&str> = first.lines().collect();
    assert_eq!((lines[0], lines.len()), ("x0,x1,class", 1 + 12 + 12));
    assert_eq!((lines[1], lines[24].rsplit_once(',').unwrap().1), ("0.5,0,cat", "dog"));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["counts"][1], &told["audit"][1]["rows"]), (&4.into(), &8.into()));
    assert_eq!(run(&["--set", "threads=1"]).1, first, "the number of threads changes the rows");
    assert_ne!(run(&["--set", "seed=1"]).1, first);
    let half = run(&["--set", "augment.sampling_strategy=0.5"]).1;
    assert_eq!(half.lines().count(), 1 + 12 + 6);
}

#[test]
fn what_cannot_be_done_is_one_error_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.csv"), csv()).unwrap();
    let refused = |arguments: &[&str], parts: &[&str]| {
        let output = augment(arguments, folder.path());
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{told}");
        assert_eq!(told.matches("error: ").count(), 1, "{told}");
        for part in parts {
            assert!(told.contains(part), "`{part}` is not in: {told}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{arguments:?} leaves a file");
    };
    refused(&["x.csv", "--out", "y.csv"], &["x.csv", "it holds no `labels`", "class"]);
    let labels = ["--labels", "class"];
    let with = |more: &[&'static str]| [&["x.csv"][..], &labels, more].concat();
    refused(&with(&["--out", "y.npz"]), &["these are words"]);
    refused(&with(&["--out", "y.mat"]), &["y.mat", ".safetensors, .npy, .npz, .csv"]);
    refused(&with(&["--out", "y.parquet"]), &["y.parquet", "`cargo xtask-parquet`"]);
    refused(&["z.parquet", "--out", "y.csv"], &["z.parquet", "`cargo xtask-parquet`"]);
    refused(&with(&["--out", "y.csv", "--set", "sampler.plugin=smot"]), &["did you mean `smote`?"]);
    refused(
        &with(&["--out", "y.csv", "--set", "augment.sampling_strategy=[12,3]"]),
        &["class 1 has 4 samples"],
    );
    refused(&["z.csv", "--out", "y.csv"], &["z.csv", "cannot be read"]);
}
