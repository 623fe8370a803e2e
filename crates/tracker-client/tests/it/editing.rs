use serde_json::{Value as Json, json};
use tracker_client::{Api, RunEdit, Section};
use tracker_model::{ErrorKind, RunState, RunStore, Timestamp};

use super::{object, with_run};

#[tokio::test]
async fn what_is_not_named_stays() {
    let (tracker, mut run) = with_run().await;
    let before = run.record().clone();
    let edit = RunEdit::new()
        .config("lr", 0.2)
        .config_at(["opt", "beta"], json!([3]))
        .config_at(["new", "inner"], true)
        .summary("x.y", Json::Null)
        .rename_summary(["acc"], ["accuracy"])
        .remove_config(["a.b"])
        .notes(Some("why".to_owned()))
        .add_tag("new")
        .add_tag("old")
        .state(RunState::Failed);
    run.edit(edit).await.unwrap();
    let now = tracker.run(run.path()).await.unwrap();
    assert_eq!(*run.record(), now, "the handle has what is there");
    let mut wanted = before;
    wanted.config = object(
        json!({ "lr": 0.2, "opt": { "name": "adam", "beta": [3] }, "new": { "inner": true } }),
    );
    wanted.summary = object(json!({ "loss": 0.5, "accuracy": 0.9, "x.y": null }));
    wanted.notes = Some("why".to_owned());
    wanted.tags = vec!["old".to_owned(), "new".to_owned()];
    wanted.state = RunState::Failed;
    wanted.version += 1;
    assert_eq!(now, wanted);
}

#[tokio::test]
async fn an_edit_that_changes_nothing_writes_nothing() {
    let (tracker, mut run) = with_run().await;
    let version = run.record().version;
    let edit = RunEdit::new().config("lr", 0.1).add_tag("old");
    run.edit(edit).await.unwrap();
    run.edit(RunEdit::new()).await.unwrap();
    assert_eq!(tracker.run(run.path()).await.unwrap().version, version);
}

#[tokio::test]
async fn a_run_that_is_stopped_has_ended() {
    let (tracker, mut run) = with_run().await;
    let before = run.record().clone();
    run.stop().await.unwrap();
    assert_eq!(*run.record(), before, "it has ended already");
    run.edit(RunEdit::new().state(RunState::Running))
        .await
        .unwrap();
    let at = Timestamp::from_millis(5);
    run.edit(RunEdit::new().stop(at)).await.unwrap();
    let now = tracker.run(run.path()).await.unwrap();
    assert_eq!((now.state, now.ended_at), (RunState::Killed, Some(at)));
    run.stop().await.unwrap();
    assert_eq!(run.ended_at(), Some(at), "it ends once");
}

#[tokio::test]
async fn names_tags_and_groups() {
    let (tracker, mut run) = with_run().await;
    let edit = RunEdit::new()
        .name(Some("second".to_owned()))
        .group(Some("g".to_owned()))
        .job_type(Some("eval".to_owned()))
        .notes(Some("n".to_owned()))
        .tags(["a", "b", "a"])
        .remove_tag("b");
    run.edit(edit).await.unwrap();
    assert_eq!((run.name(), run.notes()), ("second", Some("n")));
    assert_eq!((run.group(), run.job_type()), (Some("g"), Some("eval")));
    assert_eq!(run.tags(), ["a"]);
    let edit = RunEdit::new()
        .name(None)
        .group(None)
        .job_type(None)
        .notes(None);
    run.edit(edit).await.unwrap();
    let now = tracker.run(run.path()).await.unwrap();
    assert_eq!(
        (now.name, now.group, now.job_type, now.notes),
        (None, None, None, None)
    );
    assert_eq!(run.name(), "run1");
}

#[tokio::test]
async fn all_of_an_edit_or_nothing() {
    let (tracker, mut run) = with_run().await;
    let before = run.record().clone();
    let cases = [
        (RunEdit::new().remove_summary(["none"]), ErrorKind::NotFound),
        (
            RunEdit::new().rename_config(["none"], ["lr"]),
            ErrorKind::NotFound,
        ),
        (
            RunEdit::new().rename_summary(["loss"], ["acc"]),
            ErrorKind::AlreadyExists,
        ),
        (
            RunEdit::new().config_at(["lr", "inner"], 1),
            ErrorKind::InvalidInput,
        ),
        (
            RunEdit::new().remove_config(["opt", "none", "x"]),
            ErrorKind::NotFound,
        ),
        (
            RunEdit::new().config_at(Vec::<String>::new(), 1),
            ErrorKind::InvalidInput,
        ),
    ];
    for (edit, kind) in cases {
        assert_eq!(
            run.edit(edit.clone()).await.unwrap_err().kind(),
            kind,
            "{edit:?}"
        );
    }
    let partly = RunEdit::new().config("lr", 7).remove_summary(["none"]);
    assert!(run.edit(partly).await.is_err());
    assert_eq!(tracker.run(run.path()).await.unwrap(), before);
}

#[tokio::test]
async fn editors_of_different_keys_lose_nothing() {
    let (tracker, _) = with_run().await;
    let api = Api::new(tracker);
    let tasks: Vec<_> = (0..20)
        .map(|i| {
            let api = api.clone();
            tokio::spawn(async move {
                // Read before the others write.
                let mut run = api.run("vision/run1").await.unwrap();
                tokio::task::yield_now().await;
                let edit = RunEdit::new()
                    .config_at(["shared", &format!("k{i}")], i)
                    .add_tag(format!("t{i}"));
                run.edit(edit).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let run = api.run("vision/run1").await.unwrap();
    assert_eq!(run.config()["shared"].as_object().unwrap().len(), 20);
    assert_eq!(run.tags().len(), 21);
}

#[tokio::test]
async fn a_deleted_run_is_gone() {
    let (tracker, mut run) = with_run().await;
    let path = run.path().clone();
    run.clone().delete().await.unwrap();
    assert_eq!(
        tracker.run(&path).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let late = run.edit(RunEdit::new().config("lr", 1)).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn keys_with_dots_are_those_that_filters_find() {
    let (_, mut run) = with_run().await;
    let config = Section::Config;
    let edit = RunEdit::new()
        .set(config, "a.b", 2)
        .set(config, "opt.name", "sgd")
        .set(config, "opt.momentum.decay", 0.5)
        .set(config, "new.inner", true)
        .rename(config, "lr", "opt.lr")
        .remove(config, "opt.beta")
        .rename(Section::Summary, "acc", "eval.acc");
    run.edit(edit).await.unwrap();
    let wanted = json!({
        "a.b": 2,
        "opt": { "name": "sgd", "momentum": { "decay": 0.5 }, "lr": 0.1 },
        "new": { "inner": true },
    });
    assert_eq!(*run.config(), object(wanted));
    assert_eq!(run.summary()["eval"]["acc"], 0.9);
    let gone = RunEdit::new().remove(config, "opt.beta");
    let gone = run.edit(gone).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}
