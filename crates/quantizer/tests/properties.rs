//! Laws of residual k-means and of collisions.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::BTreeMap;

use linfa::ParamGuard;
use linfa::prelude::*;
use ndarray::{Array2, Axis};
use proptest::collection::vec;
use proptest::prelude::*;
use sidereal_quantizer::{
    Balance, Codebooks, Collisions, Init, Matrix, QualityReport, QuantizerError, RqKMeans,
    RqKMeansParams,
};
use sidereal_sid::Trie;

/// Few distinct values, so that duplicates and ties are common.
fn rows() -> impl Strategy<Value = Array2<f32>> {
    (1usize..60, 1usize..6).prop_flat_map(|(n, d)| {
        vec(-3i8..=3, n * d).prop_map(move |values| {
            let values = values.into_iter().map(|v| f32::from(v) * 0.5).collect();
            Array2::from_shape_vec((n, d), values).unwrap()
        })
    })
}

fn params() -> impl Strategy<Value = RqKMeansParams> {
    (vec(1usize..9, 1..4), any::<u64>(), any::<bool>(), 1usize..3, 1usize..6).prop_map(
        |(sizes, seed, random, restarts, iterations)| {
            RqKMeans::params(sizes, seed)
                .init(if random { Init::Random } else { Init::KMeansPlusPlus })
                .restarts(restarts)
                .max_iterations(iterations)
        },
    )
}

fn balanced() -> impl Strategy<Value = RqKMeansParams> {
    let balance = vec![Balance::None, Balance::PerLevel, Balance::PerParent];
    (params(), prop::sample::select(balance)).prop_map(|(params, b)| params.balance(b))
}

fn fit(params: &RqKMeansParams, rows: &Array2<f32>) -> RqKMeans {
    params.fit(&DatasetBase::from(rows.view())).unwrap()
}

fn in_pool<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

proptest! {
    #[test]
    fn codes_are_in_range_and_those_of_encode(params in params(), rows in rows()) {
        let model = fit(&params, &rows);
        for (codes, size) in model.codes().axis_iter(Axis(1)).zip(model.codebooks().sizes()) {
            prop_assert!(codes.iter().all(|code| usize::from(*code) < size));
        }
        prop_assert_eq!(&model.predict(&rows), model.codes());
    }

    #[test]
    fn residual_energy_never_grows_with_levels(params in balanced(), rows in rows()) {
        let model = fit(&params, &rows);
        let (books, codes) = (model.codebooks(), model.codes().view());
        let report = QualityReport::from_codes(codes, &books.sizes())
            .and_then(|report| report.with_reconstruction(books, rows.view(), codes))
            .unwrap();
        let mut before = report.energy.unwrap();
        for (level, fitted) in report.levels.iter().zip(model.levels()) {
            let error = level.squared_error.unwrap();
            // Rounding of f32 residuals below 2.
            prop_assert!(error <= before + 1e-6, "{error} after {before}");
            prop_assert!((fitted.inertia / rows.nrows() as f64 - error).abs() < 1e-5);
            before = error;
        }
    }

    #[test]
    fn sizes_keep_their_capacities(params in params(), rows in rows(), parents in any::<bool>()) {
        let balance = if parents { Balance::PerParent } else { Balance::PerLevel };
        let model = fit(&params.balance(balance), &rows);
        let sizes = model.codebooks().sizes();
        for (level, size) in sizes.into_iter().enumerate() {
            let mut groups: BTreeMap<Vec<u16>, Vec<usize>> = BTreeMap::new();
            for codes in model.codes().rows() {
                let prefix = if parents { codes.iter().take(level).copied().collect() } else { vec![] };
                groups.entry(prefix).or_insert_with(|| vec![0; size])[usize::from(codes[level])] += 1;
            }
            for (prefix, counts) in groups {
                let count: usize = counts.iter().sum();
                let range = count / size..=count.div_ceil(size);
                prop_assert!(counts.iter().all(|n| range.contains(n)), "{prefix:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn every_item_is_one_complete_path(params in balanced(), rows in rows()) {
        let model = fit(&params, &rows);
        for collisions in [Collisions::Suffix, Collisions::Slot, Collisions::Reassign] {
            let catalog = match collisions.catalog(
                model.codebooks(), rows.view(), model.codes().view(),
            ) {
                Ok(catalog) => catalog,
                Err(QuantizerError::Full { found, size, .. }) => {
                    prop_assert!(collisions == Collisions::Reassign && found > size);
                    continue;
                }
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            };
            prop_assert_eq!(catalog.num_sids(), rows.nrows());
            let trie = Trie::from_catalog(&catalog);
            let levels = model.codebooks().num_levels();
            for item in catalog.items_by_sid() {
                let sid = catalog.sid(*item).unwrap();
                let leaf = trie.walk(&catalog.spec().tokens(sid).unwrap()).unwrap();
                prop_assert!(trie.is_leaf(leaf));
                prop_assert_eq!(trie.items(leaf), [*item]);
                prop_assert!(sid.len() >= levels);
                if collisions == Collisions::Suffix || collisions == Collisions::Slot {
                    let own = model.codes().row(item.index()).to_vec();
                    prop_assert_eq!(&sid[..levels], own);
                }
            }
        }
    }

    #[test]
    fn codebooks_survive_their_files(params in params(), rows in rows()) {
        let folder = tempfile::tempdir().unwrap();
        let model = fit(&params, &rows);
        model.codebooks().save(folder.path()).unwrap();
        prop_assert_eq!(&Codebooks::load(folder.path()).unwrap(), model.codebooks());
    }
}

/// Rows in 40 loose groups.
fn many_rows(num_rows: usize, width: usize) -> Array2<f32> {
    Array2::from_shape_fn((num_rows, width), |(i, d)| {
        let group = ((i * 31) % 40) as f32;
        (1.7 * group + 0.9 * d as f32).sin() + 0.3 * (0.37 * (i * (d + 3)) as f32).sin()
    })
}

#[test]
fn codes_do_not_depend_on_the_number_of_threads() {
    let rows = many_rows(3000, 70);
    let params = RqKMeans::params([48, 32], 11).max_iterations(12);
    for params in [
        params.clone(),
        params.clone().init(Init::Random),
        params.clone().balance(Balance::PerLevel),
        params.balance(Balance::PerParent),
    ] {
        let one = in_pool(1, || fit(&params, &rows));
        for threads in [2, 5] {
            assert_eq!(in_pool(threads, || fit(&params, &rows)), one);
        }
    }
}

#[test]
fn a_sample_fits_centroids_and_every_row_gets_its_nearest() {
    let rows = many_rows(3000, 20);
    let params = RqKMeans::params([16, 16], 4);
    let all = fit(&params, &rows);
    assert_eq!(fit(&params.clone().max_rows_per_code(188), &rows), all, "188 x 16 is every row");
    let sampled = fit(&params.clone().max_rows_per_code(40), &rows);
    assert_eq!(sampled.predict(&rows), sampled.codes());
    // 40 well separated groups: 640 rows show them all, but place centroids less exactly.
    let error = |model: &RqKMeans| model.levels()[1].inertia;
    assert!(error(&sampled) > error(&all), "{} {}", error(&sampled), error(&all));
    assert!(error(&sampled) < 1.2 * error(&all), "{} {}", error(&sampled), error(&all));
    let even = fit(&params.max_rows_per_code(40).balance(Balance::PerLevel), &rows);
    for codes in even.codes().columns() {
        let size = |code| codes.iter().filter(|c| **c == code).count();
        assert!((0..16).all(|code| (187..=188).contains(&size(code))));
    }
}

#[test]
fn a_mapped_file_gives_the_codes_of_the_matrix_in_memory() {
    let rows = many_rows(2000, 24);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.safetensors");
    let bytes: Vec<u8> = rows.iter().flat_map(|v| v.to_le_bytes()).collect();
    let view =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2000, 24], &bytes);
    let file = safetensors::serialize([("rows", view.unwrap())], None).unwrap();
    std::fs::write(&path, file).unwrap();
    let mapped = Matrix::open(&path).unwrap();
    for balance in [Balance::None, Balance::PerLevel, Balance::PerParent] {
        let params = RqKMeans::params([24, 24], 5).balance(balance);
        let streamed = params.fit(&DatasetBase::from(mapped.view())).unwrap();
        assert_eq!(streamed, fit(&params, &rows));
    }
}

#[test]
fn another_seed_gives_other_codes() {
    let rows = many_rows(500, 10);
    assert_ne!(fit(&RqKMeans::params([16], 1), &rows), fit(&RqKMeans::params([16], 2), &rows));
}

#[test]
fn rows_may_have_any_strides() {
    let rows = many_rows(600, 12);
    let params = RqKMeans::params([8, 8], 3);
    let expected = fit(&params, &rows);
    let columns_first = rows.t().as_standard_layout().into_owned();
    let transposed = params.fit(&DatasetBase::from(columns_first.t())).unwrap();
    assert_eq!(transposed, expected);
}

#[test]
fn fewer_items_than_codes_are_all_told_apart() {
    let rows = many_rows(5, 4);
    let model = fit(&RqKMeans::params([16], 3), &rows);
    let report = QualityReport::from_codes(model.codes().view(), &[16]).unwrap();
    assert_eq!((report.num_sids, report.levels[0].used), (5, 5));
    assert!(model.levels()[0].inertia < 1e-9);
}

#[test]
fn fewer_items_than_codes_get_a_code_each_under_capacities() {
    let rows = many_rows(5, 4);
    let model = fit(&RqKMeans::params([16, 16], 3).balance(Balance::PerLevel), &rows);
    for codes in model.codes().columns() {
        let distinct: std::collections::BTreeSet<u16> = codes.iter().copied().collect();
        assert_eq!(distinct.len(), 5);
    }
}

#[test]
fn a_tree_with_room_for_every_item_has_no_collisions() {
    // 600 copies of one row among 1,000: 10 x 10 x 10 codes hold each item apart.
    let mut rows = many_rows(1000, 6);
    for i in 0..600 {
        rows.row_mut(i).fill(0.25);
    }
    let model = fit(&RqKMeans::params([10, 10, 10], 3).balance(Balance::PerParent), &rows);
    let report = QualityReport::from_codes(model.codes().view(), &[10, 10, 10]).unwrap();
    assert_eq!(report.num_sids, 1000);
    assert_eq!((report.levels[1].num_prefixes, report.levels[1].max_fan_out), (100, 10));
}

#[test]
fn a_constant_matrix_is_dealt_out_under_capacities() {
    let rows = Array2::from_elem((50, 4), 0.7);
    let model = fit(&RqKMeans::params([8], 3).balance(Balance::PerLevel), &rows);
    let report = QualityReport::from_codes(model.codes().view(), &[8]).unwrap();
    assert_eq!((report.levels[0].used, report.max_items_per_sid), (8, 7));
}

#[test]
fn a_constant_matrix_uses_one_code() {
    let rows = Array2::from_elem((50, 4), 0.7);
    let model = fit(&RqKMeans::params([8, 8], 3), &rows);
    let report = QualityReport::from_codes(model.codes().view(), &[8, 8]).unwrap();
    assert_eq!(report.num_sids, 1);
    assert_eq!(report.max_items_per_sid, 50);
}

#[test]
fn more_distinct_rows_than_codes_leave_no_code_empty() {
    // Twenty far copies of one row and twenty near ones: random first centroids collide.
    let mut rows = many_rows(40, 3);
    for i in 0..20 {
        rows.row_mut(i).fill(50.0);
    }
    for seed in 0..20 {
        let params = RqKMeans::params([12], seed).init(Init::Random);
        let report = QualityReport::from_codes(fit(&params, &rows).codes().view(), &[12]).unwrap();
        assert_eq!(report.levels[0].used, 12, "seed {seed}");
    }
}

#[test]
fn more_restarts_never_give_more_error() {
    let rows = many_rows(400, 6);
    let inertia = |restarts| {
        fit(&RqKMeans::params([24], 5).init(Init::Random).restarts(restarts), &rows).levels()[0]
            .inertia
    };
    assert!(inertia(6) <= inertia(2) && inertia(2) <= inertia(1));
}

#[test]
fn a_row_that_is_not_a_number_is_named() {
    let mut rows = many_rows(1200, 4);
    rows[[700, 2]] = f32::NAN;
    rows[[900, 1]] = f32::INFINITY;
    for balance in [Balance::None, Balance::PerParent] {
        assert!(matches!(
            RqKMeans::params([4], 0).balance(balance).fit(&DatasetBase::from(rows.view())),
            Err(QuantizerError::NotFinite { row: 700, column: 2, .. })
        ));
    }
}

#[test]
fn an_observer_may_interrupt() {
    let rows = many_rows(300, 4);
    for balance in [Balance::None, Balance::PerLevel, Balance::PerParent] {
        let error = RqKMeans::params([8, 8], 0)
            .tolerance(0.0)
            .balance(balance)
            .check()
            .unwrap()
            .fit_observed(rows.view(), &mut |step: &sidereal_quantizer::FitStep| {
                if (step.level, step.iteration) == (1, 2) {
                    std::ops::ControlFlow::Break(())
                } else {
                    std::ops::ControlFlow::Continue(())
                }
            })
            .unwrap_err();
        assert_eq!(error.to_string(), "the fit was interrupted at level 1, iteration 2");
    }
}
