//! Wrong input: one clear line, a hint, the right exit code.

use std::{fs, net::TcpListener};

use crate::support::{Place, example, snapshot};

#[test]
fn places() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    fs::write(place.path("notes.txt"), "hello").unwrap();
    fs::write(place.path("not.db"), "hello").unwrap();
    fs::create_dir_all(place.path("project/mlruns/0")).unwrap();
    snapshot!(place, place.said(["import", "no/such/folder"]));
    snapshot!(place, place.said(["import", "empty"]));
    snapshot!(place, place.said(["import", "notes.txt"]));
    snapshot!(place, place.said(["import", "project"]));
    snapshot!(place, place.said(["import", "mlruns+file:x"]));
    snapshot!(place, place.said(["import", "wandb://me/project/run/more"]));
    snapshot!(place, place.said(["import", "localhost:5000"]));
    snapshot!(place, place.said(["runs"]));
    snapshot!(
        place,
        place.said(["runs", "--from", "http://localhost:5000"])
    );
    assert!(!place.store().exists(), "a failed import made a store");
}

#[test]
fn nobody_answers() {
    let place = Place::new();
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("http://me:hunter2@127.0.0.1:{port}");
    let mut command = place.command(["import", &address]);
    let done = command
        .env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(8), "{said}");
    assert!(
        said.starts_with("error: ") && said.contains("\nhint: "),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn names() {
    let place = Place::with_example();
    snapshot!(place, place.said(["run", "bb2760c5"]));
    snapshot!(place, place.said(["run", "digits/bb2760c4"]));
    snapshot!(place, place.said(["runs", "digit-mlp"]));
    snapshot!(place, place.said(["history", "bb2760c4", "-k", "val/los"]));
    snapshot!(
        place,
        place.said(["files", "get", "bb2760c4", "*.nothing", "-o", "out"])
    );
    snapshot!(
        place,
        place.said(["artifacts", "ls", "registered-models/digits-mlp:best"])
    );
    snapshot!(place, place.said(["export", "history", "nothing-like-it"]));
}

#[test]
fn flags() {
    let place = Place::with_example();
    snapshot!(place, place.said(["import", "x", "--since", "yesterday"]));
    snapshot!(place, place.said(["import", "x", "--include", "pints"]));
    snapshot!(place, place.said(["import", "x", "--map", "nothing"]));
    let source = example().display().to_string();
    snapshot!(
        place,
        place.said(["import", &source, "--experiment", "digit-mlp"])
    );
    snapshot!(place, place.said(["import", &source, "--run", "bb27"]));
    snapshot!(place, place.said(["runs", "--state", "done"]));
    snapshot!(
        place,
        place.said(["history", "bb2760c4", "--min-step", "5", "--max-step", "1"])
    );
    snapshot!(place, place.said(["export", "runs", "-o", "runs.xlsx"]));
    snapshot!(
        place,
        place.said(["export", "runs", "-o", "no/such/runs.csv"])
    );
    snapshot!(place, place.said(["import", "store"]));
    fs::write(place.path("trackway.toml"), "jobs = 4\njbos = 5\n").unwrap();
    snapshot!(place, place.said(["runs"]));
}
