use std::fmt::Write;

use expanse_metrics::Scores;

use crate::Metrics;

/// One number of the scores.
type Score = fn(&Scores) -> f64;

/// The result as a table: the scores of both models, then recall and gap by class.
pub fn table(metrics: &Metrics, classes: &[String], training_counts: &[u64]) -> String {
    let Metrics { baseline, three_phase, gap, seconds } = metrics;
    let mut text = String::new();
    let _ = writeln!(text, "{:<26}{:>10}{:>13}{:>9}", "on the test set", "baseline", "three-phase", "change");
    let rows: [(&str, Score); 8] = [
        ("accuracy", |s| s.accuracy),
        ("balanced accuracy (BAC)", |s| s.bac),
        ("G-mean", |s| s.gmean),
        ("GM (macro)", |s| s.gm_macro),
        ("macro F1 (FM)", |s| s.fm),
        ("macro precision", |s| s.macro_precision),
        ("worst-class recall", |s| s.worst_recall),
        ("calibration error (ECE)", |s| s.ece),
    ];
    for (name, score) in rows {
        let (before, after) = (score(baseline), score(three_phase));
        let _ = writeln!(text, "{name:<26}{before:>10.4}{after:>13.4}{:>+9.4}", after - before);
    }
    if baseline.balanced_truth() {
        text.push_str("On this balanced test set accuracy is BAC, and GM (macro) is a function of it.\n");
    }

    let width = classes.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
    let _ = writeln!(
        text,
        "\n{:<width$}{:>7}{:>10}{:>13}   {:>10}{:>10}{:>10}{:>10}",
        "class", "train", "recall", "three-phase", "raw gap", "null", "matched", "after"
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
    let times: Vec<_> = seconds.iter().map(|(phase, seconds)| format!("{phase} {seconds:.1}")).collect();
    let _ = writeln!(text, "\nseconds: {}", times.join(", "));
    text
}
