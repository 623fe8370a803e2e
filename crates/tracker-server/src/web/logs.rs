//! The end of what a run printed.

use std::collections::VecDeque;

use futures::{StreamExt, TryStreamExt};
use maud::{Markup, html};
use tracker_client::{Run, text::thousands};
use tracker_model::{ErrorKind, LogLevel, Result, Tracker, collect_bytes};

use super::{
    contents,
    text::{Text, of_terminal, shortened},
};

/// Lines that a page shows.
const LINES: usize = 200;
/// Bytes of a file that are read for them, and characters of one line that are shown.
const BYTES: u64 = 256 << 10;
const MOST_TEXT: usize = 4_000;

/// The file that has what was printed where the tracker keeps no logs.
const OUTPUT: &str = "output.log";

/// The last lines, and how many there are if that is known; `None` if nothing was printed.
async fn tail(
    tracker: &dyn Tracker,
    run: &Run,
) -> Result<Option<(Vec<(LogLevel, String)>, Option<u64>)>> {
    let length = tracker.log_length(run.path()).await?;
    if length > 0 {
        let first = length.saturating_sub(LINES as u64);
        let mut batches = tracker.log_lines(run.path(), first..length);
        let mut lines = Vec::new();
        while let Some(batch) = batches.try_next().await? {
            lines.extend(batch.into_iter().map(|line| (line.level, line.text)));
        }
        return Ok(Some((lines, Some(length))));
    }
    let file = match run.file(OUTPUT).await {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let size = file.digests().size;
    let from = size.saturating_sub(BYTES);
    let body = tracker.open_file(run.path(), OUTPUT, Some(from..size));
    let bytes = collect_bytes(
        body.await?.boxed(),
        usize::try_from(BYTES).unwrap_or(usize::MAX),
    )
    .await?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = VecDeque::with_capacity(LINES);
    // A line that is cut at the beginning is left out.
    for line in text.lines().skip(usize::from(from > 0)) {
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back((LogLevel::Output, line.to_owned()));
    }
    Ok(Some((lines.into(), None)))
}

/// The console output of a run, its end.
pub(super) async fn console(tracker: &dyn Tracker, run: &Run) -> Result<Markup> {
    let Some((lines, total)) = tail(tracker, run).await? else {
        return Ok(html! { p.empty { "Nothing was printed." } });
    };
    Ok(html! {
        p.dim {
            "The last " (lines.len()) " lines"
            @if let Some(total) = total { " of " (thousands(total)) }
            " · " a href=(contents::console_of(run.path())) { "all of it as text" }
        }
        pre.log tabindex="0" {
            @for (level, text) in &lines {
                @let class = if *level == LogLevel::Error { "err" } else { "out" };
                @let text = of_terminal(text);
                span class=(class) title=[(*level == LogLevel::Error).then_some("standard error")] {
                    (Text(&shortened(&text, MOST_TEXT)))
                }
            }
        }
    })
}
