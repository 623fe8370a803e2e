//! Every call that is ever made of a server: none of them changes anything there.

use tracker_http::Method;

/// A call of the REST interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Version,
    Health,
    ServerInfo,
    Workspaces,
    SearchExperiments,
    SearchRuns,
    GetRun,
    MetricHistory,
    /// For browsers: several runs, cheap for the server.
    MetricHistoryBulk,
    /// Several runs, thinned out where there are many points.
    MetricHistoryInterval,
    ListArtifacts,
    /// Bytes below a root that the server serves; further segments name the file.
    ProxiedArtifact,
    /// Bytes of any root, fetched by the server.
    GetArtifact,
    SearchLoggedModels,
    /// Files of a logged model; `{id}` is its id.
    ListModelArtifacts,
    /// Bytes of a file of a logged model; `{id}` is its id.
    GetModelArtifact,
    SearchRegisteredModels,
    SearchModelVersions,
    SearchTraces,
    GetTraces,
    GetTrace,
    /// What is known of a trace besides its spans; `{id}` is its id.
    GetTraceInfo,
    GetTraceArtifact,
    /// Of MLflow 2.
    OldSearchTraces,
    /// Of MLflow 2.
    OldTraceArtifact,
    SearchEvaluationDatasets,
    /// Databricks: signed addresses of files of a run. Changes nothing, though it is a POST.
    ArtifactCredentials,
    /// Databricks: signed addresses of files of a logged model; `{id}` is its id.
    ModelArtifactCredentials,
}

impl Endpoint {
    /// All of them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 28] = [
        Self::Version,
        Self::Health,
        Self::ServerInfo,
        Self::Workspaces,
        Self::SearchExperiments,
        Self::SearchRuns,
        Self::GetRun,
        Self::MetricHistory,
        Self::MetricHistoryBulk,
        Self::MetricHistoryInterval,
        Self::ListArtifacts,
        Self::ProxiedArtifact,
        Self::GetArtifact,
        Self::SearchLoggedModels,
        Self::ListModelArtifacts,
        Self::GetModelArtifact,
        Self::SearchRegisteredModels,
        Self::SearchModelVersions,
        Self::SearchTraces,
        Self::GetTraces,
        Self::GetTrace,
        Self::GetTraceInfo,
        Self::GetTraceArtifact,
        Self::OldSearchTraces,
        Self::OldTraceArtifact,
        Self::SearchEvaluationDatasets,
        Self::ArtifactCredentials,
        Self::ModelArtifactCredentials,
    ];

    /// The method: GET, or POST where the question is in the body.
    pub(crate) fn method(self) -> Method {
        match self {
            Self::SearchExperiments
            | Self::SearchRuns
            | Self::SearchLoggedModels
            | Self::SearchTraces
            | Self::SearchEvaluationDatasets
            | Self::ArtifactCredentials
            | Self::ModelArtifactCredentials => Method::POST,
            _ => Method::GET,
        }
    }

    /// The path below the server's address.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Health => "health",
            Self::ServerInfo => "api/3.0/mlflow/server-info",
            Self::Workspaces => "api/3.0/mlflow/workspaces",
            Self::SearchExperiments => "api/2.0/mlflow/experiments/search",
            Self::SearchRuns => "api/2.0/mlflow/runs/search",
            Self::GetRun => "api/2.0/mlflow/runs/get",
            Self::MetricHistory => "api/2.0/mlflow/metrics/get-history",
            Self::MetricHistoryBulk => "ajax-api/2.0/mlflow/metrics/get-history-bulk",
            Self::MetricHistoryInterval => "api/2.0/mlflow/metrics/get-history-bulk-interval",
            Self::ListArtifacts => "api/2.0/mlflow/artifacts/list",
            Self::ProxiedArtifact => "api/2.0/mlflow-artifacts/artifacts",
            Self::GetArtifact => "get-artifact",
            Self::SearchLoggedModels => "api/2.0/mlflow/logged-models/search",
            Self::ListModelArtifacts => "api/2.0/mlflow/logged-models/{id}/artifacts/directories",
            Self::GetModelArtifact => "ajax-api/2.0/mlflow/logged-models/{id}/artifacts/files",
            Self::SearchRegisteredModels => "api/2.0/mlflow/registered-models/search",
            Self::SearchModelVersions => "api/2.0/mlflow/model-versions/search",
            Self::SearchTraces => "api/3.0/mlflow/traces/search",
            Self::GetTraces => "api/3.0/mlflow/traces/batchGet",
            Self::GetTrace => "api/3.0/mlflow/traces/get",
            Self::GetTraceInfo => "api/3.0/mlflow/traces/{id}",
            Self::GetTraceArtifact => "ajax-api/3.0/mlflow/get-trace-artifact",
            Self::OldSearchTraces => "api/2.0/mlflow/traces",
            Self::OldTraceArtifact => "ajax-api/2.0/mlflow/get-trace-artifact",
            Self::SearchEvaluationDatasets => "api/3.0/mlflow/datasets/search",
            Self::ArtifactCredentials => "api/2.0/mlflow/artifacts/credentials-for-read",
            Self::ModelArtifactCredentials => {
                "api/2.0/mlflow/logged-models/{id}/artifacts/credentials-for-download"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ever_changed() {
        for endpoint in Endpoint::ALL {
            let path = endpoint.path();
            let asks = path.ends_with("/search") || path.contains("/credentials-for-");
            assert!(
                endpoint.method() == Method::GET || (endpoint.method() == Method::POST && asks),
                "{path}"
            );
        }
    }
}
