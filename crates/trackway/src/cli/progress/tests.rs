use super::{
    super::settings::{Color, GlobalArgs},
    *,
};

fn shown(lines: bool) -> Shown {
    let talk = Talk::new(&GlobalArgs::default(), Color::Never);
    Shown::new(talk, None, lines)
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_longest_wait_is_shown_and_told_once() {
    let shown = shown(true);
    shown.listed.store(3, Relaxed);
    assert!(!shown.waits("one".to_owned(), seconds(2)), "it is short");
    assert_eq!(shown.line(), "3 runs, waiting 2 s: one");
    assert!(shown.waits("rate limit".to_owned(), seconds(30)));
    assert!(!shown.waits("short".to_owned(), seconds(1)));
    assert!(
        !shown.waits("rate limit".to_owned(), seconds(31)),
        "told already"
    );
    assert_eq!(shown.line(), "3 runs, waiting 31 s: rate limit");
}

#[test]
fn a_wait_that_is_over_is_not_shown() {
    let shown = shown(true);
    shown.all_listed.store(true, Relaxed);
    shown.waits("rate limit".to_owned(), Duration::ZERO);
    assert_eq!(shown.line(), "0 runs");
    assert!(
        shown.waits("rate limit".to_owned(), seconds(9)),
        "another one"
    );
}

#[test]
fn a_bar_is_no_line() {
    let shown = shown(false);
    assert!(!shown.waits("rate limit".to_owned(), seconds(30)));
    assert_eq!(shown.message(), "waiting 30 s: rate limit");
}
