use std::time::Duration;

use futures::TryStreamExt;
use tracker_client::Api;
use tracker_model::{
    Change, EntityName, ErrorKind, FileDraft, LogLine, LogStore, Precondition, RunId, RunPatch,
    RunState, RunStore, Timestamp, bytes_of,
};

use super::with_run;

#[tokio::test]
async fn a_run_tells_what_is_known() {
    let (_, run) = with_run().await;
    assert_eq!(run.path().to_string(), "local/vision/run1");
    assert_eq!((run.id(), run.name()), ("run1", "first"));
    assert_eq!(run.state(), RunState::Finished);
    assert_eq!(run.command(), Some(vec!["train.py", "--fast"]));
    assert_eq!(run.commit(), None);
    assert_eq!(run.config()["opt"]["name"], "adam");
    assert_eq!(run.tags(), ["old"]);
}

#[tokio::test]
async fn who_where_and_how_long() {
    let (tracker, mut run) = with_run().await;
    assert_eq!((run.user(), run.host(), run.sweep()), (None, None, None));
    assert_eq!((run.started_at(), run.duration()), (None, None));
    let mut patch = RunPatch::new();
    patch.user = Change::Set("ada".to_owned());
    patch.host = Change::Set("node1".to_owned());
    patch.group = Change::Set("g".to_owned());
    patch.job_type = Change::Set("train".to_owned());
    patch.sweep = Change::Set("s1".to_owned());
    patch.parent = Change::Set(RunId::new("run0").unwrap());
    patch.started_at = Change::Set(Timestamp::from_millis(1_000));
    patch.heartbeat_at = Change::Set(Timestamp::from_millis(3_000));
    let change = async |patch: RunPatch| {
        let changed = tracker.upsert_run(run.path(), patch, Precondition::None);
        changed.await.unwrap();
    };
    change(patch).await;
    run.reload().await.unwrap();
    assert_eq!((run.user(), run.host()), (Some("ada"), Some("node1")));
    assert_eq!((run.group(), run.job_type()), (Some("g"), Some("train")));
    assert_eq!(run.sweep(), Some("s1"));
    assert_eq!(run.parent().map(RunId::as_str), Some("run0"));
    assert_eq!(run.heartbeat_at(), Some(Timestamp::from_millis(3_000)));
    assert_eq!(run.duration(), Some(Duration::from_secs(2)));

    let ended = |ms| {
        let mut patch = RunPatch::new();
        patch.ended_at = Change::Set(Timestamp::from_millis(ms));
        tracker.upsert_run(run.path(), patch, Precondition::None)
    };
    ended(2_500).await.unwrap();
    let mut later = run.clone();
    later.reload().await.unwrap();
    assert_eq!(later.ended_at(), Some(Timestamp::from_millis(2_500)));
    assert_eq!(later.duration(), Some(Duration::from_millis(1_500)));
    ended(900).await.unwrap();
    later.reload().await.unwrap();
    assert_eq!(later.duration(), None, "it did not end before it began");
}

#[tokio::test]
async fn pages_of_runs() {
    let (tracker, run) = with_run().await;
    assert_eq!(run.url(), None);
    let path = "local/ünï/a b".parse().unwrap();
    let new = tracker.upsert_run(&path, RunPatch::new(), Precondition::None);
    new.await.unwrap();
    for (base, before) in [
        ("https://example.org", "https://example.org"),
        ("http://h:80/below/", "http://h:80/below"),
    ] {
        let api = Api::new(tracker.clone()).with_base_url(base).unwrap();
        let url = async |path: &str| api.run(path).await.unwrap().url().unwrap();
        let plain = format!("{before}/local/vision/runs/run1");
        assert_eq!(url("vision/run1").await, plain);
        let odd = format!("{before}/local/%C3%BCn%C3%AF/runs/a%20b");
        assert_eq!(url("ünï/a b").await, odd);
    }
    let pasted = "https://example.org/local/%C3%BCn%C3%AF/runs/a%20b/overview";
    assert_eq!(Api::new(tracker.clone()).run_path(pasted).unwrap(), path);
    for bad in ["", "example", "mailto:x", "/a", "https://", "ftp://h"] {
        let refused = Api::new(tracker.clone()).with_base_url(bad);
        assert_eq!(
            refused.unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn what_it_printed() {
    let (tracker, run) = with_run().await;
    let missing = run.logs().await.err().unwrap();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let body = bytes_of("epoch 1\n 10%\r 90%\r100%\r\nend");
    run.put_file(FileDraft::new("output.log"), body)
        .await
        .unwrap();
    let lines: Vec<_> = run.logs().await.unwrap().try_collect().await.unwrap();
    assert_eq!(lines, ["epoch 1", "100%", "end"]);

    // Its log goes before the file.
    let log = [(7, "90%"), (1, "epoch 2"), (7, "100%")];
    let log = log.map(|(number, text)| LogLine::new(number, text));
    tracker.write_log(run.path(), log.to_vec()).await.unwrap();
    let lines: Vec<_> = run.logs().await.unwrap().try_collect().await.unwrap();
    assert_eq!(lines, ["epoch 2", "100%"]);
}

#[tokio::test]
async fn what_is_known_of_the_program() {
    let (_, run) = with_run().await;
    assert_eq!(run.metadata().await.unwrap(), None);
    let put = async |text: &'static str| {
        let draft = FileDraft::new("wandb-metadata.json");
        run.put_file(draft, bytes_of(text)).await.unwrap();
        run.metadata().await
    };
    let metadata = put("{\"program\": \"train.py\"}").await.unwrap().unwrap();
    assert_eq!(metadata["program"], "train.py");
    for bad in ["", "[]", "{"] {
        assert_eq!(put(bad).await.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (tracker, _) = with_run().await;
    let api = Api::new(tracker);
    let kind = async |path: &str| api.run(path).await.unwrap_err().kind();
    assert_eq!(kind("vision/none").await, ErrorKind::NotFound);
    assert_eq!(kind("other/vision/run1").await, ErrorKind::NotFound);
    assert_eq!(kind("run1").await, ErrorKind::InvalidInput);
}

#[tokio::test]
async fn projects_of_an_entity() {
    let (tracker, _) = with_run().await;
    let api = Api::new(tracker);
    let names = async |entity: Option<&EntityName>| {
        let projects: Vec<_> = api.projects(entity).try_collect().await.unwrap();
        projects
            .into_iter()
            .map(|p| p.path.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(None).await, ["local/vision"]);
    let other = EntityName::new("other").unwrap();
    assert!(names(Some(&other)).await.is_empty());
}
