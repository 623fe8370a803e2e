//! The commands that the docs show are understood.

use std::{fs, path::Path};

use crate::support::Place;

fn page(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(name)).unwrap()
}

/// The words of a command, as a shell has them; up to a comment or a pipe.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quote, mut open) = (Vec::new(), None, false);
    for c in command.chars() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(q)) if c == q => quote = None,
            ('#' | '|', None) if !open => break,
            (' ', None) => open = false,
            (c, _) => {
                if !open {
                    words.push(String::new());
                    open = true;
                }
                words.last_mut().unwrap().push(c);
            }
        }
    }
    words
}

#[track_caller]
fn check(commands: &[&str], least: usize) {
    assert!(commands.len() >= least, "{} commands", commands.len());
    let place = Place::new();
    for command in commands {
        let words = words(command);
        let (program, arguments) = words.split_first().unwrap();
        assert_eq!(program, "trackway", "{command}");
        // Help comes when all before it was understood.
        let done = place.output(arguments.iter().map(String::as_str).chain(["--help"]));
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{command}: {said}");
    }
}

#[test]
fn commands_of_the_page_on_wandb() {
    let page = page("docs/from-wandb.md");
    let spans: Vec<_> = page.split('`').skip(1).step_by(2).collect();
    let commands: Vec<_> = spans
        .into_iter()
        .filter(|s| s.starts_with("trackway "))
        .collect();
    check(&commands, 30);
}

#[test]
fn commands_of_the_readme() {
    let page = page("README.md");
    let commands: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("trackway ") && !line.starts_with("trackway = "))
        .collect();
    check(&commands, 15);
}
