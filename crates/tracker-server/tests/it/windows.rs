//! A history that is read window by window, as the SDK reads it.

use serde_json::{Value as Json, json};
use tracker_model::{HistoryStore as _, HistoryStream};

use crate::support::{Client, World};

const HISTORY: &str = "query($from: Int64, $to: Int64) { project(name: \"p\") { run(name: \"r\") { history(minStep: $from, maxStep: $to, samples: 10) } } }";
const SAMPLED: &str = "query($spec: JSONString!) { project(name: \"p\") { run(name: \"r\") { sampledHistory(specs: [$spec]) } } }";

/// Steps of a window.
const WINDOW: i64 = 10;

async fn log(ada: &Client, offset: u64, rows: &[String]) {
    let body = json!({"files": {"wandb-history.jsonl": {"offset": offset, "content": rows}}});
    let url = "/files/ada/p/r/file_stream";
    let sent = ada
        .send(
            axum::http::Method::POST,
            url,
            body.to_string().into_bytes(),
            &[],
        )
        .await;
    assert_eq!(sent.status, 200, "{}", sent.text());
}

fn row(step: i64, value: f64) -> String {
    format!("{{\"_step\":{step},\"_timestamp\":{step},\"_runtime\":0,\"x\":{value:?},\"only\":[]}}")
}

async fn begun() -> (World, Client) {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let begin = "mutation { upsertBucket(input: {name: \"r\", modelName: \"p\"}) { inserted } }";
    ada.ask(begin, json!({})).await;
    (world, ada)
}

/// The steps and values in a window, read without keys and with one.
async fn window(ada: &Client, from: i64) -> Vec<(i64, f64)> {
    let to = from + WINDOW;
    let said = ada.ask(HISTORY, json!({"from": from, "to": to})).await;
    let texts = said["project"]["run"]["history"]
        .as_array()
        .unwrap()
        .clone();
    let rows = texts
        .iter()
        .map(|row| serde_json::from_str(row.as_str().unwrap()).unwrap());
    let both = |row: Json| (row["_step"].as_i64().unwrap(), row["x"].as_f64().unwrap());
    let rows: Vec<_> = rows.map(both).collect();
    let spec =
        json!({"keys": ["_step", "x"], "minStep": from, "maxStep": to - 1, "samples": 2 * WINDOW});
    let said = ada.ask(SAMPLED, json!({"spec": spec.to_string()})).await;
    let sampled = said["project"]["run"]["sampledHistory"][0]
        .as_array()
        .unwrap()
        .clone();
    let sampled: Vec<_> = sampled.into_iter().map(both).collect();
    assert_eq!(sampled, rows);
    rows
}

#[tokio::test]
async fn windows_are_the_rows_of_their_steps() {
    let (_world, ada) = begun().await;
    // Steps that are left out, that come twice and that come late.
    let steps: Vec<i64> = (0..500)
        .filter(|step| step % 7 != 3)
        .chain([490, 20, 21])
        .collect();
    let rows: Vec<String> = (0..)
        .zip(&steps)
        .map(|(n, step)| row(*step, f64::from(n)))
        .collect();
    log(&ada, 0, &rows[..300]).await;
    log(&ada, 300, &rows[300..]).await;
    for from in (0..520).step_by(10) {
        let wanted = (0..)
            .zip(&steps)
            .filter(|(_, step)| (from..from + WINDOW).contains(*step));
        let wanted: Vec<_> = wanted.map(|(n, step)| (*step, f64::from(n))).collect();
        let seen = window(&ada, from).await;
        assert_eq!(seen, wanted, "from step {from}");
    }
}

#[tokio::test]
async fn what_is_logged_between_windows_is_seen() {
    let (world, ada) = begun().await;
    let rows: Vec<String> = (0..40).map(|step| row(step, 1.0)).collect();
    log(&ada, 0, &rows).await;
    for from in [0, 10, 20] {
        assert_eq!(window(&ada, from).await.len(), 10, "from step {from}");
    }
    // These steps were read along with those before them.
    log(&ada, 40, &[row(45, 2.0)]).await;
    assert_eq!(window(&ada, 30).await.len(), 10);
    assert_eq!(window(&ada, 40).await, [(45, 2.0)]);
    // Rows that are taken back are gone, and what is there instead is seen.
    let path = "ada/p/r".parse().unwrap();
    let taken = world
        .tracker
        .truncate(&path, HistoryStream::Metrics, 35)
        .await;
    taken.unwrap();
    assert_eq!(window(&ada, 30).await.len(), 5);
    let other: Vec<String> = (35..41).map(|step| row(step, 3.0)).collect();
    log(&ada, 35, &other).await;
    assert_eq!(
        window(&ada, 30).await[5..],
        [35, 36, 37, 38, 39].map(|step| (step, 3.0))
    );
    assert_eq!(window(&ada, 40).await, [(40, 3.0)]);
}
