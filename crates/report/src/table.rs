use std::fmt::Write;

use expanse_metrics::Scores;
use expanse_sampling::ClassAudit;

use crate::{Epochs, Metrics};

/// One number of the scores.
type Score = fn(&Scores) -> f64;

/// The scores that are shown, by name.
const SCORES: [(&str, Score); 8] = [
    ("accuracy", |s| s.accuracy),
    ("balanced accuracy (BAC)", |s| s.bac),
    ("G-mean", |s| s.gmean),
    ("GM (macro)", |s| s.gm_macro),
    ("macro F1 (FM)", |s| s.fm),
    ("macro precision", |s| s.macro_precision),
    ("worst-class recall", |s| s.worst_recall),
    ("calibration error (ECE)", |s| s.ece),
];

const BALANCED: &str = "On this balanced test set accuracy is BAC, and GM (macro) is a function of it.\n";

/// The scores of one model as a table, with the recall of each class.
pub fn scores_table(scores: &Scores, classes: &[String]) -> String {
    let mut text = String::new();
    for (name, score) in SCORES {
        let _ = writeln!(text, "{name:<26}{:>10.4}", score(scores));
    }
    if scores.balanced_truth() {
        text.push_str(BALANCED);
    }
    let width = classes.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
    let _ = writeln!(text, "\n{:<width$}{:>8}{:>10}", "class", "images", "recall");
    for ((name, recall), counted) in classes.iter().zip(&scores.recall).zip(&scores.confusion) {
        let _ = writeln!(text, "{name:<width$}{:>8}{recall:>10.4}", counted.iter().sum::<u64>());
    }
    text
}

/// The result as a table: the scores of both models, then recall and gap by class.
pub fn table(metrics: &Metrics, classes: &[String], training_counts: &[u64]) -> String {
    let Metrics { train, baseline, three_phase, gap, audit, seconds, .. } = metrics;
    let model = metrics.model();
    let mut text = String::new();
    let _ = writeln!(text, "{:<26}{:>10}{model:>13}{:>9}", "on the test set", "baseline", "change");
    for (name, score) in SCORES {
        let (before, after) = (score(baseline), score(three_phase));
        let _ = writeln!(text, "{name:<26}{before:>10.4}{after:>13.4}{:>+9.4}", after - before);
    }
    if baseline.balanced_truth() {
        text.push_str(BALANCED);
    }

    let width = classes.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
    let _ = writeln!(
        text,
        "\n{:<width$}{:>7}{:>10}{model:>13}   {:>10}{:>10}{:>10}{:>10}",
        "class", "train", "recall", "raw gap", "null", "matched", "after"
    );
    let (before, after) = (&gap.before.by_class, &gap.after.by_class);
    for (class, name) in classes.iter().enumerate() {
        let _ = writeln!(
            text,
            "{name:<width$}{:>7}{:>10.4}{:>13.4}   {:>10.3}{:>10.3}{:>10.3}{:>10.3}",
            training_counts[class],
            baseline.recall[class],
            three_phase.recall[class],
            before.raw[class],
            before.null[class],
            before.size_matched[class],
            after.size_matched[class],
        );
    }
    let (before, after) = (gap.before.mean, gap.after.mean);
    let _ = writeln!(
        text,
        "{:<width$}{:>7}{:>10.4}{:>13.4}   {:>10.3}{:>10.3}{:>10.3}{:>10.3}",
        "mean",
        "",
        baseline.bac,
        three_phase.bac,
        before.raw,
        before.null,
        before.size_matched,
        after.size_matched
    );
    text.push_str(
        "raw gap: how far test embeddings fall outside the training range; null: the same without any shift;\n\
         matched: raw − null at equal sizes; after: matched, with the synthetic embeddings in the range.\n",
    );
    text.push('\n');
    text.push_str(&audit_table(audit, classes));
    if train.trained < train.planned {
        let Epochs { planned, trained, kept } = train;
        let _ = writeln!(
            text,
            "\nphase 1 ended early, after epoch {trained} of {planned}; the weights are those of epoch {kept}"
        );
    }
    let times: Vec<_> = seconds.iter().map(|(phase, seconds)| format!("{phase} {seconds:.1}")).collect();
    let _ = writeln!(text, "\nseconds: {}", times.join(", "));
    text
}

/// What the synthetic rows look like, class by class; nothing where none were made.
pub fn audit_table(audits: &[ClassAudit], classes: &[String]) -> String {
    let mut text = String::new();
    if audits.iter().all(|audit| audit.rows == 0) {
        return text;
    }
    let width = classes.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
    let _ = writeln!(
        text,
        "{:<width$}{:>11}{:>12}{:>10}{:>12}{:>13}{:>17}",
        "class", "synthetic", "to enemies", "strayed", "duplicates", "suggested K", "suggested r_max"
    );
    let share = |share: Option<f64>| share.map_or("-".into(), |share| format!("{share:.4}"));
    for (audit, name) in audits.iter().zip(classes).filter(|(audit, _)| audit.rows > 0) {
        let ClassAudit { rows, to_enemies, nearer_to_enemy, duplicates, suggested_k, suggested_r_max } =
            audit;
        let _ = writeln!(
            text,
            "{name:<width$}{rows:>11}{:>12}{:>10}{:>12}{:>13}{:>17}",
            share(*to_enemies),
            share(*nearer_to_enemy),
            share(*duplicates),
            suggested_k.map_or("-".into(), |k| k.to_string()),
            share(*suggested_r_max),
        );
    }
    text.push_str(
        "to enemies: made towards a real sample of another class; strayed: nearest to one;\n\
         duplicates: equal to a real sample or an earlier row; suggested K: half of the samples have an enemy near;\n\
         suggested r_max: nine of ten rows stay nearer to theirs.\n",
    );
    text
}
