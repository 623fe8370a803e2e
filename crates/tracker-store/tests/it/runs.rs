use futures::TryStreamExt;
use serde_json::json;
use tracker_model::{
    Change, ErrorKind, JsonPatch, Precondition, Run, RunFilter, RunOrder, RunPatch, RunQuery,
    RunState, RunStore, Timestamp,
};

use crate::support::{all, run, store};

#[tokio::test]
async fn every_field_comes_back() {
    let place = store().await;
    let path = run("local/ünï 实验/run 1");
    let mut expected = Run::new(path.clone(), Timestamp::from_parts(i64::MIN, 123_456));
    let text = |s: &str| Some(format!("{s} \u{0} \" ' ü 🦀 "));
    expected.name = text("name");
    expected.state = RunState::Preempting;
    expected.started_at = Some(Timestamp::from_parts(-1, 1));
    expected.ended_at = Some(Timestamp::from_millis(i64::MAX));
    expected.heartbeat_at = Some(Timestamp::from_millis(0));
    expected.deleted = true;
    expected.user = text("user");
    expected.host = text("host");
    expected.program = text("program");
    expected.args = vec![String::new(), "--x=1".into()];
    expected.git = Some(tracker_model::Git {
        commit: text("c"),
        remote: None,
        branch: text("b"),
    });
    expected.group = text("group");
    expected.job_type = text("job");
    expected.tags = vec!["b".into(), "a".into(), "b".into()];
    expected.notes = text("notes");
    expected.config = json!({"a": {"b": [1, 1.0, 1e300, -0.0, u64::MAX, i64::MIN, 0.1, null, true, "x\u{0}"]}, "": {}})
        .as_object().unwrap().clone();
    expected.summary = json!({"loss": "NaN"}).as_object().unwrap().clone();
    expected.parent = Some(tracker_model::RunId::new("parent").unwrap());
    expected.sweep = text("sweep");
    expected.inputs = vec![tracker_model::DatasetInput {
        name: "d".into(),
        digest: "x".into(),
        source: Some("{\"a\":1}".into()),
        tags: json!({"k": "v"}).as_object().unwrap().clone(),
        ..Default::default()
    }];
    expected.extras = json!({"mlflow.tags": {"x": "y"}})
        .as_object()
        .unwrap()
        .clone();
    expected.import = Some(tracker_model::ImportStamp {
        source: "s".into(),
        run: "r".into(),
        complete: true,
        fingerprint: "f".into(),
    });
    let patch = RunPatch::replacing_all(&expected);
    expected.version = 1;
    let answer = place
        .store
        .upsert_run(&path, patch, Precondition::Absent)
        .await
        .unwrap();
    assert_eq!(answer, expected);
    assert_eq!(place.store.run(&path).await.unwrap(), expected);
    let listed = all(place.store.find_runs(RunQuery::new().with_deleted(true))).await;
    assert_eq!(listed, [expected]);
}

#[tokio::test]
async fn json_that_could_not_be_read_again_is_refused() {
    let place = store().await;
    let nested = |levels: usize| {
        let inner = (1..levels).fold(json!(1), |v, _| json!([v]));
        RunPatch::new().with_config(JsonPatch::Replace(
            [("a".to_owned(), inner)].into_iter().collect(),
        ))
    };
    let path = run("local/p/r");
    place
        .store
        .upsert_run(&path, nested(127), Precondition::None)
        .await
        .unwrap();
    assert!(place.store.run(&path).await.is_ok());
    let e = place
        .store
        .upsert_run(&path, nested(128), Precondition::None)
        .await
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidInput);
    assert_eq!(place.store.run(&path).await.unwrap().version, 1);
}

#[tokio::test]
async fn pages_join_without_gap_or_double() {
    let place = store().await;
    // Many of the same instant, over several pages, in two projects with the same ids.
    let tasks = (0..1300u64).map(|i| {
        let path = run(&format!("local/p{}/r{:04}", i % 2, i / 2));
        let created =
            Timestamp::from_parts((i / 400).cast_signed(), u32::try_from(i / 800).unwrap());
        let patch = RunPatch::new()
            .with_created_at(created)
            .with_deleted(i % 10 == 9);
        let store = place.store.clone();
        async move {
            store
                .upsert_run(&path, patch, Precondition::None)
                .await
                .map(drop)
        }
    });
    futures::future::try_join_all(tasks).await.unwrap();

    for order in [RunOrder::NewestFirst, RunOrder::OldestFirst] {
        for (query, count) in [
            (RunQuery::new(), 1170),
            (RunQuery::new().with_deleted(true), 1300),
            (
                RunQuery::of_project(&run("local/p1/x").project_path()).with_deleted(true),
                650,
            ),
            (
                RunQuery::new()
                    .with_run(run("a/b/r0003").run)
                    .with_deleted(true),
                2,
            ),
            (RunQuery::of_project(&run("local/none/x").project_path()), 0),
        ] {
            let query = query.with_order(order.clone());
            assert_eq!(place.store.count_runs(&query).await.unwrap(), count);
            let runs = all(place.store.find_runs(query.clone())).await;
            assert_eq!(runs.len() as u64, count);
            assert!(runs.iter().all(|r| query.matches(r)));
            let place_of = |r: &Run| {
                let newest = match order {
                    RunOrder::NewestFirst => (
                        -r.created_at.as_millis(),
                        -i64::from(r.created_at.sub_nanos()),
                    ),
                    _ => (
                        r.created_at.as_millis(),
                        i64::from(r.created_at.sub_nanos()),
                    ),
                };
                (newest, r.path.run.clone(), r.path.project.clone())
            };
            assert!(runs.is_sorted_by(|a, b| place_of(a) < place_of(b)));
            let some: Vec<_> = place
                .store
                .find_runs(query.with_limit(77))
                .try_collect()
                .await
                .unwrap();
            assert_eq!(some, runs[..runs.len().min(77)]);
        }
    }
}

/// By an index, along the runs in order of time, and over all of them; in small and large projects.
#[tokio::test]
async fn filters_find_the_same_by_every_way() {
    let place = store().await;
    let tasks = (0..1500i64).map(|i| {
        let project = if i % 75 == 0 { "small" } else { "large" };
        let path = run(&format!("local/{project}/r{:04}", i * 7 % 1500));
        let mut patch = RunPatch::new()
            .with_created_at(Timestamp::from_parts(i / 3, 9))
            .with_name(format!("n{}", i % 400))
            .with_state(if i % 4 == 0 {
                RunState::Failed
            } else {
                RunState::Finished
            })
            .with_config(JsonPatch::Replace(
                [
                    ("i".to_owned(), json!(i)),
                    ("s".to_owned(), json!(format!("{i}"))),
                ]
                .into_iter()
                .collect(),
            ))
            .with_deleted(i % 50 == 49);
        patch.group = Change::Set(format!("g{}", i % 100));
        patch.started_at = Change::Set(Timestamp::from_millis(i));
        let store = place.store.clone();
        async move { store.upsert_run(&path, patch, Precondition::None).await }
    });
    let runs = futures::future::try_join_all(tasks).await.unwrap();
    let filters = [
        "display_name = n7",
        "display_name = n7 or group = g7",
        "group = g25 and config.i > 700",
        "group in [g1, g2] and not state = failed",
        "state = failed",
        "state = failed and config.i < 20",
        "name = r0700",
        "config.i < 40",
        "config.i >= 1460",
        "config.s ~ /^1.*9$/",
        "started_at < 1970-01-01T00:00:00.100Z",
        "started_at >= 1970-01-01T00:00:01.400Z and config.s ~ /7/",
        "config.none exists",
    ];
    let orders = [
        vec!["-created_at"],
        vec!["+created_at"],
        vec!["-config.i"],
        vec!["+display_name", "-started_at"],
    ];
    let scopes = [
        RunQuery::new(),
        RunQuery::new().with_deleted(true),
        RunQuery::of_project(&run("local/small/x").project_path()),
        RunQuery::of_project(&run("local/large/x").project_path()),
        RunQuery::of_project(&run("local/none/x").project_path()),
        RunQuery::new().with_run(run("a/b/r0700").run),
    ];
    for text in filters {
        for scope in &scopes {
            let query = scope.clone().with_filter(RunFilter::parse(text).unwrap());
            let mut wanted: Vec<&Run> = runs.iter().filter(|run| query.matches(run)).collect();
            assert_eq!(
                place.store.count_runs(&query).await.unwrap(),
                wanted.len() as u64
            );
            for keys in &orders {
                let order = RunOrder::parse(keys).unwrap();
                wanted.sort_by(|a, b| order.compare(&order.key(a), &order.key(b)));
                for limit in [u64::MAX, 50] {
                    let query = query.clone().with_order(order.clone()).with_limit(limit);
                    let found = all(place.store.find_runs(query)).await;
                    let end = wanted
                        .len()
                        .min(usize::try_from(limit).unwrap_or(usize::MAX));
                    assert!(
                        found.iter().eq(wanted[..end].iter().copied()),
                        "{text} {scope:?} {keys:?} {limit}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn one_failing_change_harms_no_other_of_its_transaction() {
    let place = store().await;
    let tasks = (0..200).map(|i| {
        let store = place.store.clone();
        async move {
            let pre = if i % 3 == 0 {
                Precondition::Present
            } else {
                Precondition::Absent
            };
            let path = run(&format!("local/p/r{i}"));
            store
                .upsert_run(&path, RunPatch::new(), pre)
                .await
                .map_err(|e| e.kind())
        }
    });
    for (i, answer) in futures::future::join_all(tasks)
        .await
        .into_iter()
        .enumerate()
    {
        assert_eq!(answer.err(), (i % 3 == 0).then_some(ErrorKind::NotFound));
    }
    assert_eq!(place.store.count_runs(&RunQuery::new()).await.unwrap(), 133);
}
