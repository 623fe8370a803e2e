use std::{future::Future, ops::Range, sync::Arc};

use super::support::{kind, list, list_kind, new_run, run_path};
use crate::{ErrorKind, LogLevel, LogLine, MAX_ROW, RunPath, Timestamp, Tracker};

/// Logs: lines by number, written again in place, read in ranges and in batches.
pub async fn logs<F, Fut>(factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Tracker>>,
{
    let tracker = factory().await;
    let tracker = &*tracker;
    let nobody = run_path("nobody");
    assert_eq!(kind(tracker.log_length(&nobody).await), ErrorKind::NotFound);
    for range in [0..1, 0..0] {
        let lines = tracker.log_lines(&nobody, range);
        assert_eq!(list_kind(lines).await, ErrorKind::NotFound);
    }
    let run = new_run(tracker, "logs").await;
    assert_eq!(tracker.log_length(&run).await.unwrap(), 0);
    assert!(read(tracker, &run, 0..u64::MAX).await.is_empty());

    let written = tracker.write_log(&run, vec![LogLine::new(0, "x")]).await;
    if !tracker.capabilities().logs {
        assert_eq!(kind(written), ErrorKind::Unsupported);
        assert_eq!(tracker.log_length(&run).await.unwrap(), 0);
        return;
    }
    written.unwrap();
    lines(tracker, &run).await;
    let many = new_run(tracker, "many").await;
    many_lines(tracker, &many).await;
    let left = tracker.log_lines(&run, 0..u64::MAX);
    assert_eq!(
        kind(tracker.write_log(&nobody, vec![LogLine::new(0, "x")]).await),
        ErrorKind::NotFound
    );
    drop(left);
    if tracker.delete_run(&run).await.is_ok() {
        new_run(tracker, "logs").await;
        assert_eq!(
            tracker.log_length(&run).await.unwrap(),
            0,
            "a log goes with its run"
        );
    }
}

async fn read(tracker: &dyn Tracker, run: &RunPath, range: Range<u64>) -> Vec<LogLine> {
    let batches = list(tracker.log_lines(run, range)).await;
    assert!(batches.iter().all(|batch| !batch.is_empty()));
    batches.concat()
}

async fn lines(tracker: &dyn Tracker, run: &RunPath) {
    let mut full = LogLine::new(7, "\u{1b}[31mred\u{1b}[0m \t\u{1f600}\0 ");
    full.time = Some(Timestamp::from_parts(1_700_000_000_000, 999_999));
    full.level = LogLevel::Error;
    full.label = Some("rank \u{fc}".to_owned());
    let mut early = LogLine::new(3, "");
    early.time = Some(Timestamp::from_millis(-1));
    early.label = Some(String::new());
    tracker
        .write_log(run, vec![full.clone(), early.clone()])
        .await
        .unwrap();
    tracker.write_log(run, Vec::new()).await.unwrap();
    let mut wanted = vec![LogLine::new(0, "x"), early, full];
    assert_eq!(
        read(tracker, run, 0..u64::MAX).await,
        wanted,
        "lines in order, gaps kept"
    );
    assert_eq!(
        tracker.log_length(run).await.unwrap(),
        8,
        "one after the greatest number"
    );
    for (range, from, to) in [
        (0..3, 0, 1),
        (0..4, 0, 2),
        (1..8, 1, 3),
        (4..7, 2, 2),
        (7..7, 2, 2),
        (8..u64::MAX, 3, 3),
    ] {
        assert_eq!(
            read(tracker, run, range.clone()).await,
            wanted[from..to],
            "the lines {range:?}"
        );
    }

    // In place of those with the same numbers; of two the last counts.
    let again = |text: &str| LogLine::new(3, text);
    tracker
        .write_log(run, vec![again("50%"), LogLine::new(8, "y"), again("100%")])
        .await
        .unwrap();
    wanted[1] = again("100%");
    wanted.push(LogLine::new(8, "y"));
    assert_eq!(read(tracker, run, 0..u64::MAX).await, wanted);

    let beyond = vec![LogLine::new(9, "z"), LogLine::new(MAX_ROW + 1, "z")];
    assert_eq!(
        kind(tracker.write_log(run, beyond).await),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        read(tracker, run, 0..u64::MAX).await,
        wanted,
        "all lines or none"
    );
    let last = LogLine::new(MAX_ROW, "last");
    tracker.write_log(run, vec![last.clone()]).await.unwrap();
    assert_eq!(tracker.log_length(run).await.unwrap(), MAX_ROW + 1);
    assert_eq!(
        read(tracker, run, 9..u64::MAX).await,
        std::slice::from_ref(&last)
    );
    assert_eq!(read(tracker, run, MAX_ROW..MAX_ROW + 1).await, [last]);
    assert!(read(tracker, run, 9..MAX_ROW).await.is_empty());
}

/// More lines than a batch holds, and longer ones.
async fn many_lines(tracker: &dyn Tracker, run: &RunPath) {
    const LINES: u64 = 5_000;
    let line = |i: u64| LogLine::new(2 * i, format!("line {i}"));
    for from in (0..LINES).step_by(1_000) {
        let lines = (from..from + 1_000).map(line).collect();
        tracker.write_log(run, lines).await.unwrap();
    }
    let long = LogLine::new(2 * LINES, "z".repeat(3 << 20));
    tracker.write_log(run, vec![long.clone()]).await.unwrap();
    let batches = list(tracker.log_lines(run, 1..u64::MAX)).await;
    assert!(
        batches.len() > 1 && batches.iter().all(|b| b.len() < LINES as usize),
        "a long log comes in batches"
    );
    let wanted: Vec<LogLine> = (1..LINES).map(line).chain([long]).collect();
    assert!(batches.concat() == wanted, "each line comes once, in order");
}
