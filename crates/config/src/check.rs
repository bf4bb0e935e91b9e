use figment::value::{Dict, Num, Value};

use crate::{
    ClassWeighting, ConfigError, Experiment, HeadMethod, Hint, Profile, Schedule, Selection, document::join,
    extraction::kind, origin::Origins, settings::Settings,
};

/// Beyond this all images are mixed in equal shares.
const LARGEST_ALPHA: f64 = 1000.0;

/// Every key that a place sets must be one of the defaults, save for the options of a plugin; tables must be
/// tables, and numbers finite.
pub(crate) fn keys(settings: &Settings, known: &Dict) -> Result<(), ConfigError> {
    table(settings, &settings.values, known, "")
}

/// Ranges, and values that depend on one another.
pub(crate) fn ranges(experiment: &Experiment, origins: &Origins) -> Result<(), ConfigError> {
    let check = Check(origins);
    let Experiment { data, train, finetune, .. } = experiment;
    let classes = data.classes.len();
    check.that(!data.folder.is_empty(), "data.folder", "empty", "the folder of the data set's files")?;
    check.that(
        classes != 1,
        "data.classes",
        list(classes),
        "2 names or more, or none, to take those of the files",
    )?;
    check.that(data.image_size >= 8, "data.image_size", data.image_size, "8 pixels or more")?;
    let share = data.test_share;
    check.that(share > 0.0 && share <= 0.5, "data.test_share", share, "a share in (0, 0.5]")?;
    check.that(data.ratio >= 1.0, "data.ratio", data.ratio, "1 or more")?;
    check.that(
        (0.0..=0.5).contains(&data.validation),
        "data.validation",
        data.validation,
        "a share in [0, 0.5]",
    )?;
    let counted = data.profile != Profile::Counts || classes == 0 || data.counts.len() == classes;
    check.that(
        counted,
        "data.counts",
        list(data.counts.len()),
        format_args!("{classes}, one for each class, as data.profile is `counts`"),
    )?;
    schedule("train", &train.schedule, &check)?;
    let held_out = train.selection == Selection::Last || data.validation > 0.0;
    check.that(
        held_out,
        "train.selection",
        "`validation`",
        "`last` while no images are held out; set data.validation above 0",
    )?;
    let validated = train.selection == Selection::Validation;
    check.that(
        train.patience == 0 || validated,
        "train.patience",
        train.patience,
        match data.validation > 0.0 {
            true => "0 while train.selection is `last`; set that to `validation`",
            false => {
                "0 while no images are held out; set data.validation above 0 and train.selection to `validation`"
            }
        },
    )?;
    check.that(
        (0.0..=LARGEST_ALPHA).contains(&train.mixup),
        "train.mixup",
        train.mixup,
        format_args!("an alpha from 0, which mixes nothing, to {LARGEST_ALPHA}"),
    )?;
    let strategy = &experiment.augment.sampling_strategy;
    check.that(
        is_strategy(strategy),
        "augment.sampling_strategy",
        strategy,
        "a name, a ratio above 0 or a list of counts",
    )?;
    let memory = experiment.augment.memory_gib;
    check.that(memory >= 0.0, "augment.memory_gib", memory, "0 or more")?;
    schedule("finetune", &finetune.schedule, &check)?;
    check.that(finetune.tau >= 0.0, "finetune.tau", finetune.tau, "0 or more")?;
    check.that(
        !finetune.soft_labels || finetune.method == HeadMethod::OverSampled,
        "finetune.soft_labels",
        finetune.soft_labels,
        format_args!(
            "false while finetune.method is `{}`, which has no synthetic rows",
            finetune.method.name()
        ),
    )?;
    check.that(experiment.gap.draws >= 1, "gap.draws", experiment.gap.draws, "1 or more")
}

fn schedule(phase: &str, schedule: &Schedule, check: &Check) -> Result<(), ConfigError> {
    let Schedule { epochs, batch_size, learning_rate, momentum, weight_decay, clip_norm, .. } = schedule;
    let Schedule { milestones, factors, class_weighting, class_weighting_from: from, .. } = schedule;
    let key = |name| join(phase, name);
    check.that(*epochs >= 1, &key("epochs"), epochs, "1 or more")?;
    check.that(*batch_size >= 1, &key("batch_size"), batch_size, "1 or more")?;
    check.that(*learning_rate > 0.0, &key("learning_rate"), learning_rate, "a number above 0")?;
    check.that((0.0..1.0).contains(momentum), &key("momentum"), momentum, "a number in [0, 1)")?;
    check.that(*weight_decay >= 0.0, &key("weight_decay"), weight_decay, "0 or more")?;
    check.that(*clip_norm >= 0.0, &key("clip_norm"), clip_norm, "0 or more")?;
    check.that((0.0..=1.0).contains(from), &key("class_weighting_from"), from, "a share in [0, 1]")?;
    check.that(
        *from == 0.0 || *class_weighting != ClassWeighting::None,
        &key("class_weighting_from"),
        from,
        format_args!("0 while {} is `none`: there is nothing to defer", key("class_weighting")),
    )?;
    let shares = milestones.iter().all(|m| *m > 0.0 && *m <= 1.0) && milestones.is_sorted_by(|a, b| a < b);
    check.that(shares, &key("milestones"), format!("{milestones:?}"), "ascending shares in (0, 1]")?;
    check.that(
        factors.iter().all(|f| *f >= 0.0),
        &key("factors"),
        format!("{factors:?}"),
        "numbers of 0 or more",
    )?;
    // Two lists disagree: the one that was set last is to be mended.
    let mut lists = [(key("milestones"), milestones.len()), (key("factors"), factors.len())];
    lists.sort_by_key(|(key, _)| check.0.near(key).layer);
    let [(other, len), (key, found)] = &lists;
    check.that(found == len, key, list(*found), format_args!("{len}, one for each of {other}"))
}

/// Refuses values at the place that set them.
struct Check<'a>(&'a Origins);

impl Check<'_> {
    fn that(
        &self,
        holds: bool,
        key: &str,
        found: impl ToString,
        expected: impl ToString,
    ) -> Result<(), ConfigError> {
        if holds {
            return Ok(());
        }
        let origin = Box::new(self.0.near(key));
        Err(ConfigError::value(origin, key, found.to_string(), expected.to_string()))
    }
}

fn list(len: usize) -> String {
    format!("a list of {len}")
}

fn is_strategy(value: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match value {
        Json::String(_) => true,
        Json::Number(ratio) => ratio.as_f64().is_some_and(|ratio| ratio > 0.0),
        Json::Array(counts) => counts.iter().all(Json::is_u64),
        _ => false,
    }
}

fn table(settings: &Settings, values: &Dict, known: &Dict, path: &str) -> Result<(), ConfigError> {
    for (key, value) in values {
        let full = join(path, key);
        let origin = || Box::new(settings.origin(&full));
        let Some(expected) = known.get(key) else {
            let hint = Hint::new(key, known.keys().map(String::as_str));
            return Err(ConfigError::UnknownKey {
                origin: origin(),
                key: key.clone(),
                table: path.to_owned(),
                hint,
            });
        };
        match (expected.as_dict(), value.as_dict()) {
            (Some(known), None) => {
                let example =
                    known.keys().next().map_or(String::new(), |key| format!(", as in {full}.{key}"));
                let expected = format!("a table{example}");
                return Err(ConfigError::value(origin(), &full, kind(&value.to_actual()), expected));
            }
            // A table with a plugin is open: its other keys are the plugin's.
            (Some(known), Some(values)) if !known.contains_key("plugin") => {
                table(settings, values, known, &full)?
            }
            _ => finite(settings, value, &full)?,
        }
    }
    Ok(())
}

/// JSON, and so the record of a run, has no other numbers.
fn finite(settings: &Settings, value: &Value, path: &str) -> Result<(), ConfigError> {
    match value {
        Value::Num(_, Num::F64(number)) if !number.is_finite() => {
            let origin = Box::new(settings.origin(path));
            Err(ConfigError::value(origin, path, number.to_string(), "a finite number".into()))
        }
        Value::Array(_, entries) => entries.iter().try_for_each(|entry| finite(settings, entry, path)),
        Value::Dict(_, entries) => {
            entries.iter().try_for_each(|(key, value)| finite(settings, value, &join(path, key)))
        }
        _ => Ok(()),
    }
}
