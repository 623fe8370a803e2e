//! File stores made by hand.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// A folder that becomes a file store.
pub(crate) struct Store {
    dir: tempfile::TempDir,
}

pub(crate) const EXPERIMENT: &str = "123456789012345678";

/// The id of the run with a number.
pub(crate) fn run_id(n: u32) -> String {
    format!("{n:032x}")
}

impl Store {
    pub(crate) fn new() -> Self {
        let store = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        store.experiment(EXPERIMENT, "first");
        store
    }

    /// The folder above `mlruns`.
    pub(crate) fn base(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.base().join("mlruns")
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Writes a file of the store. Its time lies in the past, as in a store that rests.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))
            .unwrap();
        path
    }

    pub(crate) fn experiment(&self, id: &str, name: &str) {
        self.write(
            &format!("{id}/meta.yaml"),
            format!(
                "artifact_location: /home/ada/mlruns/{id}\ncreation_time: 1700000000000\nexperiment_id: '{id}'\n\
                 last_update_time: 1700000000500\nlifecycle_stage: active\nname: '{name}'\nworkspace: default\n"
            ),
        );
    }

    /// A finished run of the first experiment; answers its folder in the store.
    pub(crate) fn run(&self, n: u32) -> String {
        self.run_with(EXPERIMENT, n, "3", "active")
    }

    pub(crate) fn run_with(&self, experiment: &str, n: u32, status: &str, stage: &str) -> String {
        let id = run_id(n);
        self.write(
            &format!("{experiment}/{id}/meta.yaml"),
            format!(
                "artifact_uri: file:///home/ada/mlruns/{experiment}/{id}/artifacts\nend_time: 1700000060000\n\
                 entry_point_name: ''\nexperiment_id: '{experiment}'\nlifecycle_stage: {stage}\nrun_id: {id}\n\
                 run_name: run {n}\nsource_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: 170000000000{n}\n\
                 status: {status}\ntags: []\nuser_id: ada\n"
            ),
        );
        format!("{experiment}/{id}")
    }
}
