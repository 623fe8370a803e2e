//! Sources that are not there, or are something else.

use std::fs;

use anyhow::Result;
use tests::mlruns;

use super::{SMALL, import};

#[test]
fn no_such_folder() -> Result<()> {
    import(["./mlruns-of-yesterday"])?.refused(5, &["mlruns-of-yesterday"])
}

#[test]
fn no_such_database() -> Result<()> {
    import(["sqlite:///no/such/mlflow.db"])?.refused(5, &["mlflow.db"])
}

#[test]
fn no_such_host() -> Result<()> {
    // This name is reserved to lead nowhere.
    import(["mlflow+http://nowhere.invalid:5000"])?.refused(8, &["nowhere.invalid"])
}

#[test]
fn nobody_listens() -> Result<()> {
    import(["mlflow+http://127.0.0.1:9"])?.refused(8, &["127.0.0.1:9"])
}

#[test]
fn a_folder_that_is_no_store() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("notes.txt"), "none of your business")?;
    let address = format!("mlflow+file:{}", folder.path().display());
    import([address])?.refused(2, &["not an MLflow file store"])
}

#[test]
fn a_file_that_is_no_database() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("mlflow.db");
    fs::write(
        &path,
        "this is a text, and a long one at that. ".repeat(100),
    )?;
    import([format!("sqlite:///{}", path.display())])?.refused(2, &["mlflow.db"])
}

#[test]
fn a_database_of_something_else() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("shop.db");
    rusqlite::Connection::open(&path)?.execute_batch("CREATE TABLE orders (id INTEGER)")?;
    import([format!("sqlite:///{}", path.display())])?.refused(2, &["shop.db"])
}

#[test]
fn an_address_of_no_kind() -> Result<()> {
    import(["gopher://example.org/mlruns"])?.refused(2, &["gopher"])
}

#[cfg(unix)]
#[test]
fn a_folder_that_leads_in_circles() -> Result<()> {
    let folder = tempfile::tempdir()?;
    mlruns::write(folder.path(), SMALL)?;
    let run = fs::read_dir(folder.path().join("1"))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.is_dir());
    let artifacts = run.unwrap_or_default().join("artifacts");
    std::os::unix::fs::symlink(&artifacts, artifacts.join("again"))?;
    let outside = tempfile::tempdir()?;
    fs::write(outside.path().join("secret.txt"), "of somebody else")?;
    std::os::unix::fs::symlink(
        outside.path().join("secret.txt"),
        artifacts.join("secret.txt"),
    )?;
    let outcome = import([folder.path()])?;
    let receipt = outcome.went_on(outcome.code.unwrap_or(-1))?;
    anyhow::ensure!(
        super::runs_that_are(receipt, &["imported"]) == SMALL.runs,
        "{receipt:#}"
    );
    Ok(())
}
