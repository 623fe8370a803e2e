use std::fs;

use serde_json::Value as Json;

use crate::support::{Place, example, snapshot};

fn example_text() -> String {
    example().display().to_string()
}

#[test]
fn first_time_and_again() {
    let place = Place::new();
    snapshot!(place, place.said(["import", &example_text()]));
    snapshot!(place, place.said(["import", &example_text()]));
    snapshot!(place, place.said(["check", &example_text()]));
}

#[test]
fn a_receipt_in_a_file_and_on_standard_output() {
    let place = Place::new();
    let printed = place.stdout([
        "import",
        &example_text(),
        "--report",
        "receipt.json",
        "--json",
    ]);
    let printed: Json = serde_json::from_str(&printed).unwrap();
    let written: Json =
        serde_json::from_slice(&fs::read(place.path("receipt.json")).unwrap()).unwrap();
    assert_eq!(printed, written);
    assert_eq!(written["schema"], "trackway.receipt/1");
    assert_eq!(written["complete"], true);
    for (kind, bucket) in written["totals"].as_object().unwrap() {
        let of = |name: &str| bucket[name].as_u64().unwrap();
        let sum: u64 = ["identical", "normalised", "lost", "unreadable", "skipped"]
            .into_iter()
            .map(of)
            .sum();
        assert_eq!(of("source"), sum, "{kind}");
    }
    let piped = place.stdout(["import", &example_text(), "--report", "-", "--json"]);
    assert_eq!(
        serde_json::from_str::<Json>(&piped).unwrap()["totals"]["runs"]["skipped"],
        13
    );
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = Place::new();
    snapshot!(place, place.said(["import", &example_text(), "--dry-run"]));
    assert!(!place.store().exists());
}

#[test]
fn some_of_it_elsewhere() {
    let place = Place::new();
    let some = [
        "import",
        &example_text(),
        "--to",
        "other",
        "--experiment",
        "band*",
        "--limit",
        "2",
    ];
    let where_to = [
        "--namespace",
        "team",
        "--map",
        "bandit=arms",
        "--exclude",
        "tags",
        "--no-artifacts",
        "-q",
    ];
    assert!(place.output(some.iter().chain(&where_to)).status.success());
    let runs = place.stdout(["runs", "--from", "other", "--jsonl"]);
    assert_eq!(runs.lines().count(), 2);
    assert!(
        runs.lines()
            .all(|line| line.starts_with("{\"entity\":\"team\",\"project\":\"arms\",")),
        "{runs}"
    );
    assert!(runs.contains("\"tags\":{}"), "{runs}");
}

#[test]
fn a_store_into_a_store() {
    let place = Place::with_example();
    let copied = place.output(["import", "local:store", "--to", "copy", "-q"]);
    assert!(
        copied.status.success(),
        "{}",
        String::from_utf8_lossy(&copied.stderr)
    );
    let history =
        |store: &str| place.stdout(["history", "f6831076", "--all", "--jsonl", "--from", store]);
    assert_eq!(history("store"), history("copy"));
    let same = place.output(["check", "store", "copy", "-q"]);
    assert_eq!(
        same.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&same.stdout)
    );
}

#[test]
fn damage_at_the_source_is_told_and_the_rest_arrives() {
    let place = Place::new();
    copy(&example(), &place.path("mlruns"));
    let run = fs::read_dir(place.path("mlruns/801227408947194735"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.join("metrics/train/loss").is_file())
        .unwrap();
    let loss = fs::read_to_string(run.join("metrics/train/loss")).unwrap();
    fs::write(run.join("metrics/train/loss"), loss.replacen(' ', " x", 1)).unwrap();
    let done = place.output(["import", "mlruns", "--report", "receipt.json"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(3), "{said}");
    assert!(
        said.contains("unreadable: the source cannot give it"),
        "{said}"
    );
    let receipt: Json =
        serde_json::from_slice(&fs::read(place.path("receipt.json")).unwrap()).unwrap();
    assert_eq!(receipt["totals"]["points"]["unreadable"], 1);
    assert_eq!(receipt["totals"]["runs"]["identical"], 13);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
