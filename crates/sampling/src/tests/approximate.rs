use super::*;

/// So many samples of class 1 that their neighbours are not compared one by one, and a few of class 0 among them.
fn many() -> Example {
    let mut rng = Seed(6).rng();
    let rows: Vec<[f32; 8]> = (0..4500).map(|_| std::array::from_fn(|_| rng.unit_f32())).collect();
    let mut labels = [vec![0; 300], vec![1; 4200]].concat();
    rng.shuffle(&mut labels);
    Example::new(&rows, &labels, &[50, 2000])
}

/// By class that the report has a note on: the share of the nearest that was found.
fn shares(made: &Made) -> Vec<(u32, f64)> {
    let share = |message: &str| -> Option<f64> {
        let message = message.strip_prefix("neighbors are approximate")?;
        message.split("a share of ").nth(1)?.split(' ').next()?.parse().ok()
    };
    made.report.notes.iter().map(|note| (note.class, share(&note.message).expect(&note.message))).collect()
}

#[test]
fn an_approximate_search_is_told_class_by_class() {
    let neighbors = Index::Approximate;
    let check = |sampler: Box<Sampler>, exact: Box<Sampler>, classes: &[u32]| {
        let made = many().make(&*sampler).unwrap();
        let shares = shares(&made);
        assert_eq!(shares.iter().map(|&(class, _)| class).collect::<Vec<_>>(), classes);
        assert!(shares.iter().all(|&(_, share)| (0.9..=1.0).contains(&share)), "{shares:?}");
        let exact = many().make(&*exact).unwrap();
        assert!(exact.report.notes.is_empty());
        let same =
            made.provenance.iter().zip(&exact.provenance).filter(|(made, exact)| made == exact).count();
        assert!(same > made.rows.len() * 8 / 10, "only {same} rows are those of the exact search");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(|| many().make(&*sampler).unwrap()), made);
    };
    // Within class 0 there are so few that they are compared one by one.
    let params = SmoteParams { neighbors, ..SmoteParams::default() };
    check(with_smote(params), with_smote(SmoteParams::default()), &[1]);
    let params = EosParams { neighbors, ..EosParams::default() };
    check(with_eos(params), with_eos(EosParams::default()), &[0, 1]);
}
