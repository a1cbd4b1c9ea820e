//! Where the keys come from.

use std::{num::NonZeroUsize, path::PathBuf};

use reqwest::{
    StatusCode,
    header::{HeaderValue, IF_NONE_MATCH},
};
use tokio::task;

use super::{KeySet, NAME};
use crate::{
    config::jwt::JwtConfig,
    deadline::Deadline,
    users::{
        http::{
            OpenError,
            client::{Client, Limits},
        },
        source::SourceError,
    },
};

/// The longest set of keys that is read, in bytes.
const MAX_SET_BYTES: usize = 256 * 1024;

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum Fetched {
    Keys(KeySet),
    /// They are what they were.
    Unchanged,
}

/// Reads the keys.
#[derive(Debug)]
pub(super) enum Fetch {
    File(PathBuf),
    Url {
        client: Box<Client>,
        /// Of the keys that were last good.
        etag: Option<HeaderValue>,
    },
}

impl Fetch {
    /// What `config` names.
    pub(super) fn of(config: &JwtConfig) -> Result<Option<Self>, OpenError> {
        if let Some(file) = &config.jwks_file {
            return Ok(Some(Self::File(file.clone())));
        }
        let Some(url) = &config.jwks_url else {
            return Ok(None);
        };
        let limits = Limits {
            timeout: config.timeout,
            connect_timeout: config.timeout,
            concurrent: NonZeroUsize::MIN,
            queue: 0,
            body: MAX_SET_BYTES,
        };
        let client = Client::new(NAME, "users.jwt", url, limits, &config.tls)?;
        Ok(Some(Self::Url {
            client: Box::new(client),
            etag: None,
        }))
    }

    /// The keys of a file, which has to be good when the program starts.
    pub(super) fn read_file_now(&self) -> Result<Option<KeySet>, OpenError> {
        match self {
            Self::File(file) => read_file(file)
                .map(Some)
                .map_err(|problem| OpenError::new("users.jwt.jwks_file", problem)),
            Self::Url { .. } => Ok(None),
        }
    }

    /// One attempt. The error is for operators.
    pub(super) async fn run(&mut self) -> Result<Fetched, String> {
        match self {
            Self::File(file) => {
                let file = file.clone();
                // A slow disk must not hold up a thread that serves others.
                let read = task::spawn_blocking(move || read_file(&file)).await;
                read.map_err(|error| error.to_string())?.map(Fetched::Keys)
            }
            Self::Url { client, etag } => {
                let mut request = client.get("");
                if let Some(etag) = etag {
                    request = request.header(IF_NONE_MATCH, &*etag);
                }
                let answer = client.send(request, Deadline::NONE).await;
                let answer = answer.map_err(problem)?;
                match answer.status {
                    StatusCode::OK => {
                        let set = KeySet::parse(&answer.body)?;
                        *etag = answer.etag;
                        Ok(Fetched::Keys(set))
                    }
                    StatusCode::NOT_MODIFIED if etag.is_some() => Ok(Fetched::Unchanged),
                    status => Err(problem(client.unexpected(status))),
                }
            }
        }
    }
}

/// Whoever passes it on adds the name of the source.
fn problem(error: SourceError) -> String {
    match error {
        SourceError::Unavailable { problem, .. } => problem,
        busy => busy.to_string(),
    }
}

fn read_file(file: &PathBuf) -> Result<KeySet, String> {
    let found = |problem: &dyn std::fmt::Display| {
        let file = file.display();
        format!("expected a JSON Web Key Set, found {file}: {problem}")
    };
    let size = std::fs::metadata(file)
        .map_err(|error| found(&error))?
        .len();
    if size > MAX_SET_BYTES as u64 {
        return Err(found(&format!("more than {MAX_SET_BYTES} bytes")));
    }
    let text = std::fs::read(file).map_err(|error| found(&error))?;
    KeySet::parse(&text).map_err(|problem| found(&problem))
}
