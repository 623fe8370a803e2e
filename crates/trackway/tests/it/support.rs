use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// A folder with a store in it, and the program to work on it.
pub(crate) struct Place {
    folder: TempDir,
}

/// The file store that comes with the project.
pub(crate) fn example() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data/mlruns"))
        .unwrap()
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    /// With the example imported.
    pub(crate) fn with_example() -> Self {
        let place = Self::new();
        let done = place.output(["import", &example().display().to_string(), "-q"]);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// The program, with nothing of the caller's settings.
    pub(crate) fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trackway"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env_clear();
        for name in ["PATH", "SYSTEMROOT", "TMPDIR", "TEMP"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", self.path("home"))
            .env("TRACKWAY_HOME", self.store())
            .env("COLUMNS", "100");
        command
    }

    pub(crate) fn output(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
        self.command(args).output().unwrap()
    }

    /// What it prints on standard output; it must succeed.
    pub(crate) fn stdout(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
        let done = self.output(args);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap()
    }

    /// All that it says, for a snapshot.
    pub(crate) fn said(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
        let done = self.output(args);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let code = done
            .status
            .code()
            .map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        format!(
            "exit: {code}\n--- stdout\n{}--- stderr\n{}",
            text(&done.stdout),
            text(&done.stderr)
        )
    }
}

/// Runs with filters for what differs from time to time and from place to place.
macro_rules! snapshot {
    ($place:expr, $said:expr) => {{
        let escaped = |path: &std::path::Path| {
            let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            path.display()
                .to_string()
                .replace('\\', "\\\\")
                .replace('.', "\\.")
                .replace('+', "\\+")
        };
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(&escaped(&$crate::support::example()), "[EXAMPLE]");
        settings.add_filter(&escaped(&$place.path("")), "[HERE]");
        settings.add_filter(
            r"(\d+ min )?\d+(\.\d+)? (ms|s)\b( \([\d,]+ points/s\))?",
            "[TIME]",
        );
        settings.add_filter(r"(registered-models\t\d+\t).*", "$1[NOW]");
        settings.add_filter(r"\d+(\.\d+)? (kB|MB) read", "[SIZE] read");
        settings.bind(|| insta::assert_snapshot!($said));
    }};
}
pub(crate) use snapshot;
