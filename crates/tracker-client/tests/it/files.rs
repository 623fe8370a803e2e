use std::fs;

use futures::TryStreamExt;
use tracker_client::{Amount, Folder, Patterns};
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
async fn files_by_patterns() {
    let (_, run) = with_run().await;
    for name in ["a.png", "deep/b.png", "c.txt"] {
        let size = name.len();
        let body = bytes_of(vec![7; size]);
        run.put_file(FileDraft::new(name), body).await.unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).await.unwrap();
    let pictures = Patterns::new(["*.png"]).unwrap();
    let two = Amount {
        files: 2,
        bytes: 15,
    };
    let first = run.download_files(&pictures, &folder).await.unwrap();
    assert_eq!((first.written, first.there), (two, Amount::default()));
    assert_eq!(fs::read(dir.path().join("deep/b.png")).unwrap(), [7; 10]);
    assert!(!dir.path().join("c.txt").exists());
    let again = run.download_files(&pictures, &folder).await.unwrap();
    assert_eq!((again.written, again.there), (Amount::default(), two));
    fs::write(dir.path().join("a.png"), "other").unwrap();
    let refused = run.download_files(&pictures, &folder).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);

    assert_eq!(run.delete_files(&pictures).await.unwrap(), two);
    let left: Vec<_> = run.files().try_collect().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].name(), "c.txt");
    let none = run.delete_files(&pictures).await.unwrap();
    assert_eq!(none, Amount::default());
    run.clone().delete().await.unwrap();
    let gone = run.delete_files(&pictures).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
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
