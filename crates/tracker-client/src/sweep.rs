use std::{fmt, sync::Arc};

use futures::TryStreamExt;
use query_dsl::Filter;
use serde_json::Value as Json;
use tracker_model::{
    Error, ErrorKind, Goal, JsonObject, Result, RunFilter, RunQuery, SweepPatch, SweepPath,
    SweepState, Timestamp,
};

use crate::{Api, Best, Runs, best::order_by};

/// A sweep as it was read, and a way to its runs.
///
/// Source: `wandb.apis.public.Sweep`.
#[derive(Clone)]
pub struct Sweep {
    api: Api,
    record: Arc<tracker_model::Sweep>,
}

impl fmt::Debug for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweep")
            .field("path", self.path())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Sweep {
    pub(crate) fn new(api: Api, record: tracker_model::Sweep) -> Self {
        Self {
            api,
            record: Arc::new(record),
        }
    }

    /// All that was read.
    pub fn record(&self) -> &tracker_model::Sweep {
        &self.record
    }

    /// The address.
    pub fn path(&self) -> &SweepPath {
        &self.record.path
    }

    /// The identity inside the project.
    pub fn id(&self) -> &str {
        self.record.path.sweep.as_str()
    }

    /// The display name, else the `name` of its config, else the id.
    pub fn name(&self) -> &str {
        let configured = || self.config().get("name").and_then(Json::as_str);
        let name = self.record.name.as_deref().or_else(configured);
        name.unwrap_or_else(|| self.id())
    }

    /// What it is doing.
    pub fn state(&self) -> SweepState {
        self.record.state
    }

    /// When it was created.
    pub fn created_at(&self) -> Timestamp {
        self.record.created_at
    }

    /// What is searched and how.
    pub fn config(&self) -> &JsonObject {
        &self.record.config
    }

    /// The key of the summary that is to be made better, and which way that is.
    pub fn metric(&self) -> Option<(&str, Goal)> {
        self.record.metric()
    }

    /// Its runs, the best first as its metric says, else newest first.
    ///
    /// # Errors
    /// `InvalidInput` if its metric is no key.
    pub fn runs(&self) -> Result<Runs> {
        let path = self.path();
        let of_sweep = Filter::field(query_dsl::Path::new(["sweep"])).eq(self.id());
        let of_sweep = RunFilter::new(of_sweep).map_err(Error::of_query)?;
        let query = RunQuery::of_project(&path.project_path()).with_filter(of_sweep);
        let runs = self.api.find_runs(query);
        Ok(match self.metric() {
            Some((key, goal)) => runs.order(order_by(key, goal)?),
            None => runs,
        })
    }

    /// The run that is the best by the sweep's metric; `None` if no run has a number there.
    ///
    /// # Errors
    /// `InvalidInput` if the config of the sweep names no metric.
    pub async fn best_run(&self) -> Result<Option<Best>> {
        let Some((key, goal)) = self.metric() else {
            let message = format!("the config of sweep {} names no metric", self.path());
            return Err(Error::new(ErrorKind::InvalidInput, message)
                .with_hint("name a key of the summary, and whether less or more of it is better"));
        };
        self.runs()?.best_first(key, goal)?.try_next().await
    }

    /// How many runs there will be, if that is known: `run_cap` of the config, and for a search of a
    /// grid the number of its points, whichever is less.
    pub fn expected_run_count(&self) -> Option<u64> {
        let cap = self.config().get("run_cap").and_then(Json::as_u64);
        let grid = self.config().get("method").and_then(Json::as_str) == Some("grid");
        let parameters = self.config().get("parameters").filter(|_| grid);
        let points = parameters.and_then(Json::as_object).and_then(points_of);
        match (cap, points) {
            (Some(cap), Some(points)) => Some(cap.min(points)),
            (cap, points) => cap.or(points),
        }
    }

    /// Reads the sweep anew.
    ///
    /// # Errors
    /// `NotFound` if it is gone.
    pub async fn reload(&mut self) -> Result<()> {
        self.record = Arc::new(self.api.tracker().sweep(self.path()).await?);
        Ok(())
    }

    /// Sets the state where the sweep is kept, and here.
    ///
    /// # Errors
    /// `NotFound` if it is gone.
    pub async fn set_state(&mut self, state: SweepState) -> Result<()> {
        self.reload().await?;
        if self.state() == state {
            return Ok(());
        }
        let mut patch = SweepPatch::new();
        patch.state = Some(state);
        let changed = self.api.tracker().upsert_sweep(self.path(), patch).await?;
        self.record = Arc::new(changed);
        Ok(())
    }
}

/// How many points a grid has.
fn points_of(parameters: &JsonObject) -> Option<u64> {
    parameters.values().try_fold(1_u64, |points, parameter| {
        points.checked_mul(choices(parameter.as_object()?)?)
    })
}

/// How many values a parameter takes in a grid.
fn choices(parameter: &JsonObject) -> Option<u64> {
    if let Some(values) = parameter.get("values") {
        return Some(values.as_array()?.len() as u64);
    }
    if parameter.contains_key("value") {
        return Some(1);
    }
    if let Some(nested) = parameter.get("parameters") {
        return points_of(nested.as_object()?);
    }
    let whole = match parameter.get("distribution").and_then(Json::as_str) {
        None | Some("int_uniform") => true,
        Some(_) => false,
    };
    let end = |name| parameter.get(name).and_then(Json::as_i64);
    let (min, max) = (end("min").filter(|_| whole)?, end("max")?);
    u64::try_from(max.checked_sub(min)?).ok()?.checked_add(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tracker_model::MemoryTracker;

    use super::*;

    #[test]
    fn how_many_runs_there_will_be() {
        let api = Api::new(Arc::new(MemoryTracker::new()));
        let count = |config: Json| {
            let path = "e/p/s".parse().unwrap();
            let mut record = tracker_model::Sweep::new(path, Timestamp::from_millis(0));
            record.config = config.as_object().cloned().unwrap();
            Sweep::new(api.clone(), record).expected_run_count()
        };
        let grid = json!({
            "lr": {"values": [0.1, 0.2, 0.3]},
            "seed": {"min": 1, "max": 4},
            "opt": {"parameters": {"name": {"values": ["a", "b"]}, "beta": {"value": 1}}},
        });
        assert_eq!(
            count(json!({"method": "grid", "parameters": grid})),
            Some(24)
        );
        assert_eq!(
            count(json!({"method": "grid", "parameters": grid, "run_cap": 5})),
            Some(5)
        );
        assert_eq!(count(json!({"method": "random", "parameters": grid})), None);
        assert_eq!(count(json!({"method": "bayes", "run_cap": 7})), Some(7));
        let endless = json!({"lr": {"min": 0.0, "max": 1.0}});
        assert_eq!(
            count(json!({"method": "grid", "parameters": endless})),
            None
        );
        assert_eq!(count(json!({})), None);
    }
}
