//! What was measured of the machine during a run, as a CSV file.
//!
//! `cargo run --bin system_metrics -- STORE PROJECT/RUN FILE.csv`
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use trackway::{
    client::{Api, HistoryRequest},
    model::{HistoryStream, SeriesKey, Timestamp},
    store::{EmbeddedStore, StoreOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [_, store, path, file] = &std::env::args().collect::<Vec<_>>()[..] else {
        anyhow::bail!("usage: system_metrics STORE PROJECT/RUN FILE.csv");
    };
    let options = StoreOptions::new().with_read_only(true);
    let api = Api::new(Arc::new(EmbeddedStore::open_existing(store, options).await?));
    let run = api.run(path).await?;

    let series = run.series(HistoryStream::System).await?;
    let keys: Vec<SeriesKey> = series.into_iter().map(|series| series.key).collect();
    let mut table = csv::Writer::from_path(file)?;
    table.write_record(["_timestamp"].into_iter().chain(keys.iter().map(SeriesKey::as_str)))?;
    let history = run.system_metrics(HistoryRequest::new()).await?;
    for row in &history.rows {
        let mut cells = vec![row.time.map(Timestamp::to_decimal_seconds).unwrap_or_default()];
        for key in &keys {
            let value = row.values.iter().find(|(k, _)| k == key);
            cells.push(value.map(|(_, value)| value.to_json().to_string()).unwrap_or_default());
        }
        table.write_record(cells)?;
    }
    table.flush()?;
    println!("wrote {} rows of {} series", history.rows.len(), keys.len());
    Ok(())
}
