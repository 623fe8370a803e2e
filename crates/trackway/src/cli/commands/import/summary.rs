//! The receipt for people.

use console::Style;
use importer_core::{Bucket, Kind, Outcome, Receipt, RunStatus};

use crate::cli::{
    failure::{Exit, Failure},
    talk::Talk,
    text::{duration, one_line, shortened, thousands},
};

/// Failures that are told one by one; the report has all.
const MOST_FAILURES: usize = 10;
/// Places that are told of one loss.
const MOST_PLACES: usize = 3;

/// Tells what an import did.
pub(super) fn print(talk: &Talk, receipt: &Receipt) {
    if !talk.is_quiet() {
        lines(receipt, &talk.style(Style::new().bold()))
            .iter()
            .for_each(|line| talk.note(line));
    }
}

/// One line, for who wants to hear of failures alone.
pub(super) fn verdict(receipt: &Receipt, exit: Exit) -> Failure {
    if exit == Exit::Interrupted {
        return Failure::new(exit, "interrupted")
            .with_hint("the same command goes on where it was");
    }
    let sum = |count: fn(&Bucket) -> u64| {
        receipt
            .totals
            .iter()
            .map(|(_, bucket)| count(&bucket))
            .sum::<u64>()
    };
    let done = if receipt.complete {
        "finished"
    } else {
        "stopped before the end"
    };
    let failures = receipt.failures.len() as u64;
    let message = format!(
        "{done}: {failures} failed, {} unreadable, {} lost",
        sum(|b| b.unreadable),
        sum(|b| b.lost)
    );
    Failure::new(exit, message).with_hint("leave --quiet out, or ask for a --report")
}

fn lines(receipt: &Receipt, bold: &Style) -> Vec<String> {
    let mut out = vec![headline(receipt), String::new()];
    out.extend(table(receipt, bold));
    if !receipt.rules.is_empty() {
        out.extend([
            String::new(),
            bold.apply_to("changed by a rule").to_string(),
        ]);
        for rule in &receipt.rules {
            let example = shortened(&one_line(&rule.example), 80);
            out.push(format!(
                "  {} × {}, such as {example}",
                thousands(rule.count),
                rule.name
            ));
        }
    }
    for (outcome, title) in [
        (Outcome::Lost, "lost: the store cannot hold it"),
        (Outcome::Unreadable, "unreadable: the source cannot give it"),
    ] {
        let losses: Vec<_> = receipt
            .losses
            .iter()
            .filter(|loss| loss.outcome == outcome)
            .collect();
        if losses.is_empty() {
            continue;
        }
        out.extend([String::new(), bold.apply_to(title).to_string()]);
        for loss in losses {
            out.push(format!(
                "  {} {}: {}",
                thousands(loss.count),
                loss.kind,
                one_line(&loss.reason)
            ));
            for place in loss.places.iter().take(MOST_PLACES) {
                out.push(format!("    {}", shortened(&one_line(place), 120)));
            }
            let more = loss.count.saturating_sub(MOST_PLACES as u64);
            if more > 0 && loss.places.len() > MOST_PLACES {
                out.push(format!("    and {} more", thousands(more)));
            }
        }
    }
    if !receipt.failures.is_empty() {
        out.extend([
            String::new(),
            bold.apply_to("failed; the next import tries again")
                .to_string(),
        ]);
        for failure in receipt.failures.iter().take(MOST_FAILURES) {
            out.push(format!(
                "  {}: {}",
                one_line(&failure.run),
                one_line(&failure.error)
            ));
            out.extend(
                failure
                    .hint
                    .as_ref()
                    .map(|hint| format!("    hint: {}", one_line(hint))),
            );
        }
        let more = receipt.failures.len().saturating_sub(MOST_FAILURES);
        if more > 0 {
            out.push(format!("  and {more} more; --report FILE has all"));
        }
    }
    out
}

fn headline(receipt: &Receipt) -> String {
    let of = |status| {
        receipt
            .runs
            .iter()
            .filter(|run| run.status == status)
            .count() as u64
    };
    let words = [
        (RunStatus::Imported, "imported"),
        (RunStatus::Updated, "updated"),
        (RunStatus::Unchanged, "unchanged"),
        (RunStatus::Planned, "to import"),
        (RunStatus::Failed, "failed"),
    ];
    let said: Vec<_> = words
        .iter()
        .filter(|(s, _)| of(*s) > 0)
        .map(|(s, word)| format!("{} {word}", thousands(of(*s))))
        .collect();
    let ms = receipt
        .finished_at
        .as_millis()
        .saturating_sub(receipt.started_at.as_millis());
    let runs = if said.is_empty() {
        "no runs".to_owned()
    } else {
        format!("runs: {}", said.join(", "))
    };
    let points = receipt.totals.get(Kind::Points);
    let fresh = points.identical + points.normalised;
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "for people"
    )]
    let rate = if ms > 0 && fresh > 0 && !receipt.dry_run {
        format!(
            " ({} points/s)",
            thousands((fresh as f64 * 1000.0 / ms as f64) as u64)
        )
    } else {
        String::new()
    };
    let sum =
        |count: fn(&Bucket) -> u64| receipt.totals.iter().map(|(_, b)| count(&b)).sum::<u64>();
    let lost = [
        (sum(|b| b.lost), "lost"),
        (sum(|b| b.unreadable), "unreadable"),
    ];
    let lost: Vec<_> = lost
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{} {word}", thousands(*n)))
        .collect();
    let lost = if lost.is_empty() {
        "nothing lost".to_owned()
    } else {
        lost.join(", ")
    };
    let stopped = if receipt.complete {
        ""
    } else {
        "; stopped before the end"
    };
    format!("{runs}; {lost}; {}{rate}{stopped}", duration(ms))
}

fn table(receipt: &Receipt, bold: &Style) -> Vec<String> {
    const TITLES: [&str; 6] = [
        "source",
        "identical",
        "normalised",
        "lost",
        "unreadable",
        "skipped",
    ];
    let cells = |b: Bucket| {
        [
            b.source(),
            b.identical,
            b.normalised,
            b.lost,
            b.unreadable,
            b.skipped,
        ]
    };
    let rows: Vec<_> = receipt
        .totals
        .iter()
        .filter(|(_, b)| b.source() > 0)
        .map(|(kind, b)| (kind, cells(b)))
        .collect();
    let texts: Vec<_> = rows
        .iter()
        .map(|(kind, cells)| (kind.as_str(), cells.map(thousands)))
        .collect();
    let widths = std::array::from_fn::<usize, 6, _>(|i| {
        let cell = |(_, cells): &(&str, [String; 6])| cells.get(i).map_or(0, String::len);
        texts
            .iter()
            .map(cell)
            .chain(TITLES.get(i).map(|t| t.len()))
            .max()
            .unwrap_or(0)
    });
    let line = |name: &str, cells: [&str; 6]| {
        let cells: String = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("  {cell:>width$}"))
            .collect();
        format!("{name:<11}{cells}")
    };
    let header = bold.apply_to(line("", TITLES)).to_string();
    let rows = texts
        .iter()
        .map(|(name, cells)| line(name, cells.each_ref().map(String::as_str)));
    std::iter::once(header).chain(rows).collect()
}

#[cfg(test)]
mod tests;
