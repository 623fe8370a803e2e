use std::path::PathBuf;

use crate::ServerOptions;

/// How a source is opened.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct MlflowOptions {
    /// The folder that `mlflow-artifacts:` addresses of a database or file store lead into, as the
    /// server's `--artifacts-destination`. Artifacts whose folder has moved are looked for here
    /// too. `None` is the folder `mlartifacts` beside the store, if there is one.
    pub artifacts_root: Option<PathBuf>,
    /// SQL databases cannot hold infinities: MLflow writes ±1.7976931348623157e308 instead. With
    /// this the extreme doubles become infinities again, each one counted.
    pub restore_infinities: bool,
    /// How a tracking server is reached.
    pub server: ServerOptions,
}

impl MlflowOptions {
    /// As the store says.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`MlflowOptions::artifacts_root`].
    #[must_use]
    pub fn with_artifacts_root(mut self, folder: impl Into<PathBuf>) -> Self {
        self.artifacts_root = Some(folder.into());
        self
    }

    /// Sets [`MlflowOptions::restore_infinities`].
    #[must_use]
    pub fn with_restored_infinities(mut self, restore: bool) -> Self {
        self.restore_infinities = restore;
        self
    }

    /// Sets [`MlflowOptions::server`].
    #[must_use]
    pub fn with_server(mut self, server: ServerOptions) -> Self {
        self.server = server;
        self
    }
}
