//! A blob as a stream that survives broken connections.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, stream};
use http::header;
use pullgate_policy::digest::Digest;
use reqwest::{Response, StatusCode};

use super::error::{Failure, Failures, RegistryError};
use super::hosts::Capability;
use super::{ANYTHING, Ask, Inner};

/// How often one blob's transfer may break off.
const RESUMES: usize = 16;

pub(super) async fn open(
    repository: Arc<Inner>,
    digest: &Digest,
    size: u64,
) -> Result<impl Stream<Item = Result<Bytes, RegistryError>> + Send + use<>, RegistryError> {
    let what = format!("{}@{digest}", repository.name);
    let path = format!("blobs/{digest}");
    let mut transfer =
        Transfer { repository, what, path, size, offset: 0, breaks: 0, current: None };
    transfer.reopen().await?;
    Ok(stream::try_unfold(transfer, |mut transfer| async move {
        let chunk = transfer.next().await?;
        Ok(chunk.map(|chunk| (chunk, transfer)))
    }))
}

struct Transfer {
    repository: Arc<Inner>,
    what: String,
    path: String,
    size: u64,
    offset: u64,
    breaks: usize,
    current: Option<Current>,
}

/// An open answer.
struct Current {
    endpoint: String,
    answer: Response,
    /// Bytes to drop: the peer started at 0 although a range was asked for.
    skip: u64,
}

impl Transfer {
    /// The next bytes, never empty; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            let Some(current) = &mut self.current else {
                self.reopen().await?;
                continue;
            };
            match self.repository.chunk(&mut current.answer).await {
                Ok(Some(mut chunk)) => {
                    let dropped = current.skip.min(chunk.len() as u64);
                    current.skip -= dropped;
                    chunk.advance(usize::try_from(dropped).unwrap_or(chunk.len()));
                    if chunk.is_empty() {
                        continue;
                    }
                    self.offset += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                Ok(None) => return Ok(None),
                // All bytes are there; how the connection ended does not matter.
                Err(_) if self.offset >= self.size => return Ok(None),
                Err(failure) => self.broken(&failure)?,
            }
        }
    }

    fn broken(&mut self, failure: &Failure) -> Result<(), RegistryError> {
        self.breaks += 1;
        let endpoint = self.current.take().map(|current| current.endpoint).unwrap_or_default();
        let (blob, offset) = (&self.what, self.offset);
        tracing::debug!(blob, endpoint, offset, %failure, "the transfer broke off");
        let fatal = if matches!(failure, Failure::NoProgress) {
            Failure::NoProgress
        } else if self.breaks > RESUMES {
            Failure::Broken
        } else {
            return Ok(());
        };
        let failures = Failures(vec![(endpoint, fatal)]);
        Err(RegistryError::Endpoints { what: self.what.clone(), failures })
    }

    async fn reopen(&mut self) -> Result<(), RegistryError> {
        let (repository, path, offset) = (&self.repository, &self.path, self.offset);
        let current = repository
            .first(&self.what, Capability::Pull, |endpoint, last| async move {
                let ask = Ask { offset, ..repository.ask(path, ANYTHING, last) };
                let answer = endpoint.get(ask).await?;
                let skip = skip(&answer, offset)?;
                Ok(Current { endpoint: endpoint.name(), answer, skip })
            })
            .await?;
        self.current = Some(current);
        Ok(())
    }
}

/// How many bytes of the answer lie before `offset`.
fn skip(answer: &Response, offset: u64) -> Result<u64, Failure> {
    if answer.status() != StatusCode::PARTIAL_CONTENT {
        return Ok(offset);
    }
    let range = answer.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let start = range
        .and_then(|range| range.strip_prefix("bytes "))
        .and_then(|range| range.split_once('-'))
        .and_then(|(start, _)| start.parse::<u64>().ok());
    if start == Some(offset) { Ok(0) } else { Err(Failure::Range) }
}
