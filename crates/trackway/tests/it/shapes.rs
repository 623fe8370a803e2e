//! The shapes that scripts rely on, with every kind of value.

use serde_json::Value as Json;
use trackway::{
    model::{
        Change, HistoryRow, HistoryStore, HistoryStream, ImportStamp, JsonPatch, PointBatch,
        Precondition, RunPatch, RunPath, RunState, RunStore, Times, Timestamp, Value, Values,
        split_rows,
    },
    store::{EmbeddedStore, StoreOptions},
};

use crate::support::{Place, snapshot};

/// A store with a run of rows and a run of points, both with values of every kind.
pub(crate) fn odd() -> Place {
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(fill(&place)).unwrap();
    place
}

async fn fill(place: &Place) -> trackway::model::Result<()> {
    let store = EmbeddedStore::open(place.store(), StoreOptions::new()).await?;
    let start = Timestamp::from_millis(1_700_000_000_000);
    let object = |text: &str| JsonPatch::Replace(serde_json::from_str(text).unwrap());

    let rows: RunPath = "local/odd values/rows".parse()?;
    let mut patch = RunPatch::new()
        .with_name("a\ttab, a \u{1b}[31mcolour")
        .with_state(RunState::Running);
    patch.created_at = Some(start);
    patch.config = object(
        r#"{"lr": 0.1, "n": 9007199254740993, "deep": {"a": [1, null]}, "t": "line\nbreak"}"#,
    );
    patch.summary = object(r#"{"loss": "NaN", "best": -0.0}"#);
    store.upsert_run(&rows, patch, Precondition::None).await?;
    let row = |row, step, time, values: &[(&str, Value)]| HistoryRow {
        row,
        step,
        time,
        values: values
            .iter()
            .map(|(k, v)| ((*k).into(), v.clone()))
            .collect(),
    };
    let all = vec![
        row(
            0,
            0,
            Some(start),
            &[
                ("loss", Value::F64(f64::NAN)),
                ("n", Value::I64(i64::MAX)),
                ("ok", Value::Bool(true)),
            ],
        ),
        row(
            1,
            0,
            Some(start),
            &[
                ("loss", Value::F64(-0.0)),
                ("note", Value::Str("a \"b\"".to_owned())),
            ],
        ),
        row(
            2,
            -3,
            Some(Timestamp::from_parts(1_700_000_000_001, 5)),
            &[
                ("loss", Value::F64(f64::INFINITY)),
                ("_step", Value::I64(7)),
            ],
        ),
        row(
            4,
            9,
            None,
            &[
                ("loss", Value::F64(0.1)),
                ("table", Value::Json(r#"{"b":[1,2],"a":"x"}"#.to_owned())),
            ],
        ),
    ];
    store
        .append(&rows, HistoryStream::Metrics, 0, split_rows(all)?)
        .await?;

    let points: RunPath = "local/odd values/points".parse()?;
    let mut patch = RunPatch::new()
        .with_state(RunState::Finished)
        .with_deleted(true);
    patch.created_at = Some(start);
    patch.extras = object(r#"{"mlflow": {"experiment_id": "1", "tags": {"k": "v"}}}"#);
    patch.import = Change::Set(ImportStamp {
        source: "mlflow:/data/mlruns".to_owned(),
        run: "points".to_owned(),
        complete: true,
        fingerprint: "f".to_owned(),
    });
    store.upsert_run(&points, patch, Precondition::None).await?;
    let mut writer = store
        .history_writer(&points, HistoryStream::Metrics, "test")
        .await?;
    for (key, steps, ms, values) in [
        (
            "acc",
            vec![1, 1, 2],
            vec![5, 5, 4],
            vec![0.25, 0.5, f64::NEG_INFINITY],
        ),
        (
            "loss",
            vec![1, 1, -2],
            vec![5, 5, 9],
            vec![1.0, 1e300, 5e-324],
        ),
    ] {
        let batch = PointBatch {
            key: key.into(),
            rows: None,
            steps,
            times: Some(Times::from_millis(ms)),
            values: Values::F64(values),
        };
        writer.write(0, batch).await?;
    }
    writer.commit().await
}

#[test]
fn runs() {
    let place = odd();
    snapshot!(place, place.said(["runs", "--jsonl", "--include-deleted"]));
    snapshot!(place, place.said(["runs", "odd values"]));
    snapshot!(place, place.said(["run", "rows", "--json"]));
}

#[test]
fn rows() {
    let place = odd();
    snapshot!(place, place.said(["history", "rows", "--all", "--jsonl"]));
    snapshot!(place, place.said(["history", "points", "--all", "--json"]));
    snapshot!(place, place.said(["history", "rows", "--all"]));
    snapshot!(
        place,
        place.said([
            "history",
            "points",
            "--all",
            "--jsonl",
            "--keys",
            "acc",
            "--min-step",
            "2"
        ])
    );
    snapshot!(place, place.said(["history", "rows", "--stream", "system"]));
}

#[test]
fn every_line_is_json() {
    let place = odd();
    for args in [
        vec!["projects", "--jsonl"],
        vec!["runs", "--jsonl", "--include-deleted"],
        vec!["history", "rows", "--all", "--jsonl"],
        vec!["history", "points", "--all", "--jsonl"],
        vec![
            "export",
            "history",
            "odd values",
            "--format",
            "jsonl",
            "--include-deleted",
        ],
        vec![
            "export",
            "history",
            "odd values",
            "--format",
            "jsonl",
            "--layout",
            "long",
        ],
    ] {
        let text = place.stdout(&args);
        assert!(!text.is_empty(), "{args:?}");
        for line in text.lines() {
            serde_json::from_str::<Json>(line).unwrap_or_else(|e| panic!("{args:?}: {e}: {line}"));
        }
    }
    for args in [
        vec!["runs", "--json"],
        vec!["history", "rows", "--all", "--json"],
        vec!["artifacts", "ls", "--json"],
    ] {
        let text = place.stdout(&args);
        assert!(
            serde_json::from_str::<Json>(&text).unwrap().is_array(),
            "{args:?}"
        );
    }
}
