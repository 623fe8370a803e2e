use futures::TryStreamExt;
use tracker_client::Api;
use tracker_model::{EntityName, ErrorKind, RunState};

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
