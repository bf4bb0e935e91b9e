use super::{resolve_in, resolve_x};

/// The whole message.
fn check(experiment: &str, environment: &[(&str, &str)], set: &[&str], expected: &str) {
    let message = resolve_x(experiment, environment, set).map(|_| ()).unwrap_err();
    assert_eq!(message, expected, "{experiment} {environment:?} {set:?}");
}

fn file(experiment: &str, expected: &str) {
    check(experiment, &[], &[], expected);
}

fn flag(argument: &str, expected: &str) {
    check("", &[], &[argument], &format!("--set {argument}: {expected}"));
}

#[test]
fn unknown_keys() {
    file(
        "seed = 1\n\n[augment]\nsampler_strategy = 'all'\n",
        "config/experiments/x.toml:4: unknown key `sampler_strategy` in [augment]; did you mean `sampling_strategy`?",
    );
    file(
        "seed = 1\n\n[sampel]\nplugin = 'eos'\n",
        "config/experiments/x.toml:3: unknown key `sampel`; did you mean `sampler`?",
    );
    file(
        "train.epochs.max = 1\n",
        "config/experiments/x.toml:1: train.epochs is a table, expected a whole number",
    );
    flag("gap.xyz=1", "unknown key `xyz` in [gap]; known: draws");
    check(
        "",
        &[("EXPANSE_TRAIN__EPOCH", "1")],
        &[],
        "EXPANSE_TRAIN__EPOCH: unknown key `epoch` in [train]; did you mean `epochs`?",
    );
    // A stronger value does not hide an unknown key.
    check(
        "sed = 1",
        &[],
        &["seed=2"],
        "config/experiments/x.toml:1: unknown key `sed`; did you mean `seed`?",
    );
}

#[test]
fn values_of_another_kind() {
    flag("train.epochs=many", "train.epochs is a string, expected a whole number");
    flag("finetune.epochs=1.5", "finetune.epochs is 1.5, expected a whole number");
    flag("seed=-1", "seed is -1, expected 0 or more");
    flag("train.momentum=true", "train.momentum is true, expected a number");
    flag("run.cache=1", "run.cache is 1, expected true or false");
    flag("run.folder=1", "run.folder is 1, expected a string");
    flag("train.milestones=0.5", "train.milestones is 0.5, expected a list");
    flag("train.milestones=[0.5, \"x\"]", "train.milestones[1] is a string, expected a number");
    flag("data.set=3", "data.set is 3, expected a string");
    flag("data.profile=1", "data.profile is 1, expected a string");
    flag("sampler.plugin=[]", "sampler.plugin is a list, expected a string");
    flag("sampler=smote", "sampler is a string, expected a table, as in sampler.plugin");
    flag("gap=[20]", "gap is a list, expected a table, as in gap.draws");
    flag("train.learning_rate=inf", "train.learning_rate is inf, expected a finite number");
    flag("loss.gamma=[nan]", "loss.gamma is NaN, expected a finite number");
    file(
        "\n[train]\nepochs = 'many'\n",
        "config/experiments/x.toml:3: train.epochs is a string, expected a whole number",
    );
    file("[backbone]\nplugin = 3\n", "config/experiments/x.toml:2: backbone.plugin is 3, expected a string");
    check("", &[("EXPANSE_SEED", "")], &[], "EXPANSE_SEED: seed is a string, expected a whole number");
}

#[test]
fn values_outside_their_range() {
    for phase in ["train", "finetune"] {
        let refused = |setting: &str, found: &str, expected: &str| {
            let key = setting.split('=').next().unwrap();
            flag(&format!("{phase}.{setting}"), &format!("{phase}.{key} is {found}, expected {expected}"));
        };
        refused("epochs=0", "0", "1 or more");
        refused("batch_size=0", "0", "1 or more");
        refused("learning_rate=0", "0", "a number above 0");
        refused("momentum=1.0", "1", "a number in [0, 1)");
        refused("momentum=-0.1", "-0.1", "a number in [0, 1)");
        refused("weight_decay=-1e-3", "-0.001", "0 or more");
        refused("clip_norm=-1", "-1", "0 or more");
        refused("class_weighting_from=1.5", "1.5", "a share in [0, 1]");
        let nothing = format!("0 while {phase}.class_weighting is `none`: there is nothing to defer");
        refused("class_weighting_from=0.8", "0.8", &nothing);
        refused("milestones=[0.9, 0.8]", "[0.9, 0.8]", "ascending shares in (0, 1]");
        refused("milestones=[0.8, 0.8]", "[0.8, 0.8]", "ascending shares in (0, 1]");
        refused("milestones=[0.0, 0.8]", "[0.0, 0.8]", "ascending shares in (0, 1]");
        refused("milestones=[0.8, 1.1]", "[0.8, 1.1]", "ascending shares in (0, 1]");
        refused("milestones=[0.8]", "a list of 1", &format!("2, one for each of {phase}.factors"));
        refused("factors=[0.1]", "a list of 1", &format!("2, one for each of {phase}.milestones"));
        refused("factors=[0.1, -1]", "[0.1, -1.0]", "numbers of 0 or more");
    }
    flag("train.mixup=-1", "train.mixup is -1, expected an alpha from 0, which mixes nothing, to 1000");
    flag("train.mixup=1e4", "train.mixup is 10000, expected an alpha from 0, which mixes nothing, to 1000");
    flag("gap.draws=0", "gap.draws is 0, expected 1 or more");
    flag("data.ratio=0.5", "data.ratio is 0.5, expected 1 or more");
    flag("data.validation=0.6", "data.validation is 0.6, expected a share in [0, 0.5]");
    flag("data.validation=-0.1", "data.validation is -0.1, expected a share in [0, 0.5]");
    flag("data.folder=\"\"", "data.folder is empty, expected the folder of the data set's files");
    flag(
        "data.classes=[\"a\"]",
        "data.classes is a list of 1, expected 2 names or more, or none, to take those of the files",
    );
    flag(
        "augment.sampling_strategy=0",
        "augment.sampling_strategy is 0, expected a name, a ratio above 0 or a list of counts",
    );
    flag(
        "augment.sampling_strategy=[1.5]",
        "augment.sampling_strategy is [1.5], expected a name, a ratio above 0 or a list of counts",
    );
    file(
        "data.profile = 'counts'\ndata.counts = [3]",
        "config/experiments/x.toml:2: data.counts is a list of 1, expected 2, one for each class, as data.profile is `counts`",
    );
    file(
        "[train]\nmomentum = 1.5\n",
        "config/experiments/x.toml:2: train.momentum is 1.5, expected a number in [0, 1)",
    );
}

#[test]
fn selection_on_validation_needs_held_out_images() {
    flag(
        "train.selection=validation",
        "train.selection is `validation`, expected `last` while no images are held out; set data.validation above 0",
    );
    assert!(resolve_x("", &[], &["train.selection=validation", "data.validation=0.1"]).is_ok());
}

#[test]
fn training_ends_early_only_where_a_best_epoch_is_selected() {
    flag(
        "train.patience=5",
        "train.patience is 5, expected 0 while no images are held out; set data.validation above 0 and train.selection to `validation`",
    );
    let held_out = ["data.validation=0.1", "train.patience=5"];
    check(
        "",
        &[],
        &held_out,
        "--set train.patience=5: train.patience is 5, expected 0 while train.selection is `last`; set that to `validation`",
    );
    let selected = ["data.validation=0.1", "train.patience=5", "train.selection=validation"];
    assert_eq!(resolve_x("", &[], &selected).unwrap().experiment.train.patience, 5);
}

#[test]
fn what_belongs_to_another_method_of_the_head_is_refused() {
    flag("finetune.tau=-1", "finetune.tau is -1, expected 0 or more");
    check(
        "",
        &[],
        &["finetune.method=crt", "finetune.soft_labels=true"],
        "--set finetune.soft_labels=true: finetune.soft_labels is true, expected false while finetune.method is `crt`, which has no synthetic rows",
    );
    for method in ["over-sampled", "crt", "lws", "tau-norm", "ncm"] {
        let experiment = resolve_x("", &[], &[&format!("finetune.method={method}")]).unwrap().experiment;
        assert_eq!(experiment.finetune.method.name(), method);
    }
}

#[test]
fn each_phase_has_an_optimizer_and_a_decay_of_its_own() {
    let set = ["train.optimizer=adamw", "train.decay=cosine", "finetune.optimizer=nesterov"];
    let experiment = resolve_x("", &[], &set).unwrap().experiment;
    let of = |schedule: &crate::Schedule| (schedule.optimizer, schedule.decay);
    assert_eq!(of(&experiment.train.schedule), (crate::OptimizerName::AdamW, crate::Decay::Cosine));
    assert_eq!(of(&experiment.finetune.schedule), (crate::OptimizerName::Nesterov, crate::Decay::Step));
}

#[test]
fn unknown_names() {
    flag(
        "train.optimizer=adanw",
        "train.optimizer is `adanw`, expected one of sgd, nesterov, adam, adamw; did you mean `adamw`?",
    );
    flag(
        "finetune.method=tau",
        "finetune.method is `tau`, expected one of over-sampled, crt, lws, tau-norm, ncm; did you mean `tau-norm`?",
    );
    flag(
        "finetune.decay=cosin",
        "finetune.decay is `cosin`, expected one of step, cosine; did you mean `cosine`?",
    );
    flag(
        "data.profile=stepp",
        "data.profile is `stepp`, expected one of natural, exponential, step, counts; did you mean `step`?",
    );
    flag(
        "finetune.class_weighting=effective",
        "finetune.class_weighting is `effective`, expected one of none, inverse, effective-number; did you mean `effective-number`?",
    );
    flag("train.selection=xyz", "train.selection is `xyz`, expected one of last, validation");
    file(
        "[finetune]\nhead_init = 'frsh'\n",
        "config/experiments/x.toml:2: finetune.head_init is `frsh`, expected one of fresh, phase1; did you mean `fresh`?",
    );
}

#[test]
fn missing_files() {
    flag(
        "data.set=photo",
        "no data set `photo` in config/data; did you mean `photos`?\nexisting: fashion-mnist-lt, photos, stray",
    );
    file(
        "\ndata.set = 'xyz'\n",
        "config/experiments/x.toml:2: no data set `xyz` in config/data\nexisting: fashion-mnist-lt, photos, stray",
    );
    check(
        "data.set = 'stray'",
        &[],
        &[],
        "config/data/stray.toml:2: data.set is `photos`, expected `stray`, or no such key, in the file of that data set",
    );
    file(
        "protocol = 'quik'\n",
        "config/experiments/x.toml:1: no protocol `quik` in config/protocols; did you mean `quick`?\nexisting: quick, stray",
    );
    flag("protocol=3", "protocol is 3, expected a string");
    check(
        "protocol = 'stray'",
        &[],
        &[],
        "config/protocols/stray.toml:1: data.set is `photos`, expected no such key in the file of a protocol; experiments and flags choose it",
    );

    let folder = tempfile::tempdir().unwrap();
    let message = |experiment| resolve_in(folder.path(), Some(experiment), &[], &[]).unwrap_err().to_string();
    let path = folder.path().display();
    assert_eq!(
        message("x"),
        format!("cannot read {path}/experiments: No such file or directory (os error 2)")
    );
    std::fs::create_dir(folder.path().join("experiments")).unwrap();
    assert_eq!(message("x"), format!("no experiment `x` in {path}/experiments\nexisting: none"));
    std::fs::write(folder.path().join("experiments/cifar10-paper.toml"), "").unwrap();
    assert_eq!(
        message("cifar10"),
        format!(
            "no experiment `cifar10` in {path}/experiments; did you mean `cifar10-paper`?\nexisting: cifar10-paper"
        ),
    );
    assert!(message("mine.toml").starts_with("cannot read mine.toml: "));
}

#[test]
fn broken_toml() {
    file("seed = 1\n[train\n", "config/experiments/x.toml:2:7: unclosed table, expected `]`");
    file("seed = 1\nseed = 2\n", "config/experiments/x.toml:2:1: duplicate key");
}

#[test]
fn keys_that_are_none() {
    let form = "names no key, expected --set table.key=value";
    for argument in ["train.epochs", "=3", ".seed=1", "train..epochs=1", ""] {
        flag(argument, form);
    }
    check("", &[("EXPANSE_", "1")], &[], "EXPANSE_: names no key, expected EXPANSE_TABLE__KEY");
}

#[test]
fn options_that_a_plugin_refuses() {
    let resolved = resolve_x(
        "[sampler]\nplugin = 'eos'\nk_neighbours = 3\n[sampler.a]\nb = 1\n",
        &[],
        &["loss.gamma=x"],
    )
    .unwrap();
    let check = |stage, option, allowed: &[&str], expected: &str| {
        let allowed: Vec<String> = allowed.iter().map(|name| name.to_string()).collect();
        let message = resolved.option_error(stage, option, "no", &allowed).to_string();
        assert!(message.ends_with(expected), "{message}");
    };
    let k = ["compat", "k_neighbors"];
    check(
        "sampler",
        "k_neighbours",
        &k,
        "/experiments/x.toml:3: sampler.k_neighbours: no; did you mean `k_neighbors`?",
    );
    check("sampler", "a", &[], "/experiments/x.toml:5: sampler.a: no");
    check("sampler", "a", &k, "; known: compat, k_neighbors");
    check("loss", "gamma", &["gamma"], "--set loss.gamma=x: loss.gamma: no");
    // An option that is required but not set: the place that names the plugin.
    check("sampler", "compat", &k, "/experiments/x.toml:2: sampler.compat: no");
}
