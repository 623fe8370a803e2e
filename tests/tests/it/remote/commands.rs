//! Commands on the store of a server, with the key that `trackway login` keeps.

use std::{fs, io::Write as _, process::Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::trackway;

#[test]
fn commands_read_and_change_what_a_server_has() -> Result<()> {
    let trackway = trackway()?;
    let mlruns = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/mlruns");
    trackway.import([mlruns], 0)?;
    let local = trackway.stdout(["runs", "--json"])?;
    let serving = trackway.serve("127.0.0.1:0", None)?;
    let from = format!("wandb+{}", serving.url.trim_end_matches('/'));

    let refused = trackway.output(["runs", "--from", &from])?;
    ensure!(refused.status.code() == Some(4), "{refused:?}");
    let said = String::from_utf8(refused.stderr)?;
    ensure!(said.contains("trackway login"), "{said}");

    let netrc = trackway.scratch().join(".netrc");
    fs::write(&netrc, "machine other login x password y\n")?;
    let login = |key: &str, more: &[&str]| {
        let mut command = trackway.command(["login", &serving.url, "--api-key", "-"]);
        let mut child = command
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("standard input")?;
        writeln!(stdin, "{key}")?;
        drop(stdin);
        Ok::<_, anyhow::Error>(child.wait_with_output()?)
    };
    let wrong = login("not-the-key-of-anybody", &[])?;
    ensure!(wrong.status.code() == Some(4), "{wrong:?}");
    ensure!(
        !fs::read_to_string(&netrc)?.contains("not-the-key"),
        "a wrong key is not kept"
    );
    let right = login(&serving.key, &["--json"])?;
    ensure!(right.status.success(), "{right:?}");
    let said: Value = serde_json::from_slice(&right.stdout)?;
    ensure!(said["username"] == "local", "{said}");
    let kept = fs::read_to_string(&netrc)?;
    ensure!(
        kept.starts_with("machine other ") && kept.contains(&serving.key),
        "what is kept"
    );

    let there = trackway.stdout(["runs", "--json", "--from", &from])?;
    let (there, local): (Value, Value) =
        (serde_json::from_str(&there)?, serde_json::from_str(&local)?);
    ensure!(there == local, "the same runs, in the same words");
    let first = &local["runs"]
        .as_array()
        .or(local.as_array())
        .context("runs")?[0];
    let text = |key: &str| first[key].as_str().map(str::to_owned).context("a text");
    let run = format!("{}/{}/{}", text("entity")?, text("project")?, text("id")?);
    for command in [
        vec!["run", "show", &run],
        vec!["history", &run, "--jsonl", "--all"],
        vec!["history", &run, "--jsonl", "--samples", "5"],
        vec!["files", "ls", &run],
        vec!["projects"],
    ] {
        let here = trackway.stdout(&command)?;
        let there = trackway.stdout(command.iter().copied().chain(["--from", &from]))?;
        // Artifacts are not asked for.
        let here = here.split("\nartifacts\n").next().unwrap_or_default();
        ensure!(here == there, "{command:?}\n{here}\n{there}");
    }
    trackway.stdout([
        "update",
        &run,
        "--tag",
        "from-afar",
        "--yes",
        "--from",
        &from,
    ])?;
    let shown = trackway.stdout(["run", "show", &run, "--json"])?;
    ensure!(shown.contains("from-afar"), "{shown}");

    // Only what is in the scope.
    let scope = format!("{from}/nobody");
    let none = trackway.stdout(["runs", "--count", "--from", &scope])?;
    ensure!(none.trim() == "0", "{none}");

    serving.kill()?;
    let gone = trackway.output(["runs", "--from", &from])?;
    ensure!(gone.status.code() == Some(8), "{gone:?}");
    Ok(())
}
