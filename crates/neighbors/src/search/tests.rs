use expanse_domain::{Matrix, Rng, Seed};

use super::*;

/// What [`nearest`] must find, by comparing every pair.
fn brute_force(search: &Search<'_>, queries: &[usize], k: usize) -> Vec<Vec<u32>> {
    let all: Vec<usize> = (0..search.points.rows()).collect();
    let candidates = search.candidates.unwrap_or(&all);
    let neighbors = |&query: &usize| {
        let measure = |&row: &usize| {
            let values = |row| search.points.row(row)[search.columns.clone()].iter().map(|&v| f64::from(v));
            (
                values(query).zip(values(row)).map(|(a, b)| (a - b) * (a - b)).fold(0.0, |a, b| a + b),
                row as u32,
            )
        };
        let others = candidates.iter().filter(|&&row| search.itself == Itself::Included || row != query);
        let mut measured: Vec<(f64, u32)> = others.map(measure).collect();
        measured.sort_by(|a, b| a.partial_cmp(b).unwrap());
        measured.into_iter().take(k).map(|(_, row)| row).collect()
    };
    queries.iter().map(neighbors).collect()
}

fn rows_of(found: &Neighbors) -> Vec<Vec<u32>> {
    (0..found.len()).map(|query| found.row(query).to_vec()).collect()
}

/// Compares with brute force, for all rows and for a few, with and without the query itself.
fn check(points: &Matrix, k: usize) {
    let all: Vec<usize> = (0..points.rows()).collect();
    let few = [points.rows() - 1, 0, 0];
    for itself in [Itself::Excluded, Itself::Included] {
        let search = Search { itself, ..Search::of(points.view()) };
        for queries in [&all[..], &few] {
            let found = nearest(&search, queries, k).unwrap();
            assert_eq!((found.k(), found.len()), (k, queries.len()));
            assert_eq!(rows_of(&found), brute_force(&search, queries, k), "{itself:?}, k = {k}");
        }
    }
}

/// A matrix of values that `value` draws.
fn drawn(rows: usize, cols: usize, mut value: impl FnMut(&mut Rng) -> f32) -> Matrix {
    let mut rng = Seed(11).rng();
    Matrix::new((0..rows * cols).map(|_| value(&mut rng)).collect(), rows, cols).unwrap()
}

#[test]
fn random_points() {
    // More rows than one tile and one block hold.
    let points = drawn(1500, 9, |rng| rng.unit_f32());
    check(&points, 1);
    check(&points, 10);
    check(&drawn(40, 300, |rng| rng.unit_f32() - 0.5), 5);
}

#[test]
fn ties_go_to_the_lower_row() {
    // 16 different rows, each about 30 times.
    check(&drawn(480, 4, |rng| rng.index(2) as f32), 12);
    check(&drawn(480, 4, |rng| rng.index(2) as f32), 100);
    check(&drawn(300, 3, |_| 0.1), 7);
}

#[test]
fn small_differences_far_from_the_origin() {
    check(&drawn(400, 8, |rng| 1e4 + rng.unit_f32() * 0.01), 6);
    // Two clusters: the mean lies in neither, so that centring does not help.
    check(&drawn(400, 8, |rng| 1e4 * rng.index(2) as f32 + rng.unit_f32() * 0.01), 6);
}

#[test]
fn magnitudes_at_both_ends_of_f32() {
    check(&drawn(200, 4, |rng| (rng.unit_f32() - 0.5) * f32::MAX), 5);
    check(&drawn(200, 4, |rng| rng.unit_f32() * 1e-40), 5);
    let mut outlier = drawn(200, 4, |rng| rng.unit_f32() * 1e-30);
    outlier.as_mut_slice()[17] = 1e30;
    check(&outlier, 5);
}

#[test]
fn rows_far_out() {
    // One row in ten a hundred times as far out as the others, and one in two a million times.
    for (share, far) in [(10, 100.0), (2, 1e6)] {
        let mut points = drawn(900, 7, |rng| rng.unit_f32() - 0.5);
        points
            .as_mut_slice()
            .chunks_mut(7 * share)
            .for_each(|rows| rows[..7].iter_mut().for_each(|v| *v *= far));
        check(&points, 3);
        check(&points, 40);
    }
}

#[test]
fn one_dimension_in_and_out_of_order() {
    check(&drawn(500, 1, |rng| rng.unit_f32()), 8);
    let sorted: Vec<f32> = (0..500).map(|i| (i * i) as f32).collect();
    check(&Matrix::new(sorted, 500, 1).unwrap(), 3);
}

#[test]
fn every_other_row() {
    check(&drawn(8, 3, |rng| rng.unit_f32()), 7);
    check(&drawn(2, 3, |rng| rng.unit_f32()), 1);
}

#[test]
fn subsets_of_rows_and_columns() {
    let points = drawn(300, 6, |rng| rng.unit_f32());
    let candidates: Vec<usize> = (0..300).filter(|row| row % 3 == 1).rev().collect();
    let search = Search { candidates: Some(&candidates), columns: 1..4, ..Search::of(points.view()) };
    let queries = [4, 5, 299];
    assert_eq!(rows_of(&nearest(&search, &queries, 9).unwrap()), brute_force(&search, &queries, 9));
    // Queries that are no candidates have all candidates to choose from.
    assert!(nearest(&search, &[0], 100).is_ok());
    assert_eq!(nearest(&search, &[1], 100), Err(NeighborsError::TooFew { k: 100, available: 99 }));
    // A candidate named twice is one candidate.
    let search = Search { candidates: Some(&[7, 7, 2]), ..Search::of(points.view()) };
    assert_eq!(nearest(&search, &[2], 1).unwrap().row(0), [7]);
}

#[test]
fn threads_do_not_change_the_result() {
    let points = drawn(700, 5, |rng| rng.index(5) as f32);
    let queries: Vec<usize> = (0..700).collect();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| nearest(&Search::of(points.view()), &queries, 9).unwrap())
    };
    assert_eq!(on(1), on(2));
}

/// Queries that are candidates meet one another once for both; a row that is asked about twice is compared one way.
#[test]
fn what_is_found_for_both_at_once_is_what_is_found_one_way() {
    let check = |points: &Matrix, queries: &[usize], some: &[usize]| {
        let search = Search::of(points.view());
        let both = nearest(&search, queries, 5).unwrap();
        let asked: Vec<usize> = some.iter().map(|&place| queries[place]).collect();
        let one_way = nearest(&search, &[&asked[..], &asked].concat(), 5).unwrap();
        for (number, &place) in some.iter().enumerate() {
            assert_eq!(both.row(place), one_way.row(number), "query {}", queries[place]);
        }
    };
    // More queries than are answered together, many of them equal.
    let points = drawn(17_000, 2, |rng| rng.index(300) as f32);
    let every: Vec<usize> = (0..points.rows()).rev().collect();
    check(&points, &every, &(0..points.rows()).step_by(41).collect::<Vec<_>>());
    // Queries among candidates that are none, in no order.
    let points = drawn(1000, 5, |rng| rng.unit_f32());
    let mut some: Vec<usize> = (0..1000).filter(|row| row % 3 > 0).collect();
    Seed(4).rng().shuffle(&mut some);
    check(&points, &some, &(0..some.len()).collect::<Vec<_>>());
}

#[test]
fn a_watch_hears_of_every_query_and_can_cancel() {
    let points = drawn(300, 2, |rng| rng.unit_f32());
    let queries: Vec<usize> = (0..300).collect();
    let heard = std::sync::Mutex::new(0);
    let watch = |answered| {
        *heard.lock().unwrap() += answered;
        ControlFlow::Continue(())
    };
    nearest(&Search { watch: &watch, ..Search::of(points.view()) }, &queries, 1).unwrap();
    assert_eq!(*heard.lock().unwrap(), 300);
    let search = Search { watch: &|_| ControlFlow::Break(()), ..Search::of(points.view()) };
    assert_eq!(nearest(&search, &queries, 1), Err(NeighborsError::Cancelled));
}

#[test]
fn what_cannot_be_answered_is_refused() {
    let points = Matrix::new(vec![0.0, 1.0, 2.0, 3.0, 4.0, f32::NAN], 3, 2).unwrap();
    let refusal =
        |search: &Search<'_>, queries: &[usize], k| nearest(search, queries, k).unwrap_err().to_string();
    let search = Search::of(points.view());
    let too_few = "k is 3, but there are only 2 rows (n) to choose from; lower k to at most 2";
    assert_eq!(refusal(&search, &[0], 3), too_few);
    assert_eq!(refusal(&search, &[0], 0), "k is 0; ask for at least 1 neighbour");
    assert_eq!(refusal(&search, &[3], 1), "query 3 is not a row of the matrix, which has 3 rows");
    assert_eq!(refusal(&search, &[0], 1), "row 2, column 1 is NaN; distances need finite values");
    let candidates = Some(&[0, 9][..]);
    let elsewhere = Search { candidates, ..search.clone() };
    assert_eq!(refusal(&elsewhere, &[1], 1), "candidate 9 is not a row of the matrix, which has 3 rows");
    for columns in [1..1, 0..3] {
        assert!(refusal(&Search { columns, ..search.clone() }, &[0], 1).contains("of a matrix of 2 columns"));
    }
    // What takes no part may hold anything.
    assert!(nearest(&Search { columns: 0..1, ..search.clone() }, &[0], 1).is_ok());
    assert!(nearest(&Search { candidates: Some(&[0, 1]), ..search }, &[0], 1).is_ok());
}

#[test]
fn scikit_learn_finds_the_same() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../golden/neighbors.json")).unwrap();
    let rows = |of: &serde_json::Value| -> Vec<Vec<f64>> { serde_json::from_value(of.clone()).unwrap() };
    let k = golden["k"].as_u64().unwrap() as usize;
    let search = |points: &[Vec<f64>]| {
        let values = points.iter().flatten().map(|&value| value as f32).collect();
        let matrix = Matrix::new(values, points.len(), points[0].len()).unwrap();
        nearest(&Search::of(matrix.view()), &(0..points.len()).collect::<Vec<_>>(), k).unwrap()
    };
    let distinct: Vec<Vec<u32>> = serde_json::from_value(golden["distinct"]["neighbors"].clone()).unwrap();
    assert_eq!(rows_of(&search(&rows(&golden["distinct"]["points"]))), distinct);

    let points = rows(&golden["duplicated"]["points"]);
    let found = search(&points);
    for (query, expected) in rows(&golden["duplicated"]["distances"]).iter().enumerate() {
        for (&row, expected) in found.row(query).iter().zip(expected) {
            let squares = points[query].iter().zip(&points[row as usize]).map(|(a, b)| (a - b) * (a - b));
            assert!((squares.sum::<f64>().sqrt() - expected).abs() < 1e-5, "query {query}, row {row}");
        }
    }
}

/// More rows than are compared one by one.
fn many() -> Matrix {
    drawn(graph::FEWEST + 100, 8, |rng| rng.unit_f32())
}

#[test]
fn an_approximate_search_tells_its_recall() {
    let points = many();
    let queries: Vec<usize> = (0..points.rows()).step_by(3).collect();
    let exact = nearest(&Search::of(points.view()), &queries, 10).unwrap();
    let search = Search { index: Index::Approximate, ..Search::of(points.view()) };
    let found = nearest(&search, &queries, 10).unwrap();
    assert_eq!(exact.recall(0..queries.len()), None);
    let shared = |query| exact.row(query).iter().filter(|row| found.row(query).contains(row)).count();
    let recall = (0..queries.len()).map(shared).sum::<usize>() as f64 / (queries.len() * 10) as f64;
    let told = found.recall(0..queries.len()).unwrap();
    assert!(recall > 0.95 && (told.share() - recall).abs() < 0.02, "{recall}, told as {told:?}");
    assert!((0..queries.len()).all(|query| !found.row(query).contains(&(queries[query] as u32))));
    // A part of the queries has its own recall, and a part that was not sampled none.
    let parts = [0..500, 500..queries.len()].map(|part| found.recall(part).unwrap());
    assert_eq!(parts[0].found + parts[1].found, told.found);
    assert_eq!(found.recall(1..2), None);
}

#[test]
fn an_approximate_search_is_the_same_on_any_number_of_threads() {
    let points = many();
    let queries: Vec<usize> = (0..points.rows()).collect();
    let search = Search { index: Index::Approximate, ..Search::of(points.view()) };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| nearest(&search, &queries, 3).unwrap())
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn an_approximate_search_answers_every_query_also_among_equal_rows() {
    let points = drawn(graph::FEWEST, 2, |rng| rng.index(2) as f32);
    let search = Search { index: Index::Approximate, itself: Itself::Included, ..Search::of(points.view()) };
    let queries: Vec<usize> = (0..points.rows()).step_by(7).collect();
    let found = nearest(&search, &queries, 120).unwrap();
    for (place, &query) in queries.iter().enumerate() {
        let mut rows = found.row(place).to_vec();
        assert!(rows.iter().all(|&row| points.row(row as usize) == points.row(query)), "query {query}");
        rows.dedup();
        assert_eq!(rows.len(), 120, "query {query}");
    }
}

#[test]
fn fewer_candidates_are_compared_exactly() {
    let points = drawn(graph::FEWEST - 1, 3, |rng| rng.unit_f32());
    let queries = [0, 17, 4000];
    let search = Search { index: Index::Approximate, ..Search::of(points.view()) };
    assert_eq!(nearest(&search, &queries, 4), nearest(&Search::of(points.view()), &queries, 4));
}

#[test]
fn an_approximate_search_can_be_cancelled_while_it_builds() {
    let points = many();
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let watch = |answered| {
        assert_eq!(answered, 0, "it went on to answer queries");
        match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    };
    let search = Search { index: Index::Approximate, watch: &watch, ..Search::of(points.view()) };
    assert_eq!(nearest(&search, &[0, 1], 2), Err(NeighborsError::Cancelled));
    assert_eq!(calls.into_inner(), 2);
}
