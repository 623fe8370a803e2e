use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Change, JsonObject, JsonPatch, SweepPath, Timestamp};

/// What a sweep is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SweepState {
    /// Nobody has asked it for a run yet.
    Pending,
    /// It hands out runs.
    Running,
    /// It hands out no runs for now.
    Paused,
    /// It hands out no more runs; those that were handed out go on. W&B `finished`.
    Finished,
    /// It was given up with its runs. W&B `canceled`.
    Canceled,
}

impl SweepState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Running,
        Self::Paused,
        Self::Finished,
        Self::Canceled,
    ];

    /// The word in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Canceled => "canceled",
        }
    }
}

impl fmt::Display for SweepState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A search over configurations, whose runs name it in [`crate::Run::sweep`]. Source: W&B sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sweep {
    /// The address.
    pub path: SweepPath,
    /// The display name.
    pub name: Option<String>,
    /// Free text, Markdown.
    pub description: Option<String>,
    /// What it is doing.
    pub state: SweepState,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed at its source.
    pub updated_at: Option<Timestamp>,
    /// Who created it.
    pub user: Option<String>,
    /// What is searched and how: `method`, `metric` (`name`, `goal`), `parameters`, …
    pub config: JsonObject,
    /// The config as it was written, where that was not JSON: W&B keeps YAML, comments and all.
    pub config_text: Option<String>,
    /// What the source says that this model has no name for, verbatim, under the source's name.
    pub extras: JsonObject,
    /// How often the sweep was changed in this tracker, from 1.
    pub version: u64,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The less the better.
    Minimize,
    /// The more the better.
    Maximize,
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minimize => "minimize",
            Self::Maximize => "maximize",
        })
    }
}

impl Sweep {
    /// A sweep of which nothing is known but its address.
    pub fn new(path: SweepPath, created_at: Timestamp) -> Self {
        Self {
            path,
            name: None,
            description: None,
            state: SweepState::Pending,
            created_at,
            updated_at: None,
            user: None,
            config: JsonObject::new(),
            config_text: None,
            extras: JsonObject::new(),
            version: 0,
        }
    }

    /// The key in the summary that the sweep is to make better, and which way that is: as
    /// `metric.name` and `metric.goal` of its config say. Without a goal it is made less, as in W&B.
    pub fn metric(&self) -> Option<(&str, Goal)> {
        let metric = self.config.get("metric")?;
        let goal = match metric.get("goal").and_then(serde_json::Value::as_str) {
            Some(word) if word.eq_ignore_ascii_case("maximize") => Goal::Maximize,
            _ => Goal::Minimize,
        };
        Some((metric.get("name")?.as_str()?, goal))
    }
}

/// A change to a sweep: what it does not name stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct SweepPatch {
    /// See [`Sweep::name`].
    pub name: Change<String>,
    /// See [`Sweep::description`].
    pub description: Change<String>,
    /// See [`Sweep::state`].
    pub state: Option<SweepState>,
    /// See [`Sweep::created_at`]. A new sweep without it is created now.
    pub created_at: Option<Timestamp>,
    /// See [`Sweep::updated_at`].
    pub updated_at: Change<Timestamp>,
    /// See [`Sweep::user`].
    pub user: Change<String>,
    /// See [`Sweep::config`].
    pub config: JsonPatch,
    /// See [`Sweep::config_text`].
    pub config_text: Change<String>,
    /// See [`Sweep::extras`].
    pub extras: JsonPatch,
}

impl SweepPatch {
    /// A change that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the change. The version is the tracker's to count.
    pub fn apply(self, sweep: &mut Sweep) {
        self.name.apply(&mut sweep.name);
        self.description.apply(&mut sweep.description);
        sweep.state = self.state.unwrap_or(sweep.state);
        sweep.created_at = self.created_at.unwrap_or(sweep.created_at);
        self.updated_at.apply(&mut sweep.updated_at);
        self.user.apply(&mut sweep.user);
        self.config.apply(&mut sweep.config);
        self.config_text.apply(&mut sweep.config_text);
        self.extras.apply(&mut sweep.extras);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_metric_of_a_config() {
        let mut sweep = Sweep::new("e/p/s".parse().unwrap(), Timestamp::from_millis(0));
        let mut metric_of = |config: serde_json::Value| {
            sweep.config = config.as_object().cloned().unwrap();
            sweep.metric().map(|(name, goal)| (name.to_owned(), goal))
        };
        assert_eq!(metric_of(json!({})), None);
        assert_eq!(
            metric_of(json!({"metric": {"name": "loss"}})),
            Some(("loss".to_owned(), Goal::Minimize))
        );
        assert_eq!(
            metric_of(json!({"metric": {"name": "val/acc", "goal": "maximize"}})),
            Some(("val/acc".to_owned(), Goal::Maximize))
        );
        assert_eq!(metric_of(json!({"metric": "loss"})), None);
    }
}
