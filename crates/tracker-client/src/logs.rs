use std::collections::VecDeque;

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tracker_model::{ByteStream, Error, ErrorKind, JsonObject, Result, collect_bytes};

use crate::Run;

/// The file that holds what a run printed.
const OUTPUT: &str = "output.log";
/// The file that holds what was known of the machine and the program. Source: the W&B SDK.
const METADATA: &str = "wandb-metadata.json";

/// The longest line; what is longer comes in pieces.
const LONGEST: usize = 1 << 20;
/// The largest metadata.
const MOST_METADATA: usize = 16 << 20;

/// Makes lines of bytes.
#[derive(Debug, Default)]
struct Lines {
    /// What came after the last carriage return.
    text: Vec<u8>,
    /// What a carriage return went back over, if nothing came behind it.
    shown: Vec<u8>,
    ready: VecDeque<String>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|b| matches!(b, b'\n' | b'\r')) {
            let (text, end) = match part.split_last() {
                Some((end @ (b'\n' | b'\r'), text)) => (text, Some(end)),
                _ => (part, None),
            };
            self.add(text);
            match end {
                Some(b'\n') => self.end(),
                Some(_) if !self.text.is_empty() => self.shown = std::mem::take(&mut self.text),
                _ => {}
            }
        }
    }

    fn add(&mut self, mut text: &[u8]) {
        while self.text.len() + text.len() > LONGEST {
            let (now, later) = text.split_at(LONGEST - self.text.len());
            self.text.extend_from_slice(now);
            self.end();
            text = later;
        }
        self.text.extend_from_slice(text);
    }

    fn end(&mut self) {
        let (text, shown) = (
            std::mem::take(&mut self.text),
            std::mem::take(&mut self.shown),
        );
        let line = if text.is_empty() { shown } else { text };
        self.ready
            .push_back(String::from_utf8_lossy(&line).into_owned());
    }

    /// No more bytes come.
    fn finish(&mut self) {
        if !self.text.is_empty() || !self.shown.is_empty() {
            self.end();
        }
    }
}

fn lines_of(body: ByteStream) -> BoxStream<'static, Result<String>> {
    let state = (Some(body), Lines::default());
    futures::stream::unfold(state, |(mut body, mut lines)| async move {
        loop {
            if let Some(line) = lines.ready.pop_front() {
                return Some((Ok(line), (body, lines)));
            }
            match body.as_mut()?.next().await {
                Some(Ok(bytes)) => lines.push(&bytes),
                Some(Err(e)) => return Some((Err(e), (None, Lines::default()))),
                None => {
                    body = None;
                    lines.finish();
                }
            }
        }
    })
    .boxed()
}

impl Run {
    /// What the run printed, line by line: its log, or, where the tracker has none of it, its file
    /// `output.log`.
    ///
    /// Of a line that was written over with carriage returns, the last text comes, as a terminal
    /// shows it in the end. Colours stay. Bytes of the file that are not UTF-8 are replaced by
    /// `U+FFFD`, and a line of it of more than 1 MiB comes in pieces.
    ///
    /// # Errors
    /// `NotFound` if there is neither.
    pub async fn logs(&self) -> Result<BoxStream<'static, Result<String>>> {
        let length = self.tracker().log_length(self.path()).await?;
        if length > 0 {
            let lines = self.tracker().log_lines(self.path(), 0..length);
            let texts = lines.map_ok(|lines| {
                let texts = lines.into_iter().map(|line| Ok(line.text));
                futures::stream::iter(texts)
            });
            return Ok(texts.try_flatten().boxed());
        }
        let body = self.tracker().open_file(self.path(), OUTPUT, None).await?;
        Ok(lines_of(body))
    }

    /// What is known of the machine and of the program: the file `wandb-metadata.json`, if there is
    /// one.
    ///
    /// # Errors
    /// `Corrupt` if the file is not a JSON object.
    pub async fn metadata(&self) -> Result<Option<JsonObject>> {
        let body = match self.tracker().open_file(self.path(), METADATA, None).await {
            Ok(body) => body,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let bytes = collect_bytes(body, MOST_METADATA).await?;
        serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            let message = format!("read {METADATA} of run {}", self.path());
            Error::new(ErrorKind::Corrupt, message).with_source(e)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], piece: usize) -> Vec<String> {
        let mut lines = Lines::default();
        text.chunks(piece).for_each(|bytes| lines.push(bytes));
        lines.finish();
        lines.ready.into()
    }

    #[test]
    fn lines_as_a_terminal_shows_them() {
        for (text, wanted) in [
            ("", vec![]),
            ("a", vec!["a"]),
            ("a\nb\n", vec!["a", "b"]),
            ("\n\na", vec!["", "", "a"]),
            ("a\r\nb\r\n", vec!["a", "b"]),
            ("1%\r50%\r100%\nx", vec!["100%", "x"]),
            ("1%\r100%\r\nx", vec!["100%", "x"]),
            ("1%\r100%\r", vec!["100%"]),
            ("1%\r\r\r\n\r\n", vec!["1%", ""]),
            ("ünï \u{1b}[0m\n", vec!["ünï \u{1b}[0m"]),
        ] {
            for piece in 1..8 {
                assert_eq!(lines(text.as_bytes(), piece), wanted, "{text:?}");
            }
        }
        assert_eq!(lines(b"a\xffb", 1), ["a\u{fffd}b"]);
    }

    #[test]
    fn long_lines_come_in_pieces() {
        let text = vec![b'x'; 2 * LONGEST + 3];
        let got = lines(&text, 1000);
        let lengths: Vec<_> = got.iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST, LONGEST, 3]);
        let bar = b"12345678\r".repeat(LONGEST);
        assert_eq!(
            lines(&bar, 4096),
            ["12345678"],
            "a progress bar is one line"
        );
    }
}
