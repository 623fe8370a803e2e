use std::collections::HashMap;

use futures::{TryStreamExt, stream::BoxStream};
use tracker_client::{RowShape, row_key};
use tracker_model::{HistoryRow, SeriesKey};

use crate::cli::{
    Shell,
    failure::{Failure, Result},
    output::{Format, Listing, left},
    shape::value_text,
};

/// Prints rows as they come.
pub(super) async fn rows(
    shell: &mut Shell,
    keys: &[SeriesKey],
    mut rows: BoxStream<'static, tracker_model::Result<HistoryRow>>,
) -> Result<()> {
    let out = &mut shell.out;
    let format = out.format;
    if matches!(format, Format::Json | Format::Jsonl) {
        let (begin, between, end) = if format == Format::Json {
            ("[\n", ",\n", "\n]\n")
        } else {
            ("", "\n", "\n")
        };
        out.text(begin)?;
        let mut first = true;
        while let Some(row) = rows.try_next().await? {
            if !std::mem::take(&mut first) {
                out.text(between)?;
            }
            RowShape::new()
                .write(out, &row)
                .map_err(|e| Failure::io("write to standard output", &e))?;
        }
        return if first && format == Format::Jsonl {
            Ok(())
        } else {
            out.text(end)
        };
    }
    let place: HashMap<SeriesKey, usize> = keys
        .iter()
        .enumerate()
        .map(|(i, key)| (key.clone(), i))
        .collect();
    let titles: Vec<String> = keys
        .iter()
        .map(|key| row_key(key.as_str()).into_owned())
        .collect();
    if format == Format::Tsv {
        let header = ["_step".to_owned(), "_timestamp".to_owned()]
            .into_iter()
            .chain(titles.clone());
        let header: Vec<_> = header
            .map(|title| crate::cli::text::one_line(&title))
            .collect();
        out.line(header.join("\t"))?;
    }
    let mut listing = Listing::new(out, &[left("_step"), left("_timestamp")]);
    listing.add_columns(&titles);
    while let Some(row) = rows.try_next().await? {
        listing.row(&(), || {
            let mut cells = vec![String::new(); keys.len() + 2];
            let time = row.time.map(|t| t.to_decimal_seconds()).unwrap_or_default();
            let values = row
                .values
                .iter()
                .filter_map(|(key, value)| Some((place.get(key)? + 2, value_text(value))));
            for (at, text) in [(0, row.step.to_string()), (1, time)]
                .into_iter()
                .chain(values)
            {
                if let Some(cell) = cells.get_mut(at) {
                    *cell = text;
                }
            }
            cells
        })?;
    }
    listing.end()?;
    Ok(())
}
