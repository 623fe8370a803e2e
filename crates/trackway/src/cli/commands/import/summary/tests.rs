use importer_core::{Bucket, Failure, Finding, Loss, RuleUse, Tally};
use tracker_model::Timestamp;

use super::*;

fn receipt() -> Receipt {
    let mut totals = Tally::new();
    totals.arrived(Kind::Runs, 12);
    totals.arrived(Kind::Points, 1_234_567);
    totals.found(&[
        Finding::normalised(Kind::Points, "run 1", "double-max-to-infinity").times(3),
        Finding::unreadable(Kind::Files, "run 2: a\u{1b}[31m.txt", "the file is gone"),
    ]);
    totals.skipped(Kind::Params, 7);
    assert_eq!(
        totals.get(Kind::Points),
        Bucket {
            identical: 1_234_564,
            normalised: 3,
            ..Bucket::default()
        }
    );
    Receipt {
        schema: "trackway.receipt/1".to_owned(),
        source: "mlflow:/data/mlruns".to_owned(),
        target: "local:/data/store".to_owned(),
        started_at: Timestamp::from_millis(0),
        finished_at: Timestamp::from_millis(2000),
        version: "0.1.0".to_owned(),
        dry_run: false,
        complete: true,
        totals,
        rules: vec![RuleUse {
            name: "double-max-to-infinity".to_owned(),
            count: 3,
            example: "run 1".to_owned(),
        }],
        losses: vec![Loss {
            kind: Kind::Files,
            outcome: Outcome::Unreadable,
            reason: "the file is gone".to_owned(),
            count: 1,
            places: vec!["run 2: a\u{1b}[31m.txt".to_owned()],
        }],
        failures: vec![Failure {
            run: "r3".to_owned(),
            error: "read the run: the server answered 503".to_owned(),
            hint: Some("try again later".to_owned()),
            retryable: true,
        }],
        runs: Vec::new(),
    }
}

#[test]
fn a_receipt_with_everything() {
    insta::assert_snapshot!(lines(&receipt(), &Style::new()).join("\n"));
}

#[test]
fn exit_codes() {
    use super::super::exit_of;
    use crate::cli::failure::Exit;

    let whole = receipt();
    assert_eq!(exit_of(&whole, false, false), Exit::Partial);
    let mut fine = Receipt {
        failures: Vec::new(),
        losses: Vec::new(),
        totals: Tally::new(),
        ..whole.clone()
    };
    assert_eq!(exit_of(&fine, true, false), Exit::Ok);
    fine.totals.found(&[Finding::lost(Kind::Traces, "x", "y")]);
    assert_eq!(exit_of(&fine, false, false), Exit::Ok);
    assert_eq!(exit_of(&fine, true, false), Exit::Partial);
    fine.complete = false;
    assert_eq!(exit_of(&fine, true, true), Exit::Interrupted);
    assert_eq!(exit_of(&fine, true, false), Exit::Failed);
}
