//! The programs of `docs/from-wandb.md`, on a store with a real import in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use trackway::{
    client::{Api, RunEdit},
    model::{
        Change, FileDraft, HistoryRow, HistoryStore, HistoryStream, JsonPatch, Precondition,
        RunPatch, RunStore, SweepPatch, SweepStore, Timestamp, Value, bytes_of, split_rows,
    },
    store::{EmbeddedStore, StoreOptions},
};

const BEST: &str = "digits-mlp/abd4f363f68542968410355b6b87bde5";
const SLOW: &str = "digits-mlp/a25db501fcc94e2897d3fba0813fc8d9";
const DIVERGED: &str = "digits-mlp/62915c7a2a974a5d809b3cfe28913f03";

/// A folder with a store: the example of MLflow, and what MLflow does not have.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let store = place.store();
        place.run(env!("CARGO_BIN_EXE_import_mlflow"), &[&mlruns(), &store]);
        tokio::runtime::Runtime::new().unwrap().block_on(add(&store)).unwrap();
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn store(&self) -> String {
        self.path("store")
    }

    /// What a program prints; it must succeed.
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let out = Command::new(program).args(arguments).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }
}

fn mlruns() -> String {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mlruns");
    folder.display().to_string()
}

async fn add(store: &str) -> anyhow::Result<()> {
    let store = std::sync::Arc::new(EmbeddedStore::open(store, StoreOptions::new()).await?);
    let api = Api::new(store.clone());
    let mut patch = SweepPatch::new();
    let config = serde_json::json!({"metric": {"name": "val/loss", "goal": "minimize"}});
    patch.config = JsonPatch::Replace(config.as_object().unwrap().clone());
    let sweep = api.sweep_path("digits-mlp/rates")?;
    store.upsert_sweep(&sweep, patch).await?;
    for run in [BEST, SLOW, DIVERGED] {
        let mut patch = RunPatch::new();
        patch.sweep = Change::Set("rates".to_owned());
        store.upsert_run(&api.run_path(run)?, patch, Precondition::Present).await?;
    }

    let mut best = api.run(BEST).await?;
    best.edit(RunEdit::new().config("_internal", 1)).await?;
    best.put_file(FileDraft::new("model.h5"), bytes_of(&b"weights"[..])).await?;
    let plain = api.run_path("other/plain")?;
    let plain = store.upsert_run(&plain, RunPatch::new(), Precondition::Absent).await?;
    let meta = br#"{"program": "train.py", "args": ["--lr", "0.3"]}"#;
    let plain = api.run_of(plain);
    plain.put_file(FileDraft::new("wandb-metadata.json"), bytes_of(&meta[..])).await?;
    let rows = (0..600u32).map(|i| HistoryRow {
        row: i.into(),
        step: i.into(),
        time: Some(Timestamp::from_millis(1_700_000_000_000 + 1000 * i64::from(i))),
        values: vec![
            ("system.cpu".into(), Value::F64(f64::from(i % 100))),
            ("system.memory".into(), Value::I64(2048)),
        ],
    });
    store.append(best.path(), HistoryStream::System, 0, split_rows(rows)?).await?;
    Ok(())
}

/// The line that begins so, without the beginning.
fn line<'t>(text: &'t str, beginning: &str) -> &'t str {
    let mut found = text.lines().filter_map(|line| line.strip_prefix(beginning));
    found.next().unwrap_or_else(|| panic!("{beginning:?} in {text}"))
}

#[test]
fn import_some() {
    let place = Place(tempfile::tempdir().unwrap());
    let arguments = [&mlruns(), &place.store(), r#"{"config.lr": "0.3"}"#, "team/vision"];
    let said = place.run(env!("CARGO_BIN_EXE_import_some"), &arguments);
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(
        said.lines().all(|line| line.starts_with("team/vision/") && line.ends_with(" Imported")),
        "{said}"
    );
    let files =
        place.run(env!("CARGO_BIN_EXE_filter_runs"), &[&place.store(), "team/vision", "{}"]);
    assert_eq!(line(&files, "Found "), format!("{} runs", said.lines().count()));
}

#[test]
fn copy_tracker() {
    let place = Place::new();
    let copied = place.path("copied");
    let arguments = [&place.store(), &copied, "digits-mlp=team/digits"];
    let copy = || place.run(env!("CARGO_BIN_EXE_copy_tracker"), &arguments);
    assert_eq!(copy(), "14 copied, 0 failed\n");
    assert_eq!(copy(), "0 copied, 0 failed\n");
    let found =
        |project: &str| place.run(env!("CARGO_BIN_EXE_filter_runs"), &[&copied, project, "{}"]);
    assert_eq!(line(&found("team/digits"), "Found "), "7 runs");
    assert_eq!(line(&found("bandit"), "Found "), "3 runs");
}

#[test]
fn read_run() {
    let place = Place::new();
    let arguments = [&place.store(), BEST, "val/loss"];
    let said = place.run(env!("CARGO_BIN_EXE_read_run"), &arguments);
    assert_eq!(line(&said, "id "), "abd4f363f68542968410355b6b87bde5, name lr=0.3, state finished");
    assert!(line(&said, "config ").contains("\"lr\":\"0.3\""), "{said}");
    assert!(line(&said, "summary ").contains("\"val/loss\":0.2114"), "{said}");
    let rows: Vec<&str> = said.lines().filter(|line| line.starts_with("17948")).collect();
    assert_eq!(said.lines().last().unwrap(), format!("{0} of {0} rows", rows.len()));
    assert!(rows.last().unwrap().ends_with(" 0.21141770735225082"), "{said}");
    let said = place.run(env!("CARGO_BIN_EXE_read_run"), &[&place.store(), "digits-mlp/none", "x"]);
    assert!(said.starts_with("NotFound: "), "{said}");
}

#[test]
fn scan_history() {
    let place = Place::new();
    let said = place.run(env!("CARGO_BIN_EXE_scan_history"), &[&place.store(), BEST, "train/loss"]);
    assert!(line(&said, "240 points of train/loss, the last is ").starts_with("0."), "{said}");
    let pages = line(&said, "pages of [").strip_suffix("] rows").unwrap();
    let pages: Vec<usize> = pages.split(", ").map(|n| n.parse().unwrap()).collect();
    let (last, full) = pages.split_last().unwrap();
    assert!(full.len() > 1 && full.iter().all(|n| *n == 100) && (1..=100).contains(last), "{said}");
}

#[test]
fn runs_to_csv() {
    let place = Place::new();
    let file = place.path("project.csv");
    let said = place.run(env!("CARGO_BIN_EXE_runs_to_csv"), &[&place.store(), "digits-mlp", &file]);
    assert_eq!(said, "wrote 7 runs\n");
    let mut table = csv::Reader::from_path(&file).unwrap();
    let rows: Vec<_> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 7);
    let best = rows.iter().find(|row| &row[2] == "lr=0.3").unwrap();
    let json = |i: usize| serde_json::from_str::<serde_json::Value>(&best[i]).unwrap();
    assert_eq!(json(0)["val/loss"], 0.21141770735225082);
    assert!(json(1).get("lr").is_some() && json(1).get("_internal").is_none());
}

#[test]
fn filter_runs() {
    let place = Place::new();
    let store = place.store();
    let found = |filter: &str, order: &[&str]| {
        let arguments = [&[store.as_str(), "digits-mlp", filter][..], order].concat();
        let said = place.run(env!("CARGO_BIN_EXE_filter_runs"), &arguments);
        let names = said.lines().filter(|line| line.starts_with("20"));
        let names: Vec<_> = names.map(|l| l.split_once(' ').unwrap().1.to_owned()).collect();
        assert_eq!(line(&said, "Found "), format!("{} runs", names.len()));
        names
    };
    let either = r#"{"$or": [{"config.lr": "0.03"}, {"config.lr": "0.003"}]}"#;
    assert_eq!(found(either, &["config.lr"]), ["lr=0.003", "lr=0.03"]);
    assert_eq!(found(either, &["-config.lr"]), ["lr=0.03", "lr=0.003"]);
    assert_eq!(found("{}", &[])[0], "lr=0.3, seed=3", "newest first");
    assert_eq!(found("{}", &["+created_at"])[6], "lr=0.3, seed=3");
    let years = |from: u32| {
        format!(
            r#"{{"$and": [{{"created_at": {{"$gt": "{from}-01-01T00:00:00", "$lt": "2100-01-01T00:00:00"}}}}]}}"#
        )
    };
    assert_eq!(found(&years(2000), &[]).len(), 7);
    assert_eq!(found(&years(2099), &[]).len(), 0);
    assert_eq!(
        found("summary.val/accuracy > 0.95 and state = finished", &["-summary.val/accuracy"])[0],
        "lr=0.3"
    );
}

#[test]
fn compare_runs() {
    let place = Place::new();
    let said = place.run(env!("CARGO_BIN_EXE_compare_runs"), &[&place.store(), DIVERGED, SLOW]);
    assert_eq!(said.lines().next().unwrap(), "\tlr=40\tlr=0.03");
    assert!(said.lines().any(|line| line.starts_with("lr\t")), "{said}");
    assert!(!said.contains("val/loss"), "{said}");
}

#[test]
fn update_run() {
    let place = Place::new();
    let said = place.run(env!("CARGO_BIN_EXE_update_run"), &[&place.store(), BEST]);
    let summary: serde_json::Value = serde_json::from_str(line(&said, "summary ")).unwrap();
    assert_eq!(summary["accuracy"], 0.9);
    assert_eq!(summary["accuracy_histogram"]["_type"], "histogram");
    assert_eq!(summary["validation loss"], 0.21141770735225082);
    assert!(summary.get("val/loss").is_none());
    assert!(
        said.contains(r#""architecture":"perceptron""#) && said.contains(r#"["checked"]"#),
        "{said}"
    );
    // Others see it, too.
    let again = place.run(env!("CARGO_BIN_EXE_read_run"), &[&place.store(), BEST, "val/loss"]);
    assert!(line(&again, "summary ").contains("accuracy_histogram"), "{again}");
}

#[test]
fn system_metrics() {
    let place = Place::new();
    let file = place.path("sys_metrics.csv");
    let said = place.run(env!("CARGO_BIN_EXE_system_metrics"), &[&place.store(), BEST, &file]);
    assert_eq!(said, "wrote 500 rows of 2 series\n");
    let text = fs::read_to_string(file).unwrap();
    assert!(
        text.starts_with("_timestamp,system.cpu,system.memory\n1700000000,0.0,2048\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 501);
}

#[test]
fn run_files() {
    let place = Place::new();
    let file = place.path("picture.png");
    fs::write(&file, "a picture").unwrap();
    let arguments = [&place.store(), BEST, &file, &place.path("out"), ".png"];
    let said = place.run(env!("CARGO_BIN_EXE_run_files"), &arguments);
    assert_eq!(line(&said, "uploaded "), "picture.png, 9 bytes");
    assert_eq!(line(&said, "saved "), "picture.png");
    assert_eq!(fs::read(place.path("out/picture.png")).unwrap(), b"a picture");
    assert_eq!(fs::read(place.path("out/model.h5")).unwrap(), b"weights");
    assert!(said.contains(" written, 1 there\n"), "{said}");
    let deleted: usize =
        said.lines().find_map(|l| l.strip_suffix(" deleted")).unwrap().parse().unwrap();
    assert!(deleted >= 1 && !line(&said, "left: ").contains(".png"), "{said}");
    assert!(line(&said, "left: ").contains("model.h5"), "{said}");
}

#[test]
fn sweep_best() {
    let place = Place::new();
    let arguments = [&place.store(), "digits-mlp/rates", "model.h5", &place.path("out")];
    let said = place.run(env!("CARGO_BIN_EXE_sweep_best"), &arguments);
    let runs: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("run ")).collect();
    assert_eq!(runs, ["lr=0.3", "lr=0.03", "lr=40"], "the best first, NaN last");
    assert_eq!(line(&said, "best run "), "lr=0.3 with 0.21141770735225082");
    assert_eq!(line(&said, "Best run "), "lr=0.3 with 0.9622166246851386% val accuracy");
    assert_eq!(line(&said, "Best model saved to "), "model.h5");
    assert_eq!(fs::read(place.path("out/model.h5")).unwrap(), b"weights");
}

#[test]
fn run_command() {
    let place = Place::new();
    let of = |run: &str| place.run(env!("CARGO_BIN_EXE_run_command"), &[&place.store(), run]);
    assert_eq!(of(BEST), "python train_digits.py\n");
    assert_eq!(of("other/plain"), "python train.py --lr 0.3\n");
}
