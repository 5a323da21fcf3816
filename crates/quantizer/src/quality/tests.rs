//! Reports counted by hand.
#![allow(clippy::float_cmp, reason = "values that are exact in binary")]

use ndarray::array;
use sidereal_sid::ItemId;

use super::*;
use crate::Collisions;

#[test]
fn hand_counted_codes() {
    // Level 0: counts [3, 1, 0, 0]; prefixes <a_0> (two children) and <a_1> (one).
    let codes = array![[0, 0], [0, 1], [0, 1], [1, 1]];
    let report = QualityReport::from_codes(codes.view(), &[4, 2]).unwrap();
    assert_eq!((report.num_items, report.num_sids), (4, 3));
    assert_eq!((report.collision_rate, report.shared_rate), (0.25, 0.5));
    assert_eq!(report.max_items_per_sid, 2);
    let (first, second) = (&report.levels[0], &report.levels[1]);
    assert_eq!((first.used, first.usage), (2, 0.5));
    // -(3/4 ln 3/4 + 1/4 ln 1/4)
    assert!((first.entropy - 0.562_335_144_618_808).abs() < 1e-12);
    assert!((first.perplexity - 0.562_335_144_618_808_f64.exp()).abs() < 1e-12);
    // Ascending [0, 0, 1, 3]: (1 * 1 + 3 * 3) / (4 * 4)
    assert_eq!(first.gini, 0.625);
    assert_eq!((first.num_prefixes, first.mean_fan_out, first.max_fan_out), (2, 2.0, 2));
    assert_eq!((second.num_prefixes, second.mean_fan_out, second.max_fan_out), (3, 1.5, 2));
}

#[test]
fn error_is_a_share_of_the_variance() {
    let codebooks = Codebooks::new(vec![array![[0.0], [4.0]], array![[1.0], [-1.0]]]).unwrap();
    let rows = array![[0.0], [2.0], [4.0], [6.0]];
    // Mean 3, squares about it 9 + 1 + 1 + 9 = 20. Level 0 leaves 0, 2, 0, 2: 8 in all;
    // level 1 then leaves -1, 1, 1, 1: 4.
    let codes = array![[0, 0], [0, 0], [1, 1], [1, 0]];
    let report = QualityReport::from_codes(codes.view(), &[2, 2])
        .and_then(|r| r.with_reconstruction(&codebooks, rows.view(), codes.view()))
        .unwrap();
    assert_eq!((report.energy, report.variance), (Some(14.0), Some(5.0)));
    assert_eq!(report.levels[0].squared_error, Some(2.0));
    assert_eq!(report.levels[0].relative_error, Some(0.4));
    assert_eq!(report.levels[1].relative_error, Some(0.2));
}

#[test]
fn a_suffix_is_a_level_that_only_some_items_reach() {
    let codebooks = Codebooks::new(vec![array![[0.0], [4.0]]]).unwrap();
    let rows = array![[0.0], [0.5], [4.0]];
    let codes = codebooks.encode(rows.view()).unwrap();
    let catalog = Collisions::Suffix.catalog(&codebooks, rows.view(), codes.view()).unwrap();
    let report = QualityReport::from_catalog(&catalog);
    assert_eq!(report.num_sids, 3);
    assert_eq!(report.collision_rate, 0.0);
    assert_eq!(report.levels.len(), 2);
    assert_eq!((report.levels[1].used, report.levels[1].num_prefixes), (2, 2));
    assert_eq!(catalog_codes(&catalog), codes);
}

#[test]
fn a_constant_matrix_has_no_relative_error() {
    let codebooks = Codebooks::new(vec![array![[1.0]]]).unwrap();
    let (rows, codes) = (array![[1.0], [1.0]], array![[0], [0]]);
    let report = QualityReport::from_codes(codes.view(), &[1])
        .and_then(|r| r.with_reconstruction(&codebooks, rows.view(), codes.view()))
        .unwrap();
    assert_eq!(report.levels[0].relative_error, None);
    assert_eq!(report.levels[0].squared_error, Some(0.0));
}

#[test]
fn a_report_survives_json_and_prints_a_line_for_each_level() {
    let report = QualityReport::from_codes(array![[0, 0], [1, 1]].view(), &[2, 2]).unwrap();
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<QualityReport>(&text).unwrap(), report);
    assert_eq!(report.to_string().lines().count(), 4);

    let sids = vec![[0, 0].into(), [1, 1].into()];
    let catalog = Catalog::new(sidereal_sid::SidSpec::new(vec![2, 2], 0).unwrap(), sids).unwrap();
    let pair = [0, 1].map(ItemId);
    let measured = Prediction::measure(&catalog, &[pair], &[(pair[0], pair[1])]).unwrap();
    let report = report.with_prediction(measured, JudgedCodes::Own);
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<QualityReport>(&text).unwrap(), report);
    assert_eq!(report.to_string().lines().count(), 9);
}

#[test]
fn the_head_of_the_table_counts_items_and_collisions() {
    // Four items with three Semantic IDs: 1 − 3/4 collide, and two of four share one.
    let codes = array![[0, 0], [0, 0], [1, 0], [1, 3]];
    let report = QualityReport::from_codes(codes.view(), &[2, 4]).unwrap();
    let text = report.to_string();
    insta::assert_snapshot!(
        text.lines().next().unwrap_or_default(),
        @"4 items, 3 Semantic IDs: collision rate 25.00 %, 50.00 % of items share one, at most 2 on one"
    );
}
