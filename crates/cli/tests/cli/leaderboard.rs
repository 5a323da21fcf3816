//! `sidereal leaderboard`, from the files of the shipped shop to the page.

use std::fs;
use std::path::Path;

use crate::program::{fails, sidereal, succeeds};
use crate::shop;

fn read(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_demo_leads_from_files_to_a_table_and_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/shop");
    let [inter, item] = ["shop.inter", "shop.item"].map(|name| root.join(name));
    let (inter, item) = (inter.to_str().unwrap(), item.to_str().unwrap());
    let args =
        ["leaderboard", "demo", "--interactions", inter, "--items", item, "--out", "boards/shop"];
    let tables = succeeds(dir, &args);
    for part in ["seen items removed", "seen items kept", "item transitions", "points tried"] {
        assert!(tables.contains(part), "{part}: {tables}");
    }
    let out = dir.join("boards/shop");
    let board = read(&out.join("leaderboard.json"));
    assert_eq!(board["rows"].as_array().unwrap().len(), 4);
    assert_eq!(board["data"]["num_test"], 3000);
    let page = fs::read_to_string(out.join("leaderboard.html")).unwrap();
    assert!(page.contains("<title>shop</title>") && page.contains("<svg"));

    // A second start has nothing to do.
    assert_eq!(succeeds(dir, &args), tables);
    assert_eq!(read(&out.join("leaderboard.json")), board);
}

#[test]
fn a_leaderboard_without_one_of_its_systems_says_so_and_ends_with_3() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    shop::write(dir);
    let board = "seeds = [1]\nmax_history = 20\nresamples = 20\n[tune]\nmetric = 'NDCG@10'\n\
        seen_items = 'kept'\nusers = 20\npoints = 2\nminutes = 1.0\n\
        [[system]]\nname = 'words'\nkind = 'words'\ngrid = { decay = [0.5, 1.0] }\n\
        [[system]]\nname = 'categories'\nkind = 'categories'\nsettings = { decay = 0.5 }\n";
    fs::write(dir.join("board.toml"), board).unwrap();
    let data = ["--interactions", "shop.inter", "--items", "shop.item", "--out", "out"];
    let args: Vec<&str> = ["leaderboard", "board.toml"].into_iter().chain(data).collect();
    let finished = sidereal(dir, &args);
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(finished.stderr.contains("`categories`") && finished.stdout.contains("words"));
    assert!(dir.join("out/leaderboard.html").exists());

    let args: Vec<&str> = ["leaderboard", "amazn"].into_iter().chain(data).collect();
    let stderr = fails(dir, &args, 2);
    assert!(stderr.contains("`amazn`") && stderr.contains("amazon-simple"), "{stderr}");
    let args: Vec<&str> =
        ["leaderboard", "board.toml", "--dataset", "moon"].into_iter().chain(data).collect();
    let stderr = fails(dir, &args, 1);
    assert!(stderr.contains("`moon`") && stderr.contains("beauty"), "{stderr}");
}
