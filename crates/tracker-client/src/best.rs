use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use query_dsl::{Direction, Filter, Order, OrderKey, Test, TypeName};
use serde_json::Number;
use tracker_model::{Error, Goal, Result, RunFilter, RunOrder, RunQuery};

use crate::{
    Api, KeySearch, Run, Runs,
    keys::{path_of, value_at},
};

/// A run, and the number it was chosen for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Best {
    /// The run.
    pub run: Run,
    /// The number in its summary.
    pub value: Number,
}

/// The best run of a project, or `None` if it has no run that the filter lets through and that has
/// a number at the key of its summary. Other values do not count, NaN neither; of equally good runs
/// the newest is taken.
///
/// # Errors
/// `InvalidInput` if the text is no project; `NotFound` without the project, or if no run of it has
/// the key.
pub async fn best_of(
    api: &Api,
    project: &str,
    key: &str,
    goal: Goal,
    filter: Option<RunFilter>,
) -> Result<Option<Best>> {
    let mut runs = api.runs(project)?;
    if let Some(filter) = filter {
        runs = runs.filter(filter)?;
    }
    let best = runs.best_first(key, goal)?.try_next().await?;
    if best.is_none() {
        runs.check_key(key).await?;
    }
    Ok(best)
}

impl Runs {
    /// The runs that have a number at a key of their summary, the best first. The order of the list
    /// is not asked.
    ///
    /// # Errors
    /// `InvalidInput` if the key is no key, or the filter gets too large.
    pub fn best_first(&self, key: &str, goal: Goal) -> Result<BoxStream<'static, Result<Best>>> {
        let number = Test::Type(vec![TypeName::Number]);
        let number = Filter::field(path_of("summary_metrics", key)).test(number);
        let number = RunFilter::new(number).map_err(Error::of_query)?;
        let runs = self.clone().filter(number)?.order(order_by(key, goal)?);
        let key = key.to_owned();
        let best = runs.stream().try_filter_map(move |run| {
            // Arrays of numbers come, too.
            let value = value_at(run.summary(), &key).and_then(serde_json::Value::as_number);
            let best = value.cloned().map(|value| Best { run, value });
            std::future::ready(Ok(best))
        });
        Ok(best.boxed())
    }

    /// Says so if runs are there, and none of them has the key in its summary, filters aside.
    ///
    /// # Errors
    /// `NotFound` then, with the key that was probably meant.
    pub async fn check_key(&self, key: &str) -> Result<()> {
        let scope: &RunQuery = self.query();
        let search = KeySearch::new().summary(key);
        let missing = search.missing(&**self.api().tracker(), scope).await?;
        let Some(missing) = missing.first() else {
            return Ok(());
        };
        let mut all = scope.clone();
        all.filter = None;
        if self.api().tracker().count_runs(&all).await? == 0 {
            return Ok(());
        }
        let error = Error::new(
            tracker_model::ErrorKind::NotFound,
            format!("no run has {}", missing.key),
        );
        Err(match missing.hint() {
            Some(hint) => error.with_hint(hint),
            None => error,
        })
    }
}

/// The best first.
pub(crate) fn order_by(key: &str, goal: Goal) -> Result<RunOrder> {
    let direction = match goal {
        Goal::Minimize => Direction::Ascending,
        Goal::Maximize => Direction::Descending,
    };
    let path = path_of("summary_metrics", key);
    RunOrder::new(Order::new([OrderKey { path, direction }])).map_err(Error::of_query)
}
