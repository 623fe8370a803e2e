use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use query_dsl::{Condition, Filter, Path, Test, nearest};
use serde_json::Value as Json;
use tracker_model::{Error, JsonObject, Result, RunFilter, RunOrder, RunParts, RunQuery, Tracker};

/// Keys that suggestions are chosen from.
const MOST_KEYS: usize = 20_000;
/// The newest runs have them: to read all of a large project would take longer than a word is worth.
const MOST_RUNS: u64 = 10_000;

/// The value at a key of a config or a summary, as filters find it: the key as it is, dots and all,
/// else the ways into nested objects.
pub fn value_at<'a>(object: &'a JsonObject, key: &str) -> Option<&'a Json> {
    if let Some(value) = object.get(key) {
        return Some(value);
    }
    key.match_indices('.').rev().find_map(|(dot, _)| {
        let inner = object.get(key.get(..dot)?)?.as_object()?;
        value_at(inner, key.get(dot + 1..)?)
    })
}

/// The keys to follow to the value at a key as of [`value_at`]; for one that is not there, into
/// the objects that are there, and on into new ones.
pub(crate) fn way_to(object: &JsonObject, key: &str) -> Vec<String> {
    if object.contains_key(key) {
        return vec![key.to_owned()];
    }
    let cuts = || {
        let dots = key.match_indices('.').rev();
        dots.filter_map(|(dot, _)| Some((key.get(..dot)?, key.get(dot + 1..)?)))
    };
    let inside = |(above, below)| {
        let inner = object.get(above)?.as_object()?;
        Some((above, below, inner))
    };
    let mut inner = cuts().filter_map(inside);
    let there = inner
        .clone()
        .find(|(_, below, inner)| value_at(inner, below).is_some());
    match there.or_else(|| inner.next()) {
        Some((above, below, inner)) => {
            let mut keys = vec![above.to_owned()];
            keys.extend(way_to(inner, below));
            keys
        }
        None => key.split('.').map(ToOwned::to_owned).collect(),
    }
}

/// The path of a key in the config or in the summary.
pub(crate) fn path_of(section: &str, key: &str) -> Path {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('$');
    let parts: Vec<&str> = if key.split('.').all(plain) {
        key.split('.').collect()
    } else {
        vec![key]
    };
    Path::new([section].into_iter().chain(parts))
}

/// A key that was asked for, and that no run has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingKey {
    /// As it is named: `config.lrr`.
    pub key: String,
    /// One that runs have and that is spelled nearly so.
    pub near: Option<String>,
}

impl MissingKey {
    /// `did you mean config.lr?`
    pub fn hint(&self) -> Option<String> {
        let near = self.near.as_ref()?;
        Some(format!("did you mean {near}?"))
    }
}

/// The keys of configs and summaries that a filter, an order or a table names, to be looked for
/// where nothing was found.
#[derive(Debug, Clone, Default)]
pub struct KeySearch {
    /// By the text for people.
    keys: BTreeMap<String, Path>,
}

impl KeySearch {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys that a filter tests. Keys that it wants to be missing do not count.
    #[must_use]
    pub fn of_filter(mut self, filter: &RunFilter) -> Self {
        self.add_filter(filter.resolved());
        self
    }

    /// The keys that an order sorts by.
    #[must_use]
    pub fn of_order(mut self, order: &RunOrder) -> Self {
        if let RunOrder::By(sort) = order {
            for key in &sort.resolved().keys {
                self.add(&key.path);
            }
        }
        self
    }

    /// A key of the summary.
    #[must_use]
    pub fn summary(mut self, key: &str) -> Self {
        self.add(&path_of("summary_metrics", key));
        self
    }

    /// A key of the config.
    #[must_use]
    pub fn config(mut self, key: &str) -> Self {
        self.add(&path_of("config", key));
        self
    }

    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn add(&mut self, path: &Path) {
        let mut parts = path.parts().to_vec();
        // W&B's wrapper around values of configs.
        if path.optional_part() == Some(parts.len() - 1) {
            parts.pop();
        }
        let Some((section, key)) = parts.split_first() else {
            return;
        };
        let word = match section.as_str() {
            "config" => "config",
            "summary_metrics" => "summary",
            _ => return,
        };
        let key = key.join(".");
        let path = path_of(section, &key);
        self.keys.insert(format!("{word}.{key}"), path);
    }

    fn add_filter(&mut self, filter: &Filter) {
        match filter {
            Filter::And(all) | Filter::Or(all) => all.iter().for_each(|f| self.add_filter(f)),
            Filter::Field(field) if field.conditions.iter().any(wants) => {
                self.add(&field.path);
            }
            _ => {}
        }
    }

    /// Which of the keys no run of the scope has; the filter, the order and the limit of the scope
    /// do not count.
    ///
    /// # Errors
    /// Those of the tracker.
    pub async fn missing(
        &self,
        tracker: &dyn Tracker,
        scope: &RunQuery,
    ) -> Result<Vec<MissingKey>> {
        let mut scope = scope.clone();
        (scope.filter, scope.limit, scope.order) = (None, None, RunOrder::default());
        let mut missing = Vec::new();
        for (key, path) in &self.keys {
            let there = Filter::field(path.clone()).exists();
            let there = RunFilter::new(there).map_err(Error::of_query)?;
            let query = scope.clone().with_filter(there).with_limit(1);
            let query = query.with_parts(RunParts::NONE);
            if tracker.find_runs(query).try_next().await?.is_none() {
                missing.push(MissingKey {
                    key: key.clone(),
                    near: None,
                });
            }
        }
        if missing.is_empty() {
            return Ok(missing);
        }
        let known = keys_of(tracker, scope).await?;
        for MissingKey { key, near } in &mut missing {
            let found = nearest(key, known.iter().map(String::as_str));
            // What is in the other section, or deeper.
            let below = key.split_once('.').map_or("", |(_, below)| below);
            let elsewhere = || {
                known.iter().map(String::as_str).find(|other| {
                    other.split_once('.').is_some_and(|(_, other)| {
                        other == below || other.rsplit(['.', '/']).next() == Some(below)
                    })
                })
            };
            *near = found.or_else(elsewhere).map(ToOwned::to_owned);
        }
        Ok(missing)
    }
}

/// Whether a condition can hold only where the key is there.
fn wants(condition: &Condition) -> bool {
    match &condition.test {
        Test::Exists(there) => *there,
        Test::Eq(query_dsl::Value::Null)
        | Test::Ne(_)
        | Test::Nin(_)
        | Test::Not(_)
        | Test::Comment(_) => false,
        _ => true,
    }
}

/// The keys that runs have: `config.lr`, `summary.loss`, those of nested objects too.
async fn keys_of(tracker: &dyn Tracker, scope: RunQuery) -> Result<BTreeSet<String>> {
    let parts = RunParts {
        extras: false,
        ..RunParts::ALL
    };
    let mut keys = BTreeSet::new();
    let mut runs = tracker.find_runs(scope.with_parts(parts).with_limit(MOST_RUNS));
    while keys.len() < MOST_KEYS
        && let Some(run) = runs.try_next().await?
    {
        collect(&mut keys, "config", &run.config);
        collect(&mut keys, "summary", &run.summary);
    }
    Ok(keys)
}

fn collect(keys: &mut BTreeSet<String>, above: &str, object: &JsonObject) {
    for (key, value) in object {
        let key = format!("{above}.{key}");
        if let Json::Object(inner) = value {
            collect(keys, &key, inner);
        }
        keys.insert(key);
    }
}
