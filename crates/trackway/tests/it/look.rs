use std::{fs, path::Path};

use crate::support::{Place, snapshot};

#[test]
fn lists() {
    let place = Place::with_example();
    snapshot!(place, place.said(["projects"]));
    snapshot!(place, place.said(["runs"]));
    snapshot!(
        place,
        place.said([
            "runs",
            "digits-mlp",
            "--show",
            "name,config.lr,summary.val/loss,tag.sweep"
        ])
    );
    snapshot!(place, place.said(["runs", "--state", "failed", "--json"]));
    snapshot!(place, place.said(["run", "bb2760c4"]));
    snapshot!(
        place,
        place.said(["artifacts", "ls", "registered-models/digits-mlp:champion"])
    );
}

#[test]
fn histories() {
    let place = Place::with_example();
    snapshot!(place, place.said(["history", "bb2760c4", "--samples", "4"]));
    snapshot!(
        place,
        place.said([
            "history",
            "bb2760c4",
            "--plot",
            "-k",
            "val/loss,train/loss",
            "--width",
            "60",
            "--height",
            "8"
        ])
    );
    snapshot!(
        place,
        place.said([
            "history", "lr=40", "--plot", "-k", "*loss", "--log", "--x", "time", "--width", "60",
            "--height", "6"
        ])
    );
}

#[test]
fn a_run_by_any_name() {
    let place = Place::with_example();
    let id = "bb2760c47ed84d6f88a8adea5e0dd1a4";
    for name in [
        id,
        "bb27",
        "lr=0.003",
        "digits-mlp/bb2760c4",
        &format!("digits-mlp/{id}"),
        &format!("local/digits-mlp/{id}"),
    ] {
        assert!(place.stdout(["run", name, "--json"]).contains(id), "{name}");
    }
}

#[test]
fn files_are_saved_once() {
    let place = Place::with_example();
    place.stdout(["files", "get", "62915c7a", "-o", "out"]);
    let table = fs::read(place.path("out/report/confusion.json")).unwrap();
    let printed = place.output(["files", "get", "62915c7a", "*.json", "-o", "-"]);
    assert_eq!(printed.stdout, table);
    let again = place.output(["files", "get", "62915c7a", "-o", "out"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("2 there already"));
    fs::write(place.path("out/report/confusion.json"), "mine").unwrap();
    assert_eq!(
        place
            .output(["files", "get", "62915c7a", "-o", "out"])
            .status
            .code(),
        Some(6)
    );
    assert_eq!(
        fs::read(place.path("out/report/confusion.json")).unwrap(),
        b"mine"
    );
    assert_eq!(
        place
            .output(["files", "get", "62915c7a", "-o", "out", "--force"])
            .status
            .code(),
        Some(0)
    );
    assert_eq!(
        fs::read(place.path("out/report/confusion.json")).unwrap(),
        table
    );
}

#[test]
fn a_model_is_saved() {
    let place = Place::with_example();
    place.stdout([
        "artifacts",
        "get",
        "registered-models/digits-mlp",
        "-o",
        "model",
    ]);
    assert_eq!(fs::read(place.path("model/labels.txt")).unwrap().len(), 20);
    assert_eq!(
        fs::read(place.path("model/weights.npz")).unwrap().len(),
        9787
    );
}

/// Puts other bytes into the files of a folder.
fn damage(folder: &Path, cut: usize) {
    for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        if path.is_dir() {
            damage(&path, cut);
        } else {
            let size = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
            let mut permissions = fs::metadata(&path).unwrap().permissions();
            #[allow(
                clippy::permissions_set_readonly_false,
                reason = "it is a temporary folder"
            )]
            permissions.set_readonly(false);
            fs::set_permissions(&path, permissions).unwrap();
            fs::write(&path, vec![b'x'; size - cut]).unwrap();
        }
    }
}

/// A file store whose one run has a file of a megabyte.
fn large(place: &Place) {
    let run = place.path("mlruns/1/0123456789abcdef0123456789abcdef");
    fs::create_dir_all(run.join("artifacts")).unwrap();
    fs::write(
        place.path("mlruns/1/meta.yaml"),
        "experiment_id: '1'\nlifecycle_stage: active\nname: big\n",
    )
    .unwrap();
    let meta = "run_id: 0123456789abcdef0123456789abcdef\nexperiment_id: '1'\nlifecycle_stage: active\nstatus: 3\n\
                start_time: 1700000000000\nend_time: 1700000001000\nartifact_uri: file:///old/mlruns/1/0123456789abcdef0123456789abcdef/artifacts\nrun_name: big\nuser_id: me\n";
    fs::write(run.join("meta.yaml"), meta).unwrap();
    let noise: Vec<u8> = (0_u32..1 << 20)
        .map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    fs::write(run.join("artifacts/noise.bin"), noise).unwrap();
}

#[test]
fn care() {
    let place = Place::with_example();
    large(&place);
    place.stdout(["import", "mlruns", "-q"]);
    snapshot!(place, place.said(["fsck", "--read-data"]));
    snapshot!(place, place.said(["gc", "--dry-run", "--grace", "0s"]));
    assert_eq!(place.output(["doctor"]).status.code(), Some(0));
    damage(&place.store().join("history"), 0);
    damage(&place.store().join("blobs"), 0);
    let damaged = place.output(["fsck", "--read-data", "--json"]);
    assert_eq!(damaged.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&damaged.stdout).contains("\"sound\": false"));
    damage(&place.store().join("blobs"), 1);
    assert_eq!(place.output(["doctor"]).status.code(), Some(1));
}

#[test]
fn completions_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(
            place.stdout(["completions", shell]).contains("import"),
            "{shell}"
        );
    }
}

#[test]
fn help_fits_a_screen_and_has_examples() {
    let place = Place::new();
    let pages = [
        vec![],
        vec!["import"],
        vec!["check"],
        vec!["projects"],
        vec!["runs"],
        vec!["run"],
        vec!["compare"],
        vec!["best"],
        vec!["update"],
        vec!["sweeps"],
        vec!["history"],
        vec!["export"],
        vec!["export", "runs"],
        vec!["export", "history"],
        vec!["files"],
        vec!["artifacts"],
        vec!["fsck"],
        vec!["gc"],
        vec!["doctor"],
        vec!["completions"],
    ];
    for page in pages {
        let help = place.stdout(page.iter().chain(&["-h"]));
        assert!(help.contains("Examples:"), "{page:?}");
        assert!(
            help.lines().count() <= 55,
            "{page:?} has {} lines",
            help.lines().count()
        );
    }
}
