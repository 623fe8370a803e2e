//! Pipes that close, and Ctrl-C.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::support::Place;

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::with_example();
    let args = [
        "export",
        "history",
        "digits-mlp",
        "--layout",
        "long",
        "--format",
        "jsonl",
    ];
    let mut child = place
        .command(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.starts_with('{'));
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0));
    assert!(!String::from_utf8_lossy(&done.stderr).contains("error"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops() {
    let place = Place::new();
    // It answers nobody.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", server.local_addr().unwrap());
    let mut child = place
        .command(["import", &address])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut connection, _) = server.accept().unwrap();
    let mut byte = [0];
    connection.read_exact(&mut byte).unwrap();
    let started = Instant::now();
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let code = child.wait().unwrap().code();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(code, Some(130), "{said}");
    assert!(
        said.contains("hint: the same command goes on where it was"),
        "{said}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "{:?}",
        started.elapsed()
    );
}
