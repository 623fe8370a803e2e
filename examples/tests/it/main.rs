//! The examples do what they say.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../custom_importer.rs"]
#[allow(dead_code)]
mod custom_importer;
mod from_wandb;

use std::{fs, path::Path, process::Command, sync::Arc};

fn write_folder(folder: &Path) {
    fs::create_dir_all(folder.join("vision")).unwrap();
    fs::create_dir_all(folder.join("ünï speech")).unwrap();
    fs::write(folder.join("vision/a.csv"), "step,loss,acc\n0,1.5,\n10,0.5,0.25\n20,NaN,inf\n")
        .unwrap();
    fs::write(folder.join("vision/empty.csv"), "step,loss\n").unwrap();
    fs::write(folder.join("ünï speech/b.csv"), "loss\n3\n2\n1\n").unwrap();
}

#[tokio::test]
async fn custom_importer_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    importer_core::conformance::source(Arc::new(custom_importer::CsvFolder::new(folder.path())))
        .await;
}

#[test]
fn custom_importer_is_short() {
    let lines = include_str!("../../custom_importer.rs").lines().count();
    assert!(lines < 150, "{lines} lines");
}

fn run(program: &str, arguments: &[&Path]) -> String {
    let out = Command::new(program).args(arguments).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn custom_importer_imports() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("csv"), folder.path().join("store"));
    write_folder(&from);
    fs::write(from.join("vision/torn.csv"), "step,loss\n1,one\n2,2\n").unwrap();
    let receipt: serde_json::Value =
        serde_json::from_str(&run(env!("CARGO_BIN_EXE_custom_importer"), &[&from, &to])).unwrap();
    let points = &receipt["totals"]["points"];
    assert_eq!((&points["identical"], &points["unreadable"]), (&9.into(), &1.into()), "{receipt}");
}

#[test]
fn embed_store_reads_what_it_wrote() {
    let said = run(env!("CARGO_BIN_EXE_embed_store"), &[]);
    assert!(said.contains("100 points of loss"), "{said}");
    assert!(said.contains("local/demo/first finished"), "{said}");
}

#[test]
fn import_mlflow_imports_the_sample() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mlruns");
    let said = run(env!("CARGO_BIN_EXE_import_mlflow"), &[&sample, &folder.path().join("store")]);
    assert!(said.contains("points: "), "{said}");
}
