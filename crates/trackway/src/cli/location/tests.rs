use std::fs;

use super::*;
use crate::cli::failure::Failure;

#[track_caller]
fn check(text: &str, expected: &str) {
    let said = match Location::parse(text) {
        Ok(location) => location.to_string(),
        Err(Failure::Told { message, hint, .. }) => {
            format!("{message} | {}", hint.unwrap_or_default())
        }
        Err(Failure::Pipe) => String::new(),
    };
    assert_eq!(said, expected, "{text}");
}

#[test]
fn addresses() {
    check("local:/data/store", "local:/data/store");
    check("mlflow+file:/a/mlruns", "mlflow+file:/a/mlruns");
    check("mlflow+file:///a/my%20runs+x", "mlflow+file:/a/my runs+x");
    check("sqlite:///mlflow.db", "mlflow+sqlite:mlflow.db");
    check("sqlite:////var/mlflow.db", "mlflow+sqlite:/var/mlflow.db");
    check("mlflow+sqlite:mlflow.db", "mlflow+sqlite:mlflow.db");
    check("http://localhost:5000", "mlflow+http://localhost:5000");
    check(
        "mlflow+https://user:secret@host/prefix?token=secret",
        "mlflow+https://host/prefix",
    );
    check("wandb+http://localhost:8080", "wandb+http://localhost:8080");
    check(
        "wandb+https://host/team/my%20project/r1/?x=y",
        "wandb+https://host/team/my project/r1",
    );
    check("wandb://me/project", "wandb://me/project");
    check("wandb:", "wandb:/");
    check("databricks", "databricks");
    check("databricks://prod", "databricks://prod");
}

#[test]
fn wrong_addresses() {
    check(
        "mlfow+http://localhost",
        "mlfow+http://localhost: \"mlfow+http\" is not a kind of address | did you mean mlflow+http:…?",
    );
    check(
        "http://",
        "http:// is not an address: empty host | write http://HOST:PORT or https://HOST",
    );
    check(
        "sqlite://host/mlflow.db",
        "sqlite://host/mlflow.db names a host, and an SQLite database has none | write sqlite:///FILE for a file here, \
         sqlite:////FILE for one from the root",
    );
    check(
        "wandb+http://api:secret@host/e",
        "wandb+http://host/e holds a key, which does not belong there | write wandb+http://HOST:PORT/ENTITY/PROJECT; \
         `trackway login` keeps keys",
    );
    check(
        "wandb+http://host/a/b/c/d",
        "wandb+http://host/a/b/c/d names more than a run | write ENTITY, ENTITY/PROJECT or ENTITY/PROJECT/RUN behind \
         the server",
    );
    check(
        "https://wandb.ai/me/project",
        "https://wandb.ai/me/project is a place of W&B that is not read; its servers, MLflow and embedded stores are | \
         write wandb://ENTITY/PROJECT",
    );
    check("local:", "local: names no path | write local:PATH");
    check(
        "localhost:5000",
        "localhost:5000 has no scheme | for a server write http://localhost:5000",
    );
    check(
        "./no/such/folder",
        "there is nothing at ./no/such/folder | check the path; a server is written http://HOST:PORT",
    );
    check("", &format!("the address is empty | {FORMS}"));
}

#[test]
fn secrets_are_not_shown() {
    let location = Location::parse("http://me:hunter2@host:1/x?token=hunter2#hunter2").unwrap();
    assert!(!format!("{location} {location:?}").contains("hunter2"));
    for wrong in [
        "htp://me:hunter2@host",
        "postgresql://me:hunter2@host/db",
        "http://me:hunter2@",
    ] {
        let told = format!("{:?}", Location::parse(wrong));
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn paths_are_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::create_dir_all(dir.path().join("runs/0")).unwrap();
    fs::write(dir.path().join("runs/0/meta.yaml"), "").unwrap();
    fs::write(dir.path().join("m.db"), b"SQLite format 3\0...").unwrap();
    fs::write(dir.path().join("x.txt"), b"hello").unwrap();
    fs::create_dir(dir.path().join("store")).unwrap();
    fs::write(
        dir.path().join("store/trackway.db"),
        b"SQLite format 3\0...",
    )
    .unwrap();
    fs::create_dir(dir.path().join("mlruns")).unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    check(&path("runs"), &format!("mlflow+file:{}", path("runs")));
    check(&path("mlruns"), &format!("mlflow+file:{}", path("mlruns")));
    check(&path("m.db"), &format!("mlflow+sqlite:{}", path("m.db")));
    check(&path("store"), &format!("local:{}", path("store")));
    check(
        &path("store/trackway.db"),
        &format!("local:{}", path("store")),
    );
    check(
        &path("x.txt"),
        &format!(
            "{} is a file, but not an SQLite database | {FORMS}",
            path("x.txt")
        ),
    );
    check(
        &path("empty"),
        &format!("{} is an empty folder | {FORMS}", path("empty")),
    );
    check(
        &path(""),
        &format!(
            "{} is a folder, but neither an MLflow file store nor an embedded store | did you mean {}?",
            path(""),
            path("mlruns")
        ),
    );
}
