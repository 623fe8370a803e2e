use std::{future::Future, sync::Arc};

use serde_json::json;

use super::support::{list, upsert};
use crate::{
    Change, Git, JsonObject, JsonPatch, Run, RunFilter, RunOrder, RunParts, RunPatch, RunQuery,
    RunState, Timestamp, Tracker,
};

/// Runs by filters and in orders, alone and together with scopes and limits.
pub async fn run_queries<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let runs = fill(&*tracker).await;
    by_hand(&*tracker).await;
    not_numbers_come_last(&*tracker).await;
    filters_and_orders(&*tracker, &runs).await;
    parts(&*tracker, &runs).await;
}

const RUNS: i64 = 240;

fn object(json: &serde_json::Value) -> JsonObject {
    json.as_object().cloned().unwrap()
}

/// One of some, in turn.
fn pick<T: Clone>(i: i64, some: &[T]) -> T {
    some[usize::try_from(i).unwrap() % some.len()].clone()
}

fn patch(i: i64) -> RunPatch {
    let is = |n: i64| i % n == 0;
    let set = |json: &serde_json::Value| JsonPatch::Replace(object(json));
    let started = Timestamp::from_parts(1_700_000_000_000 + 3_600_000 * i, 7);
    let mut config = json!({
        "lr": pick(i, &[json!(1e-3), json!(0.1), json!(1), json!("0.1"), json!(null)]),
        "model": { "name": pick(i, &["resnet", "bert", "gpt"]), "depth": i % 7 },
        "data.set": format!("d{}", i % 4),
        "layers": (0..i % 4).collect::<Vec<_>>(),
        "seed": 9_007_199_254_740_990 + i % 5,
    });
    if is(6) {
        config["opt"] = json!({ "value": i, "name": "adam" });
    }
    let mut summary = json!({
        "acc": f64::from(u8::try_from(i % 11).unwrap()) / 10.0,
        "val/loss": 1.0 / f64::from(u16::try_from(i + 1).unwrap()),
        "_step": i,
    });
    if is(9) {
        summary["acc"] = json!("NaN");
    }
    let mut patch = RunPatch::new()
        .with_created_at(Timestamp::from_parts(
            1_700_000_000_000 + 60_000 * (i * 7 % RUNS),
            5,
        ))
        .with_state(pick(i, &RunState::ALL))
        .with_tags((0..i % 3).map(|t| format!("t{}", (t + i) % 4)).collect())
        .with_config(set(&config))
        .with_summary(set(&summary))
        .with_deleted(is(20));
    patch.started_at = if is(13) {
        Change::Keep
    } else {
        Change::Set(started)
    };
    patch.ended_at = match i % 3 {
        0 => Change::Keep,
        _ => Change::Set(Timestamp::from_millis(started.as_millis() + 1_500 * i)),
    };
    patch.extras = set(&json!({ "mlflow": { "tags": { "a.b": format!("{}", i % 2) } } }));
    if !is(7) {
        patch.name = Change::Set(format!("Run {}'s", i % 12));
        patch.group = Change::Set(format!("g{}", i % 4));
        patch.job_type = Change::Set(pick(i, &["train", "eval"]).to_owned());
        patch.user = Change::Set(format!("user{}", i % 3));
        patch.host = Change::Set("host".to_owned());
        patch.notes = Change::Set("a note\nof two lines".to_owned());
        patch.sweep = Change::Set(format!("s{}", i % 10));
        patch.program = Change::Set("train.py".to_owned());
        patch.git = Change::Set(Git {
            commit: Some(format!("c{}", i % 5)),
            ..Git::default()
        });
    }
    if is(4) {
        patch.parent = Change::Set("q000".parse().unwrap());
        patch.heartbeat_at = Change::Set(Timestamp::from_millis(started.as_millis() + 9_000));
    }
    patch
}

async fn fill(tracker: &dyn Tracker) -> Vec<Run> {
    let mut runs = Vec::new();
    for i in 0..RUNS {
        let project = pick(i, &["x/p", "x/p", "x/p", "x/q", "y/p"]);
        let path = format!("{project}/q{i:03}").parse().unwrap();
        runs.push(upsert(tracker, &path, patch(i)).await);
    }
    runs
}

fn filter(text: &str) -> RunFilter {
    RunFilter::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A few answers that are known without a matcher.
async fn by_hand(tracker: &dyn Tracker) {
    let check = async |text: &str, wanted: &[&str]| {
        let query = RunQuery::new()
            .with_filter(filter(text))
            .with_order(RunOrder::parse(["name"]).unwrap())
            .with_limit(3);
        let runs = list(tracker.find_runs(query)).await;
        let ids: Vec<&str> = runs.iter().map(|run| run.path.run.as_str()).collect();
        assert_eq!(ids, wanted, "{text}");
    };
    check("name = q007", &["q007"]).await;
    check(r#"{"config.lr": 0.1}"#, &["q001", "q006", "q011"]).await;
    check(
        r#"{"config.lr.value": {"$gt": 0.01}}"#,
        &["q001", "q002", "q006"],
    )
    .await;
    check(r#"{"config.lr": null}"#, &["q004", "q009", "q014"]).await;
    check(
        r#"{"config.model.name": "bert"}"#,
        &["q001", "q004", "q007"],
    )
    .await;
    check(r#"{"config.data.set": "d3"}"#, &["q003", "q007", "q011"]).await;
    check(r#"{"config.layers": 2}"#, &["q003", "q007", "q011"]).await;
    check(r#"{"config.opt.value": 12}"#, &["q012"]).await;
    check(
        r#"{"config.seed": 9007199254740993}"#,
        &["q003", "q008", "q013"],
    )
    .await;
    check(
        r#"{"summary_metrics.acc": {"$gte": 1.0}}"#,
        &["q010", "q021", "q032"],
    )
    .await;
    check(
        r#"{"summary_metrics.val/loss": {"$lt": 0.0042}}"#,
        &["q238", "q239"],
    )
    .await;
    check(
        r#"{"tags": {"$all": ["t0", "t1"]}}"#,
        &["q008", "q032", "q044"],
    )
    .await;
    check(r#"{"group": null}"#, &["q007", "q014", "q021"]).await;
    check(
        r#"{"display_name": {"$regex": "^Run 1'"}}"#,
        &["q001", "q013", "q025"],
    )
    .await;
    check(
        r#"{"displayName": {"$contains": "11'"}}"#,
        &["q011", "q023", "q047"],
    )
    .await;
    check(
        r#"{"extras.mlflow.tags.a.b": "1", "entity": "y"}"#,
        &["q009", "q019", "q029"],
    )
    .await;
    check(
        r#"{"created_at": {"$lt": "2023-11-14T22:15:00Z"}}"#,
        &["q103"],
    )
    .await;
    check("started_at < 2023-11-15", &["q001"]).await;
    check("duration > 300 and state = killed", &["q212", "q236"]).await;
    check("state = FINISHED or name = q239", &["q002", "q010", "q018"]).await;
}

/// The best come first, and what is no number last, whichever way.
async fn not_numbers_come_last(tracker: &dyn Tracker) {
    for (key, best) in [("-summary.acc", 1.0), ("+summary.acc", 0.0)] {
        let query = RunQuery::new().with_order(RunOrder::parse([key]).unwrap());
        let runs = list(tracker.find_runs(query)).await;
        let acc = |run: Option<&Run>| run.map(|run| run.summary["acc"].clone());
        assert_eq!(acc(runs.first()), Some(json!(best)), "{key}");
        assert_eq!(acc(runs.last()), Some(json!("NaN")), "{key}");
    }
}

async fn filters_and_orders(tracker: &dyn Tracker, runs: &[Run]) {
    let filters = [
        "{}",
        r#"{"state": {"$in": ["finished", "failed"]}}"#,
        r#"{"state": {"$ne": "finished"}, "config.lr": {"$gte": 0.1}}"#,
        r#"{"$or": [{"config.model.name": "gpt"}, {"summary_metrics.acc": {"$gt": 0.5}}]}"#,
        r#"{"$nor": [{"tags": "t1"}, {"group": "g2"}]}"#,
        r#"{"tags": {"$in": ["t0", "t3"]}, "jobType": "train"}"#,
        r#"{"tags": {"$size": 0}}"#,
        r#"{"tags": []}"#,
        r#"{"config.layers": {"$elemMatch": {"$gte": 1, "$lt": 2}}}"#,
        r#"{"config.model": {"name": "gpt", "depth": 2}}"#,
        r#"{"config.lr": {"$type": "string"}}"#,
        r#"{"config.opt.value": {"$exists": true}}"#,
        r#"{"config.opt.value.value": {"$exists": false}}"#,
        r#"{"config.lr.value": {"$not": {"$gt": 0.05}}}"#,
        r#"{"username": {"$nin": ["user0", null]}}"#,
        r#"{"parent": {"$exists": true}, "sweep": {"$exists": true}}"#,
        r#"{"heartbeat_at": null}"#,
        r#"{"ended_at": {"$gt": "2023-11-18", "$lte": "2023-11-20T12:00:00+02:00"}}"#,
        r#"{"created_at": "2023-11-14T22:20:20Z"}"#,
        r#"{"display_name": {"$regex": "RUN \\d'", "$options": "i"}}"#,
        r#"{"commit": {"$in": ["c1", "c2"]}, "program": "train.py", "notes": {"$regex": "two"}}"#,
        r#"{"deleted": true}"#,
        r#"{"duration": {"$mod": [3, 0]}}"#,
        r#"{"summary_metrics.acc": "NaN"}"#,
        r#"{"summary_metrics.acc": {"$ne": {"$numberDouble": "NaN"}, "$type": "number"}}"#,
        r#"{"config.none": {"$exists": true}}"#,
        r#"{"host": "host", "project": "p", "entity": {"$ne": "y"}}"#,
    ];
    let orders: [&[&str]; 9] = [
        &["-created_at"],
        &["+created_at"],
        &["-summary_metrics.acc"],
        &["+summary_metrics.val/loss"],
        &["+config.lr", "-created_at"],
        &["state", "-config.model.depth", "+name"],
        &["-duration"],
        &["tags", "-display_name"],
        &["+heartbeat_at", "group"],
    ];
    for (i, text) in filters.iter().enumerate() {
        let shape = [
            RunQuery::new(),
            RunQuery::new().with_deleted(true),
            RunQuery::of_project(&"x/p".parse().unwrap()),
            RunQuery::new().with_entity("x".parse().unwrap()),
        ][i % 4]
            .clone()
            .with_filter(filter(text));
        let matching: Vec<&Run> = runs.iter().filter(|run| shape.matches(run)).collect();
        let count = tracker.count_runs(&shape).await.unwrap();
        assert_eq!(count, matching.len() as u64, "{shape:?}");
        // Each order with some filters, the first filter with all of them.
        for keys in orders
            .iter()
            .skip(if i == 0 { 0 } else { i % 3 })
            .step_by(if i == 0 { 1 } else { 3 })
        {
            let order = RunOrder::parse(*keys).unwrap();
            let mut wanted = matching.clone();
            wanted.sort_by(|a, b| order.compare(&order.key(a), &order.key(b)));
            for limit in [None, Some(7)] {
                let mut query = shape.clone().with_order(order.clone());
                query.limit = limit;
                let found = list(tracker.find_runs(query.clone())).await;
                let end = limit.map_or(wanted.len(), |limit| wanted.len().min(limit as usize));
                let found: Vec<&Run> = found.iter().collect();
                assert_eq!(found, wanted[..end], "{query:?}");
            }
        }
    }
}

/// What is not wanted may be missing, and nothing else.
async fn parts(tracker: &dyn Tracker, runs: &[Run]) {
    let query = RunQuery::new()
        .with_deleted(true)
        .with_filter(filter(
            r#"{"config.lr": 0.1, "summary_metrics.acc": {"$lt": 0.5}}"#,
        ))
        .with_order(RunOrder::parse(["-summary_metrics.val/loss"]).unwrap());
    let whole = list(tracker.find_runs(query.clone())).await;
    assert_eq!(
        whole.len(),
        runs.iter().filter(|run| query.matches(run)).count()
    );
    let some = |config, summary, extras| RunParts {
        config,
        summary,
        extras,
        details: true,
    };
    for query in [
        query.clone(),
        query.clone().with_order(RunOrder::OldestFirst),
    ] {
        let wanted = list(tracker.find_runs(query.clone())).await;
        let bare = list(tracker.find_runs(query.with_parts(RunParts::ADDRESS))).await;
        let addresses = |runs: Vec<Run>| -> Vec<_> {
            let addresses = runs.into_iter().map(|run| (run.path, run.created_at));
            addresses.collect()
        };
        assert_eq!(addresses(bare), addresses(wanted));
    }
    for parts in [
        RunParts::NONE,
        some(true, false, false),
        some(false, true, true),
    ] {
        let found = list(tracker.find_runs(query.clone().with_parts(parts))).await;
        assert_eq!(found.len(), whole.len(), "{parts:?}");
        for (run, whole) in found.iter().zip(&whole) {
            let mut filled = run.clone();
            for (wanted, mine, theirs) in [
                (parts.config, &mut filled.config, &whole.config),
                (parts.summary, &mut filled.summary, &whole.summary),
                (parts.extras, &mut filled.extras, &whole.extras),
            ] {
                if !wanted && mine.is_empty() {
                    mine.clone_from(theirs);
                }
            }
            assert_eq!(filled, *whole, "{parts:?}");
        }
    }
}
