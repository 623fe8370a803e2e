//! Histories of several runs in one call, where the answer can be proved complete.

use std::collections::HashMap;

use tracker_http::ErrorKind as Http;
use tracker_model::Result;

use super::{BULK_CAP, Columns, History, INTERVAL_CAP, parse};
use crate::rest::{api::Api, endpoint::Endpoint, failure::failure};

/// The most runs of one call.
pub(super) const MAX_RUNS: usize = 100;

impl History {
    /// The history of one metric in several runs: only of those runs of which all of it is
    /// certainly here.
    ///
    /// # Errors
    /// Those of the transport that another call would meet too.
    pub(super) async fn of_several(
        &self,
        api: &Api,
        key: &str,
        runs: &[&str],
    ) -> Result<HashMap<String, Columns>> {
        let (endpoint, name) = if self.has_bulk() {
            (Endpoint::MetricHistoryBulk, "run_id")
        } else if self.server.has_exact_intervals() {
            (Endpoint::MetricHistoryInterval, "run_ids")
        } else {
            return Ok(HashMap::new());
        };
        let is_bulk = endpoint == Endpoint::MetricHistoryBulk;
        let cap = if is_bulk { BULK_CAP } else { INTERVAL_CAP };
        let doing = || format!("read the history of {key:?} in {} runs", runs.len());
        let request = api.call(endpoint).await.map_err(|e| failure(e, doing()))?;
        let cap_text = cap.to_string();
        let answer = request
            .query([("metric_key", key), ("max_results", cap_text.as_str())])
            .query(runs.iter().map(|run| (name, *run)))
            .max_tries(3)
            .json_with(parse::bulk_page)
            .await;
        let page = match answer {
            Ok(page) => page,
            Err(e) => match e.kind() {
                Http::RateLimited | Http::Unauthenticated => return Err(failure(e, doing())),
                Http::Unavailable | Http::TooLarge | Http::InvalidInput => {
                    return Ok(HashMap::new());
                }
                _ if is_bulk => {
                    tracing::debug!(error = %e, "no call for several runs");
                    self.no_bulk
                        .store(true, std::sync::atomic::Ordering::Relaxed);
                    return Ok(HashMap::new());
                }
                _ => return Ok(HashMap::new()),
            },
        };
        let mut complete = if is_bulk {
            proved_by_total(page, runs)
        } else {
            proved_by_run(page, runs)
        };
        complete.values_mut().for_each(Columns::sort);
        Ok(complete)
    }
}

/// The call answers the first points in order of the runs' ids, up to its limit. So below the
/// limit everything is there, and at the limit every run before the last one that is there.
fn proved_by_total(page: parse::BulkPage, runs: &[&str]) -> HashMap<String, Columns> {
    let total = page.len();
    let mut left = page.runs;
    let ascending = left.is_sorted_by(|(a, _), (b, _)| a < b);
    let mut end: Option<String> = None;
    if total >= BULK_CAP {
        if !ascending {
            return HashMap::new();
        }
        end = left.pop().map(|(run, _)| run);
    }
    let proved = |run: &str| end.as_deref().is_none_or(|end| run < end);
    joined(left, runs, |run, _| proved(run))
}

/// Each run has less than the limit.
fn proved_by_run(page: parse::BulkPage, runs: &[&str]) -> HashMap<String, Columns> {
    joined(page.runs, runs, |_, points| points.len() < INTERVAL_CAP)
}

/// The points of the runs that were asked for; nobody else's.
fn joined(
    parts: Vec<(String, Columns)>,
    runs: &[&str],
    proved: impl Fn(&str, &Columns) -> bool,
) -> HashMap<String, Columns> {
    let mut all: HashMap<String, Columns> = runs
        .iter()
        .map(|run| ((*run).to_owned(), Columns::default()))
        .collect();
    for (run, points) in parts {
        if let Some(there) = all.get_mut(&run) {
            there.append(points);
        }
    }
    all.retain(|run, points| proved(run, points));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(runs: &[(&str, usize)]) -> parse::BulkPage {
        let columns = |n: usize| Columns {
            times: vec![0; n],
            steps: vec![0; n],
            values: vec![0.0; n],
        };
        parse::BulkPage {
            runs: runs
                .iter()
                .map(|(run, n)| ((*run).to_owned(), columns(*n)))
                .collect(),
        }
    }

    fn lengths(complete: &HashMap<String, Columns>) -> Vec<(&str, usize)> {
        let mut all: Vec<_> = complete
            .iter()
            .map(|(run, points)| (run.as_str(), points.len()))
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn below_the_limit_everything_is_there() {
        let complete = proved_by_total(page(&[("a", 3), ("c", BULK_CAP - 4)]), &["c", "a", "b"]);
        assert_eq!(
            lengths(&complete),
            [("a", 3), ("b", 0), ("c", BULK_CAP - 4)]
        );
    }

    #[test]
    fn at_the_limit_the_last_run_and_all_after_it_are_open() {
        let complete = proved_by_total(
            page(&[("a", 3), ("c", BULK_CAP - 3)]),
            &["a", "b", "c", "d"],
        );
        assert_eq!(lengths(&complete), [("a", 3), ("b", 0)]);
    }

    #[test]
    fn at_the_limit_without_order_nothing_is_proved() {
        let answer = page(&[("c", 3), ("a", BULK_CAP - 3)]);
        assert!(proved_by_total(answer, &["a", "c"]).is_empty());
    }

    #[test]
    fn runs_that_nobody_asked_for_are_left_out() {
        let complete = proved_by_total(page(&[("x", 3), ("a", 1), ("x", 1)]), &["a"]);
        assert_eq!(lengths(&complete), [("a", 1)]);
    }

    #[test]
    fn an_interval_at_its_limit_is_open() {
        let complete = proved_by_run(
            page(&[("a", INTERVAL_CAP), ("b", INTERVAL_CAP - 1)]),
            &["a", "b"],
        );
        assert_eq!(lengths(&complete), [("b", INTERVAL_CAP - 1)]);
    }
}
