use std::fs;

use futures::TryStreamExt;
use tracker_model::{ErrorKind, FileDraft, bytes_of};

use super::with_run;

#[tokio::test]
async fn up_and_down() {
    let (_, run) = with_run().await;
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("in/deep ü/data.bin");
    fs::create_dir_all(source.parent().unwrap()).unwrap();
    fs::write(&source, vec![7u8; 600_000]).unwrap();
    let root = dir.path().join("in");
    let file = run.upload_file(&source, Some(&root)).await.unwrap();
    assert_eq!(file.name(), "deep ü/data.bin");
    assert_eq!(
        run.upload_file(&source, None).await.unwrap().name(),
        "data.bin"
    );
    let names: Vec<String> = run
        .files()
        .map_ok(|f| f.name().to_owned())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(names, ["data.bin", "deep ü/data.bin"]);

    let out = dir.path().join("out");
    let file = run.file("deep ü/data.bin").await.unwrap();
    fs::create_dir(&out).unwrap();
    let saved = file.download(&out, false).await.unwrap();
    assert_eq!(saved, out.join("deep ü/data.bin"));
    assert_eq!(fs::read(&saved).unwrap(), fs::read(&source).unwrap());
    assert_eq!(file.download(&out, false).await.unwrap(), saved, "again");
    fs::write(&saved, "other").unwrap();
    assert_eq!(
        file.download(&out, false).await.unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    file.download(&out, true).await.unwrap();
    assert_eq!(fs::read(&saved).unwrap(), fs::read(&source).unwrap());
    assert_eq!(
        fs::read_dir(saved.parent().unwrap()).unwrap().count(),
        1,
        "nothing is left beside it"
    );

    file.delete().await.unwrap();
    assert_eq!(
        run.file("deep ü/data.bin").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused() {
    let (_, run) = with_run().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    fs::write(&file, "x").unwrap();
    let other = dir.path().join("other");
    for (path, root) in [
        (file.clone(), Some(other.as_path())),
        (dir.path().join("other/../f"), Some(dir.path())),
        (dir.path().to_owned(), None),
    ] {
        let refused = run.upload_file(&path, root).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{path:?}");
    }
    let missing = run.upload_file(&other, None).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let bad = run.put_file(FileDraft::new("../x"), bytes_of("x")).await;
    assert_eq!(bad.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[cfg(unix)]
#[tokio::test]
async fn links_out_of_the_folder_are_not_followed() {
    let (_, run) = with_run().await;
    let dir = tempfile::tempdir().unwrap();
    let (out, elsewhere) = (dir.path().join("out"), dir.path().join("elsewhere"));
    fs::create_dir(&out).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, out.join("link")).unwrap();
    let file = run
        .put_file(FileDraft::new("link/f"), bytes_of("x"))
        .await
        .unwrap();
    assert_eq!(
        file.download(&out, true).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}
