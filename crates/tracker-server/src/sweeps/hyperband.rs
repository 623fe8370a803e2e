//! Ending runs early that do worse than most: hyperband.
//!
//! Source: `early_terminate` of W&B's sweep configuration; Li et al., "Hyperband: a novel
//! bandit-based approach to hyperparameter optimization", 2018.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use serde_json::Value as Json;
use tracker_model::{
    Error, Goal, HistoryQuery, JsonObject, Result, RunParts, RunPath, RunQuery, Sweep,
};

use crate::app::App;

/// The most runs that are compared.
const MOST_RUNS: usize = 1_000;
/// The most brackets: the last one is never reached.
const MOST_BANDS: usize = 40;

/// When runs are compared, and how many of them go on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hyperband {
    /// After how many values of the metric, ascending.
    bands: Vec<usize>,
    /// One of so many goes on.
    eta: f64,
}

impl Hyperband {
    /// Reads `early_terminate` of a sweep's configuration; `None` where there is none.
    ///
    /// # Errors
    /// `InvalidInput` for what it cannot mean; `Unsupported` for another type.
    pub(crate) fn parse(config: &JsonObject) -> Result<Option<Self>> {
        let said = match config.get("early_terminate") {
            None | Some(Json::Null) => return Ok(None),
            Some(Json::Object(said)) => said,
            Some(_) => return Err(Error::invalid("early_terminate is not an object")),
        };
        match said.get("type").and_then(Json::as_str) {
            Some("hyperband") => {}
            other => {
                let message = format!("this server does not end runs early by {other:?}");
                let error = Error::new(tracker_model::ErrorKind::Unsupported, message);
                return Err(error.with_hint("it knows the type hyperband"));
            }
        }
        let number = |key: &str| said.get(key).and_then(Json::as_f64);
        let eta = number("eta").unwrap_or(3.0);
        if !(eta > 1.0 && eta.is_finite()) {
            return Err(Error::invalid("the eta of early_terminate must be above 1"));
        }
        let rounds = |from: f64| {
            let mut band = from;
            std::iter::from_fn(move || {
                let here = band;
                band *= eta;
                Some(here)
            })
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates"
        )]
        let whole = |band: f64| band.floor().max(1.0) as usize;
        let mut bands: Vec<usize> = match (number("min_iter"), number("max_iter"), number("s")) {
            (Some(least), ..) if least >= 1.0 => {
                rounds(least).take(MOST_BANDS).map(whole).collect()
            }
            (None, Some(most), Some(brackets)) if most >= 1.0 && brackets >= 1.0 => {
                let brackets = whole(brackets).min(MOST_BANDS);
                let first = most / eta.powi(i32::try_from(brackets).unwrap_or(i32::MAX));
                rounds(first).take(brackets).map(whole).collect()
            }
            _ => {
                return Err(Error::invalid(
                    "early_terminate needs min_iter, or max_iter and s, of 1 or more",
                ));
            }
        };
        bands.dedup();
        Ok(Some(Self { bands, eta }))
    }

    /// Which of the running runs end: those whose value at the last bracket that they passed is not
    /// among the best part of all runs' values there.
    fn losers(
        &self,
        series: &BTreeMap<String, Vec<f64>>,
        running: &[String],
        goal: Goal,
    ) -> Vec<String> {
        let worse = |a: f64, b: f64| match goal {
            Goal::Minimize => a > b,
            Goal::Maximize => a < b,
        };
        let at = |values: &Vec<f64>, band: usize| values.get(band.checked_sub(1)?).copied();
        let lost = |run: &&String| {
            let Some(values) = series.get(*run) else {
                return false;
            };
            let passed = self.bands.iter().rev().find(|band| **band <= values.len());
            let Some((band, value)) = passed.and_then(|band| Some((*band, at(values, *band)?)))
            else {
                return false;
            };
            let mut all: Vec<f64> = series
                .values()
                .filter_map(|values| at(values, band))
                .collect();
            if all.len() < 2 {
                return false;
            }
            all.sort_by(|a, b| match goal {
                Goal::Minimize => a.total_cmp(b),
                Goal::Maximize => b.total_cmp(a),
            });
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a place in a short list"
            )]
            let last = ((all.len() as f64 / self.eta).ceil() as usize).max(1) - 1;
            all.get(last).is_some_and(|limit| worse(value, *limit))
        };
        running.iter().filter(lost).cloned().collect()
    }
}

/// Which of the running runs of a sweep are to end early.
pub(crate) async fn losers(app: &App, sweep: &Sweep, running: &[String]) -> Result<Vec<String>> {
    let (Some(rule), Some((metric, goal))) = (Hyperband::parse(&sweep.config)?, sweep.metric())
    else {
        return Ok(Vec::new());
    };
    if running.is_empty() {
        return Ok(Vec::new());
    }
    let query = RunQuery::of_project(&sweep.path.project_path())
        .with_filter(super::own_runs(sweep)?)
        .with_parts(RunParts::NONE)
        .with_limit(MOST_RUNS as u64);
    let last = rule.bands.last().copied().unwrap_or(0);
    let mut runs = app.tracker.find_runs(query);
    let mut series = BTreeMap::new();
    while let Some(run) = runs.try_next().await? {
        series.insert(
            run.path.run.to_string(),
            values_of(app, &run.path, metric, last).await?,
        );
    }
    Ok(rule.losers(&series, running, goal))
}

/// The first values of a metric.
async fn values_of(app: &App, run: &RunPath, metric: &str, most: usize) -> Result<Vec<f64>> {
    let query = HistoryQuery::new().with_keys([metric]);
    let mut batches = app.tracker.scan(run, query);
    let mut values = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        let numbers = (0..batch.values.len()).filter_map(|i| batch.values.number(i));
        values.extend(numbers.filter(|number| !number.is_nan()));
        if values.len() >= most {
            break;
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(said: Json) -> Result<Option<Hyperband>> {
        Hyperband::parse(json!({"early_terminate": said}).as_object().unwrap())
    }

    #[test]
    fn brackets_grow_by_eta() {
        let found = rule(json!({"type": "hyperband", "min_iter": 3}))
            .unwrap()
            .unwrap();
        assert_eq!(found.bands[..4], [3, 9, 27, 81]);
        let found = rule(json!({"type": "hyperband", "max_iter": 27, "s": 2}))
            .unwrap()
            .unwrap();
        assert_eq!(found.bands, [3, 9]);
        assert_eq!(Hyperband::parse(&JsonObject::new()).unwrap(), None);
        for said in [
            json!({"type": "envelope"}),
            json!({"type": "hyperband"}),
            json!({"type": "hyperband", "min_iter": 0}),
            json!({"type": "hyperband", "min_iter": 1, "eta": 1}),
            json!(1),
        ] {
            assert!(rule(said.clone()).is_err(), "{said}");
        }
    }

    #[test]
    fn the_worst_end() {
        let rule = rule(json!({"type": "hyperband", "min_iter": 2, "eta": 2}))
            .unwrap()
            .unwrap();
        let series: BTreeMap<String, Vec<f64>> = [
            ("a", vec![9.0, 1.0]),
            ("b", vec![9.0, 2.0]),
            ("c", vec![9.0, 3.0]),
            ("d", vec![9.0, 4.0, 0.0]),
            ("young", vec![99.0]),
        ]
        .map(|(run, values)| (run.to_owned(), values))
        .into();
        let all: Vec<String> = series.keys().cloned().collect();
        assert_eq!(rule.losers(&series, &all, Goal::Minimize), ["c", "d"]);
        assert_eq!(rule.losers(&series, &all, Goal::Maximize), ["a", "b"]);
        assert_eq!(
            rule.losers(&series, &["c".to_owned()], Goal::Minimize),
            ["c"]
        );
        // Nobody to be compared with.
        let alone = BTreeMap::from([("a".to_owned(), vec![1.0, 2.0, 3.0])]);
        assert!(
            rule.losers(&alone, &["a".to_owned()], Goal::Minimize)
                .is_empty()
        );
    }
}
