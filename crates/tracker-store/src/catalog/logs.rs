use rusqlite::{Connection, Row, params};
use tracker_model::{LogLevel, LogLine, Timestamp};

use super::{Outcome, json::time};

/// Bytes of texts that are read at once, and the lines that take so much.
const BYTES: usize = 1 << 20;
const LINES: usize = 2000;

/// Writes lines in place of those with the same numbers.
pub(crate) fn write(connection: &Connection, run: i64, lines: &[LogLine]) -> Outcome<()> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO log_line (run, number, time_ms, time_ns, is_error, label, text)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for line in lines {
        statement.execute(params![
            run,
            line.number,
            line.time.map(Timestamp::as_millis),
            line.time.map(Timestamp::sub_nanos),
            line.level == LogLevel::Error,
            line.label,
            line.text
        ])?;
    }
    Ok(())
}

/// The next lines from a number on, up to and with the last; a few, or as many as take little
/// memory.
pub(crate) fn page(
    connection: &Connection,
    run: i64,
    first: i64,
    last: i64,
) -> Outcome<Vec<LogLine>> {
    let mut statement = connection.prepare_cached(
        "SELECT number, time_ms, time_ns, is_error, label, text FROM log_line
         WHERE run = ?1 AND number BETWEEN ?2 AND ?3 ORDER BY number LIMIT ?4",
    )?;
    let mut rows = statement.query(params![run, first, last, LINES])?;
    let (mut out, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let line = from_row(row)?;
        bytes += line.text.len();
        out.push(line);
        if bytes >= BYTES {
            break;
        }
    }
    Ok(out)
}

/// One after the greatest number.
pub(crate) fn length(connection: &Connection, run: i64) -> Outcome<u64> {
    let mut statement =
        connection.prepare_cached("SELECT max(number) FROM log_line WHERE run = ?1")?;
    let last: Option<u64> = statement.query_row([run], |r| r.get(0))?;
    Ok(last.map_or(0, |last| last + 1))
}

fn from_row(row: &Row<'_>) -> Outcome<LogLine> {
    let mut line = LogLine::new(row.get("number")?, row.get::<_, String>("text")?);
    line.time = time(row, "time_ms", "time_ns")?;
    line.label = row.get("label")?;
    if row.get("is_error")? {
        line.level = LogLevel::Error;
    }
    Ok(line)
}
