//! What a gate says that it has counted.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use crate::wait::{PATIENCE, poll_for};

/// The counters and gauges of a gate, asked anew each time.
#[derive(Debug, Clone, Copy)]
pub struct Metrics {
    address: SocketAddr,
}

/// A name and a value for each label that matters; the others may be anything.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Metrics {
    /// Those that are served at an address.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    /// The answer to a request, head and body.
    #[must_use]
    #[track_caller]
    pub fn request(&self, line: &str) -> (String, String) {
        self.request_with(line, "")
    }

    /// The same with more lines in the head of the request.
    #[must_use]
    #[track_caller]
    pub fn request_with(&self, line: &str, head: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).expect("metrics are served");
        let request = format!("{line} HTTP/1.1\r\nHost: gate\r\n{head}\r\n");
        stream
            .write_all(request.as_bytes())
            .expect("a request is read");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .expect("an answer and its end");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (head.to_owned(), body.to_owned())
    }

    /// Everything, as text.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> String {
        self.request("GET /metrics").1
    }

    /// The sum over all series of a name that have these labels. None of them at all is 0: most come
    /// to be when there is something to count.
    #[must_use]
    #[track_caller]
    pub fn value(&self, name: &str, labels: Labels<'_>) -> u64 {
        sum_in(&self.text(), name, labels)
    }

    /// Waits until there is this value: some things are counted when a peer has seen them already.
    #[track_caller]
    pub fn wait_for(&self, name: &str, labels: Labels<'_>, value: u64) {
        if poll_for(PATIENCE, || {
            (self.value(name, labels) == value).then_some(())
        })
        .is_none()
        {
            let text = self.text();
            panic!("waited {PATIENCE:?} in vain for {value} in {name} {labels:?}:\n{text}");
        }
    }
}

/// The same sum in what was asked before.
#[must_use]
pub fn sum_in(text: &str, name: &str, labels: Labels<'_>) -> u64 {
    let series = text.lines().filter_map(|line| value_of(line, name, labels));
    series.sum()
}

/// The value in a line, if it is one of these series.
fn value_of(line: &str, name: &str, labels: Labels<'_>) -> Option<u64> {
    let (series, value) = line.rsplit_once(' ')?;
    let (found, rest) = series.split_once('{').unwrap_or((series, ""));
    let has = |(label, value): &(&str, &str)| {
        let pair = format!("{label}=\"{value}\"");
        rest.trim_end_matches('}').split(',').any(|it| it == pair)
    };
    let is_it = found == name && labels.iter().all(has);
    is_it.then(|| value.parse().ok())?
}
