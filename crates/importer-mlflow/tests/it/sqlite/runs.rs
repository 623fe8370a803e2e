use std::{collections::BTreeMap, sync::Arc};

use importer_core::{Kind, Outcome, Source, conformance};
use rusqlite::params;
use serde_json::json;
use tracker_model::{RunState, Timestamp};

use super::database::{Database, Version, run_id};
use crate::read::{Target, history, projects, run, runs};

fn filled(version: Version) -> Database {
    let db = Database::new(version);
    let id = db.finished(1);
    db.pair("params", &id, "lr", "0.1");
    db.pair("tags", &id, "mlflow.note.content", "a *note*");
    db.pair("tags", &id, "mlflow.source.name", "train.py");
    db.pair("tags", &id, "mlflow.source.git.commit", "abc");
    db.pair("tags", &id, "mlflow.parentRunId", &run_id(2));
    db.with_status(2, 1, "RUNNING", "active");
    db.with_status(3, 1, "KILLED", "deleted");
    db.experiment(2, "second / ünï", "deleted");
    db.with_status(4, 2, "FAILED", "deleted");
    match version {
        Version::Old => {
            for (time, value) in [(10, 0.5), (11, 0.25)] {
                let sql = "INSERT INTO metrics VALUES ('loss', ?1, ?2, ?3)";
                db.c.execute(sql, params![value, time, id]).unwrap();
            }
        }
        _ => {
            for (step, value) in [(0, 0.5), (1, 0.25)] {
                db.point(&id, "loss", step, 10 + step, value);
            }
            db.latest(&id, "loss", 1, 11, 0.25);
            db.run("INSERT INTO experiment_tags VALUES ('mlflow.note.content', 'what for', 1)");
        }
    }
    db
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_all_versions_conform() {
    for version in [Version::Old, Version::Mid, Version::New] {
        let db = filled(version);
        let source = db.open();
        let (found, findings) = projects(&source).await;
        assert_eq!(findings, [], "{version:?}");
        assert_eq!(
            found.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(),
            ["first", "second / ünï"]
        );
        assert!(found[1].deleted);
        let (one, record) = run(&source, &run_id(1)).await;
        assert_eq!(record.findings, [], "{version:?}");
        let run = &record.run;
        assert_eq!(run.state, RunState::Finished);
        assert_eq!(
            run.started_at,
            Some(Timestamp::from_millis(1_700_000_000_000))
        );
        assert_eq!(
            run.config,
            json!({"lr": "0.1"}).as_object().unwrap().clone()
        );
        assert_eq!(
            (run.name.as_deref(), run.user.as_deref()),
            (Some("run 1"), Some("ann"))
        );
        assert_eq!(
            (run.notes.as_deref(), run.program.as_deref()),
            (Some("a *note*"), Some("train.py"))
        );
        assert_eq!(run.parent.as_ref().unwrap().as_str(), run_id(2));
        assert_eq!(record.tags.len(), 4);
        let history = history(&source, &one).await;
        let steps = if version == Version::Old {
            [0, 0]
        } else {
            [0, 1]
        };
        let want = vec![
            (steps[0], 10, 0.5f64.to_bits()),
            (steps[1], 11, 0.25f64.to_bits()),
        ];
        assert_eq!(history.points, BTreeMap::from([("loss".to_owned(), want)]));
        // Old databases do not keep the latest values.
        let summary = if version == Version::Old {
            &history.summary
        } else {
            &run.summary
        };
        assert_eq!(
            *summary,
            json!({"loss": 0.25}).as_object().unwrap().clone(),
            "{version:?}"
        );
        assert!(source.capabilities().exact_fingerprints, "{version:?}");
        conformance::source(Arc::new(source)).await;
    }
}

#[tokio::test]
async fn a_run_that_two_rules_change_is_one_run() {
    let db = filled(Version::New);
    db.run(
        "INSERT INTO runs (run_uuid, name, status, lifecycle_stage, experiment_id, user_id)
             VALUES ('a/b', 'odd', 'PAUSED', 'active', 1, CAST(x'ff' AS TEXT))",
    );
    let source: Arc<dyn Source> = Arc::new(db.open());
    let receipt = Target::default().import(&source).await;
    assert_eq!(receipt.failures, []);
    let runs = receipt.totals.get(Kind::Runs);
    assert_eq!((runs.source(), runs.identical, runs.normalised), (3, 2, 1));
    let rules: Vec<_> = receipt
        .rules
        .iter()
        .map(|rule| (rule.name.as_str(), rule.count))
        .collect();
    assert_eq!(
        rules,
        [
            ("odd-value-replaced", 1),
            ("run-id-legalised", 1),
            ("run-status-unknown", 1)
        ]
    );
}

#[tokio::test]
async fn runs_come_in_order_and_deleted_ones_on_demand() {
    let db = filled(Version::New);
    for n in 10..1300 {
        db.finished(n);
    }
    let source = db.open();
    let all = runs(&source).await.0;
    assert_eq!(all.len(), 4 + 1290);
    assert_eq!(all[0].id, run_id(1));
    assert_eq!(all[1292].id, run_id(1299));
    let live = importer_core::Selection::new();
    let project = projects(&source).await.0[0].clone();
    let items: Vec<_> = futures::TryStreamExt::try_collect(source.runs(&project, &live))
        .await
        .unwrap();
    assert_eq!(items.len(), 2 + 1290);
}

/// More than one page can hold in memory: the pages become smaller.
#[tokio::test]
async fn large_parameters_make_small_pages() {
    let db = Database::new(Version::New);
    for n in 1..=60 {
        let id = db.finished(n);
        db.pair("params", &id, "text", &"x".repeat(1 << 20));
    }
    let id = db.finished(99);
    for n in 0..30 {
        db.pair("tags", &id, &n.to_string(), &"y".repeat(1 << 20));
    }
    let source = db.open();
    assert_eq!(runs(&source).await.0.len(), 61);
    let (_, record) = run(&source, &id).await;
    assert_eq!(record.tags.len(), 30);
    assert!(record.tags.values().all(|v| v.len() == 1 << 20));
}

#[tokio::test]
async fn fingerprints_tell_what_has_changed() {
    let db = filled(Version::New);
    let source = db.open();
    let prints = async || -> BTreeMap<String, String> {
        runs(&source)
            .await
            .0
            .into_iter()
            .map(|r| (r.id, r.fingerprint))
            .collect()
    };
    let id = run_id(1);
    let mut before = prints().await;
    assert_eq!(prints().await, before);
    type Change<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let mut changes: Vec<Change<'_>> = vec![
        // Not the latest one: nothing but the row tells it.
        (
            "a point",
            Box::new(|| db.point(&run_id(1), "loss", -5, 1, 0.0)),
        ),
        ("a tag", Box::new(|| db.pair("tags", &run_id(1), "new", ""))),
        (
            "a parameter",
            Box::new(|| db.pair("params", &run_id(1), "new", "")),
        ),
        (
            "a status",
            Box::new(|| db.run("UPDATE runs SET status = 'FAILED' WHERE name = 'run 1'")),
        ),
    ];
    let file = format!("mlartifacts/1/{id}/artifacts/a.txt");
    changes.push(("nothing", Box::new(|| ())));
    for (what, change) in changes {
        change();
        let after = prints().await;
        assert_eq!(before[&id] != after[&id], what != "nothing", "{what}");
        assert_eq!(before[&run_id(2)], after[&run_id(2)], "{what}");
        before = after;
    }
    db.write(&file, "a");
    let reopened = db.open();
    let after = runs(&reopened)
        .await
        .0
        .into_iter()
        .find(|r| r.id == id)
        .unwrap()
        .fingerprint;
    assert_ne!(before[&id], after, "a file");
    db.write(&file, "b");
    let again = runs(&reopened)
        .await
        .0
        .into_iter()
        .find(|r| r.id == id)
        .unwrap()
        .fingerprint;
    assert_ne!(after, again, "the contents of a file");
}

#[tokio::test]
async fn odd_values_are_findings_and_the_rest_arrives() {
    let db = filled(Version::New);
    let id = run_id(1);
    db.c.execute("INSERT INTO params VALUES ('null', NULL, ?1)", [&id])
        .unwrap();
    db.c.execute(
        "INSERT INTO params VALUES ('bytes', CAST(x'ff' AS TEXT), ?1)",
        [&id],
    )
    .unwrap();
    db.c.execute(
        "INSERT INTO params VALUES (CAST(x'fe' AS TEXT), 'v', ?1)",
        [&id],
    )
    .unwrap();
    db.c.execute("INSERT INTO params VALUES ('blob', x'6162', ?1)", [&id])
        .unwrap();
    db.c.execute("INSERT INTO params VALUES ('number', 7, ?1)", [&id])
        .unwrap();
    db.c.execute("INSERT INTO tags VALUES ('null', NULL, ?1)", [&id])
        .unwrap();
    db.c.execute("UPDATE runs SET name = CAST(x'41ff' AS TEXT), start_time = 'soon', end_time = 17.0 WHERE run_uuid = ?1", [&id]).unwrap();
    let source = db.open();
    let (_, record) = run(&source, &id).await;
    assert_eq!(record.run.name.as_deref(), Some("A\u{fffd}"));
    assert_eq!(
        (record.run.started_at, record.run.ended_at),
        (None, Some(Timestamp::from_millis(17)))
    );
    assert_eq!(
        record.run.config,
        json!({"lr": "0.1", "blob": "ab", "number": "7"})
            .as_object()
            .unwrap()
            .clone()
    );
    assert_eq!(record.tags["null"], "");
    let mut found: Vec<_> = record
        .findings
        .iter()
        .map(|f| (f.kind, f.outcome, f.reason.as_str()))
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            (Kind::Runs, Outcome::Normalised, "odd-value-replaced"),
            (Kind::Params, Outcome::Unreadable, "its key is not UTF-8"),
            (Kind::Params, Outcome::Unreadable, "its value is NULL"),
            (Kind::Params, Outcome::Unreadable, "its value is not UTF-8"),
            (Kind::Tags, Outcome::Normalised, "null-to-empty"),
        ]
    );
    conformance::source(Arc::new(source)).await;
}

#[tokio::test]
async fn what_belongs_to_nothing_is_counted() {
    let db = filled(Version::New);
    for n in 0..3 {
        db.point("ffffffffffffffffffffffffffffffff", "loss", n, n, 1.0);
    }
    db.pair("params", "gone", "lr", "1");
    db.with_status(9, 77, "FINISHED", "active");
    db.run(
        "INSERT INTO evaluation_datasets VALUES ('d-1', 'a'), ('d-2', 'b');
         INSERT INTO webhooks VALUES ('w', 'hush');
         INSERT INTO scheduler_leases VALUES ('l');
         CREATE TABLE \"odd \"\"name\" (x); INSERT INTO \"odd \"\"name\" VALUES (1), (2), (3);",
    );
    let source = db.open();
    let (_, findings) = projects(&source).await;
    let found: Vec<_> = findings
        .iter()
        .map(|f| (f.place.as_str(), f.kind, f.outcome, f.count))
        .collect();
    assert_eq!(
        found,
        [
            ("table runs", Kind::Runs, Outcome::Lost, 1),
            ("table metrics", Kind::Points, Outcome::Lost, 3),
            ("table params", Kind::Params, Outcome::Lost, 1),
            (
                "table evaluation_datasets",
                Kind::Artifacts,
                Outcome::Lost,
                2
            ),
            ("table odd \"name", Kind::Artifacts, Outcome::Lost, 3),
            ("table webhooks", Kind::Artifacts, Outcome::Lost, 1),
        ]
    );
    assert!(!format!("{findings:?}").contains("hush"));
    // Of a part of the store nothing is said that does not concern it.
    let part = importer_core::Selection::new()
        .with_projects(["first"])
        .unwrap();
    let items: Vec<_> = futures::TryStreamExt::try_collect(source.projects(&part))
        .await
        .unwrap();
    assert_eq!(items.len(), 1);
}

#[tokio::test]
async fn inputs_and_outputs_of_runs() {
    let db = filled(Version::New);
    let id = run_id(1);
    db.run(&format!(
        "INSERT INTO datasets VALUES ('u1', 1, 'train', 'd1', 'local', '{{\"path\": \"x\"}}', 'schema', 'profile');
         INSERT INTO inputs VALUES ('i1', 'DATASET', 'u1', 'RUN', '{id}', 0);
         INSERT INTO inputs VALUES ('i2', 'DATASET', 'gone', 'RUN', '{id}', 0);
         INSERT INTO inputs VALUES ('i3', 'PHASE', 'of moon', 'RUN', '{id}', 0);
         INSERT INTO input_tags VALUES ('i1', 'mlflow.data.context', 'training');
         INSERT INTO input_tags VALUES ('i1', 'other', 'x');
         INSERT INTO inputs VALUES ('o1', 'RUN_OUTPUT', '{id}', 'MODEL_OUTPUT', 'm-1', 7);
         INSERT INTO inputs VALUES ('o2', 'RUN_INPUT', '{id}', 'MODEL_INPUT', 'm-0', 0);"
    ));
    let (_, record) = run(&db.open(), &id).await;
    let [input] = &record.run.inputs[..] else {
        panic!("{:?}", record.run.inputs)
    };
    assert_eq!(
        (
            input.name.as_str(),
            input.digest.as_str(),
            input.context.as_deref()
        ),
        ("train", "d1", Some("training"))
    );
    assert_eq!(
        (input.schema.as_deref(), input.profile.as_deref()),
        (Some("schema"), Some("profile"))
    );
    assert_eq!(input.tags.len(), 2);
    let extras = &record.run.extras["mlflow"];
    assert_eq!(extras["model_inputs"], json!([{"model_id": "m-0"}]));
    assert_eq!(
        extras["model_outputs"],
        json!([{"model_id": "m-1", "step": 7}])
    );
    let found: Vec<_> = record
        .findings
        .iter()
        .map(|f| (f.kind, f.outcome))
        .collect();
    assert_eq!(
        found,
        [
            (Kind::Inputs, Outcome::Unreadable),
            (Kind::Inputs, Outcome::Lost)
        ]
    );
}
