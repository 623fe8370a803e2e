use std::{collections::BTreeSet, future::Future, sync::Arc};

use futures::TryStreamExt;

use super::support::{kind, list, new_run, run_path, upsert};
use crate::{
    Change, DatasetInput, ErrorKind, Git, ImportStamp, JsonObject, JsonPatch, Precondition, Run,
    RunOrder, RunParts, RunPatch, RunPath, RunQuery, RunState, Timestamp, Tracker,
};

/// Runs: every field, changes in part, preconditions, queries, deletion.
pub async fn runs<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    every_field(&*tracker).await;
    changes(&*tracker).await;
    large_objects(&*tracker).await;
    preconditions(&*tracker).await;
    deletion(&*tracker).await;
    many_at_once(&*tracker).await;
    let tracker = factory().await;
    queries(&*tracker).await;
    stable_pages(&*factory().await).await;
}

fn object(json: &serde_json::Value) -> JsonObject {
    json.as_object().cloned().unwrap()
}

fn whole_run(path: RunPath) -> Run {
    let mut run = Run::new(path, Timestamp::from_parts(i64::MIN, 999_999));
    run.name = Some("ünï 实验 \u{1f600} 'quoted' %".to_owned());
    run.state = RunState::Preempting;
    run.started_at = Some(Timestamp::from_parts(-1, 1));
    run.ended_at = Some(Timestamp::from_parts(-2, 0));
    run.heartbeat_at = Some(Timestamp::from_millis(i64::MAX));
    run.user = Some(String::new());
    run.host = Some("host".to_owned());
    run.program = Some("train.py".to_owned());
    run.args = vec!["--lr".to_owned(), String::new(), "a b".to_owned()];
    run.git = Some(Git {
        commit: Some("c0ffee".to_owned()),
        remote: None,
        branch: Some("main".to_owned()),
    });
    run.group = Some("g".to_owned());
    run.job_type = Some("train".to_owned());
    run.tags = vec!["b".to_owned(), "a".to_owned(), "b".to_owned()];
    run.notes = Some("line\nline\u{0}\r\n".to_owned());
    run.config = object(&serde_json::json!({
        "": null, "a.b/c": [1, 1.0, -0.0, "1", true, {}], "\u{5b9e}": i64::MIN, "max": u64::MAX,
        "tiny": 5e-324, "huge": f64::MAX, "third": 1.0 / 3.0, "nan": "NaN", "\"'\\\u{0}": "\u{0}",
        "deep": { "er": { "and": [[[[{ "er": [] }]]]] } },
    }));
    run.summary = object(&serde_json::json!({ "loss": 0.25, "best": { "step": -7 } }));
    run.parent = Some("parent".parse().unwrap());
    run.sweep = Some("sweep".to_owned());
    run.inputs = vec![DatasetInput {
        name: "d".to_owned(),
        digest: "x1".to_owned(),
        source_type: Some("s3".to_owned()),
        source: Some("{\"uri\": \"s3://b\"}".to_owned()),
        schema: Some("{}".to_owned()),
        profile: None,
        context: Some("train".to_owned()),
        tags: object(&serde_json::json!({ "k": "v" })),
    }];
    run.extras = object(&serde_json::json!({ "mlflow": { "tags": { "mlflow.user": "me" } } }));
    run.import = Some(ImportStamp {
        source: "mlflow:http://host".to_owned(),
        run: "f00".to_owned(),
        complete: false,
        fingerprint: "1".to_owned(),
    });
    run
}

async fn every_field(tracker: &dyn Tracker) {
    let path = run_path("every-field");
    assert_eq!(kind(tracker.run(&path).await), ErrorKind::NotFound);
    let mut wanted = whole_run(path.clone());
    wanted.version = 1;
    let made = upsert(tracker, &path, RunPatch::replacing_all(&wanted)).await;
    assert_eq!(made, wanted, "every field, as it is answered");
    let read = tracker.run(&path).await.unwrap();
    assert_eq!(read, wanted, "every field, as it is read");
    let zero = read.config["a.b/c"][2].as_f64().unwrap();
    assert!(zero == 0.0 && zero.is_sign_negative(), "the negative zero");
    let listed = list(tracker.find_runs(RunQuery::new().with_run(path.run.clone()))).await;
    assert_eq!(listed, [wanted.clone()], "every field, as it is listed");

    let empty = Run::new(path.clone(), Timestamp::from_millis(7));
    let emptied = upsert(tracker, &path, RunPatch::replacing_all(&empty)).await;
    assert!(emptied.version > 1, "a change counts");
    assert_eq!(
        Run {
            version: 0,
            ..emptied
        },
        empty,
        "every field taken away"
    );
}

async fn changes(tracker: &dyn Tracker) {
    let before = Timestamp::now();
    let path = run_path("changes");
    let fresh = upsert(tracker, &path, RunPatch::new()).await;
    assert_eq!(fresh.version, 1);
    assert!(
        fresh.created_at >= before && fresh.created_at <= Timestamp::now(),
        "created now"
    );
    assert_eq!(
        fresh,
        Run {
            version: 1,
            ..Run::new(path.clone(), fresh.created_at)
        },
        "nothing else is made up"
    );

    let whole = upsert(
        tracker,
        &path,
        RunPatch::replacing_all(&whole_run(path.clone())),
    )
    .await;
    let mut patch = RunPatch::new()
        .with_state(RunState::Finished)
        .with_name("other");
    patch.user = Change::Clear;
    patch.config = JsonPatch::Merge {
        set: object(&serde_json::json!({ "": 1, "new": [null] })),
        remove: vec!["max".to_owned(), "missing".to_owned(), "new".to_owned()],
    };
    let changed = upsert(tracker, &path, patch).await;
    let mut wanted = whole.clone();
    wanted.version = changed.version;
    wanted.state = RunState::Finished;
    wanted.name = Some("other".to_owned());
    wanted.user = None;
    wanted.config.remove("max");
    wanted.config.insert(String::new(), 1.into());
    wanted
        .config
        .insert("new".to_owned(), serde_json::json!([null]));
    assert_eq!(changed, wanted, "what a change does not name stays");
    assert!(changed.version > whole.version);
    assert_eq!(tracker.run(&path).await.unwrap(), wanted);
    for state in [
        RunState::Pending,
        RunState::Running,
        RunState::Failed,
        RunState::Killed,
        RunState::Crashed,
        RunState::Preempted,
    ] {
        assert_eq!(
            upsert(tracker, &path, RunPatch::new().with_state(state))
                .await
                .state,
            state
        );
    }
}

async fn large_objects(tracker: &dyn Tracker) {
    let path = run_path("large");
    let param = |i: usize| {
        (
            format!("layer{i}/param.{i}"),
            serde_json::Value::String("x\u{e9}".repeat(i * 3)),
        )
    };
    let config: JsonObject = (0..2_000).map(param).collect();
    let run = upsert(
        tracker,
        &path,
        RunPatch::new().with_config(JsonPatch::Replace(config.clone())),
    )
    .await;
    assert!(
        run.config == config,
        "2,000 parameters of up to 18,000 bytes"
    );
    assert!(tracker.run(&path).await.unwrap().config == config);
}

async fn preconditions(tracker: &dyn Tracker) {
    let path = run_path("preconditions");
    let patch = |name: &str| RunPatch::new().with_name(name);
    let put = |name: &'static str, pre| tracker.upsert_run(&path, patch(name), pre);
    assert_eq!(
        kind(put("a", Precondition::Present).await),
        ErrorKind::NotFound
    );
    if !tracker.capabilities().atomic_changes {
        let versioned = put("a", Precondition::Version(1)).await;
        assert_eq!(kind(versioned), ErrorKind::Unsupported);
        put("b", Precondition::Absent).await.unwrap();
        assert_eq!(
            kind(put("c", Precondition::Absent).await),
            ErrorKind::AlreadyExists
        );
        assert_eq!(
            put("f", Precondition::Present)
                .await
                .unwrap()
                .name
                .as_deref(),
            Some("f")
        );
        return;
    }
    assert_eq!(
        kind(put("a", Precondition::Version(1)).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(tracker.run(&path).await),
        ErrorKind::NotFound,
        "a refused change makes no run"
    );
    let first = put("b", Precondition::Absent).await.unwrap();
    assert_eq!(
        kind(put("c", Precondition::Absent).await),
        ErrorKind::AlreadyExists
    );
    let second = put("d", Precondition::Version(first.version))
        .await
        .unwrap();
    assert_eq!(
        kind(put("e", Precondition::Version(first.version)).await),
        ErrorKind::Conflict
    );
    assert_eq!(
        kind(put("e", Precondition::Version(second.version + 1)).await),
        ErrorKind::Conflict
    );
    assert_eq!(
        tracker.run(&path).await.unwrap(),
        second,
        "a refused change changes nothing"
    );
    assert_eq!(
        put("f", Precondition::Present)
            .await
            .unwrap()
            .name
            .as_deref(),
        Some("f")
    );
}

async fn many_at_once(tracker: &dyn Tracker) {
    let mut paths = Vec::new();
    for i in 0..20 {
        let path = run_path(&format!("many{i}"));
        if i % 3 > 0 {
            let patch = RunPatch::new()
                .with_name(format!("{i}"))
                .with_config(JsonPatch::Replace(object(&serde_json::json!({ "i": i }))));
            upsert(tracker, &path, patch).await;
        }
        paths.push(path);
    }
    paths.reverse();
    let found = tracker.runs_at(&paths, RunParts::ALL).await.unwrap();
    assert_eq!(found.len(), paths.len());
    for (path, found) in paths.iter().zip(found) {
        assert_eq!(found, tracker.run(path).await.ok(), "in order, or none");
    }
    let some = tracker.runs_at(&paths, RunParts::NONE).await.unwrap();
    let names: Vec<_> = some.into_iter().flatten().map(|run| run.name).collect();
    assert_eq!(names.len(), 13, "without their objects");
    assert_eq!(names.first(), Some(&Some("19".to_owned())));
}

async fn deletion(tracker: &dyn Tracker) {
    let path = new_run(tracker, "deleted").await;
    let marked = upsert(
        tracker,
        &path,
        RunPatch::new().with_deleted(true).with_name("n"),
    )
    .await;
    assert!(marked.deleted, "a run may be marked as deleted");
    assert_eq!(tracker.run(&path).await.unwrap(), marked, "and can be read");
    let query = RunQuery::new().with_run(path.run.clone());
    assert_eq!(tracker.count_runs(&query).await.unwrap(), 0);
    assert_eq!(
        tracker
            .count_runs(&query.clone().with_deleted(true))
            .await
            .unwrap(),
        1
    );
    tracker.delete_run(&path).await.unwrap();
    assert_eq!(kind(tracker.run(&path).await), ErrorKind::NotFound);
    assert_eq!(kind(tracker.delete_run(&path).await), ErrorKind::NotFound);
    assert_eq!(
        kind(tracker.delete_run(&"no/such/run".parse().unwrap()).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        tracker.count_runs(&query.with_deleted(true)).await.unwrap(),
        0
    );
    let again = upsert(tracker, &path, RunPatch::new()).await;
    assert_eq!(
        (again.version, again.name, again.deleted),
        (1, None, false),
        "a new run with an old id"
    );
}

/// 500 runs of three projects, some with the same time, some deleted.
async fn fill(tracker: &dyn Tracker) -> Vec<Run> {
    let mut runs = Vec::new();
    for i in 0..500_i64 {
        let project = ["x/p", "x/q", "y/p"][usize::try_from(i % 3).unwrap()];
        // Not in order, and three in each millisecond.
        let (ms, sub) = ((i * 7) % 500 / 3 - 80, u32::from(i % 2 == 0));
        let path = format!("{project}/r{i:03}").parse().unwrap();
        let patch = RunPatch::new()
            .with_created_at(Timestamp::from_parts(ms, sub))
            .with_deleted(i % 10 == 0);
        runs.push(upsert(tracker, &path, patch).await);
    }
    runs
}

async fn queries(tracker: &dyn Tracker) {
    assert!(
        list(tracker.find_runs(RunQuery::new())).await.is_empty(),
        "a fresh tracker has no runs"
    );
    let mut runs = fill(tracker).await;
    let ids = |runs: &[Run]| runs.iter().map(|r| r.path.clone()).collect::<Vec<_>>();
    let entity = runs[2].path.entity.clone();
    let shapes = [
        RunQuery::new(),
        RunQuery::new().with_deleted(true),
        RunQuery::of_project(&runs[0].path.project_path()),
        RunQuery::new().with_entity(entity.clone()),
        RunQuery::new()
            .with_project(runs[0].path.project.clone())
            .with_deleted(true),
        RunQuery::new().with_run(runs[4].path.run.clone()),
        RunQuery::new().with_entity("nobody".parse().unwrap()),
        RunQuery::of_project(&"x/nothing".parse().unwrap()),
    ];
    for order in [RunOrder::NewestFirst, RunOrder::OldestFirst] {
        match order {
            RunOrder::OldestFirst => runs.sort_by_key(|r| (r.created_at, r.path.run.clone())),
            _ => runs.sort_by_key(|r| (std::cmp::Reverse(r.created_at), r.path.run.clone())),
        }
        for query in &shapes {
            let query = query.clone().with_order(order.clone());
            let wanted: Vec<Run> = runs.iter().filter(|r| query.matches(r)).cloned().collect();
            assert_eq!(
                tracker.count_runs(&query).await.unwrap(),
                wanted.len() as u64,
                "{query:?}"
            );
            assert_eq!(
                ids(&list(tracker.find_runs(query.clone())).await),
                ids(&wanted),
                "{query:?}"
            );
            for limit in [0, 1, 99, 100, 101, 10_000] {
                let query = query.clone().with_limit(limit);
                let found = list(tracker.find_runs(query.clone())).await;
                let end = wanted.len().min(usize::try_from(limit).unwrap());
                assert_eq!(found, wanted[..end], "{query:?}");
                assert_eq!(
                    tracker.count_runs(&query).await.unwrap(),
                    wanted.len() as u64,
                    "a limit is not counted"
                );
            }
        }
    }
}

/// Runs that change, come and go while they are listed.
async fn stable_pages(tracker: &dyn Tracker) {
    let runs = fill(tracker).await;
    let mut stream = tracker.find_runs(RunQuery::new().with_deleted(true));
    let mut seen = Vec::new();
    let mut made = 0;
    let mut removed = BTreeSet::new();
    while let Some(run) = stream.try_next().await.expect("the listing goes on") {
        if seen.len() % 50 == 0 {
            upsert(tracker, &run.path, RunPatch::new().with_name("changed")).await;
            let far = runs.iter().find(|r| {
                !seen.contains(&r.path) && !removed.contains(&r.path) && r.path != run.path
            });
            if let Some(far) = far {
                upsert(tracker, &far.path, RunPatch::new().with_name("changed")).await;
            }
            upsert(
                tracker,
                &format!("x/p/new{made}").parse().unwrap(),
                RunPatch::new(),
            )
            .await;
            made += 1;
            let victim = &runs[(seen.len() * 3 + 17) % runs.len()].path;
            if removed.insert(victim.clone()) {
                tracker.delete_run(victim).await.unwrap();
            }
        }
        seen.push(run.path);
    }
    let once: BTreeSet<&RunPath> = seen.iter().collect();
    assert_eq!(once.len(), seen.len(), "every run comes once");
    for run in runs.iter().filter(|r| !removed.contains(&r.path)) {
        assert!(
            once.contains(&run.path),
            "{} was there all the time and did not come",
            run.path
        );
    }
}
