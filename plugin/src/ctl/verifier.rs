//! The image verifier of containerd 2.1 and later: `-name -digest -stdin-media-type`, with the image's
//! descriptor on standard input. Exit code 0 is a yes, and anything else is a no whose reason stands on
//! standard output.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use http::uri::PathAndQuery;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::client::Grpc;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::{Context, CtlError, Exit};
use crate::audit::{chain, printable};
use crate::containerd::connect;
use crate::cri::{APPROVE, Approval};

/// The first argument that containerd passes.
pub(super) const FIRST_ARGUMENT: &str = "-name";

/// The subcommand that containerd's call becomes.
pub(super) const SUBCOMMAND: &str = "image-verifier";

/// How long the daemon may take, a restart included. containerd gives a verifier ten seconds, and a
/// reason that it does not live to read tells nobody anything.
const PATIENCE: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(100);

/// Far more than a descriptor has.
const DESCRIPTOR_BYTES: u64 = 1 << 20;

/// Tell containerd whether an image was accepted
#[derive(Debug, Args)]
pub(super) struct Verifier {
    /// containerd's arguments: -name NAME -digest DIGEST -stdin-media-type TYPE
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

impl Verifier {
    pub(super) fn run(&self, context: Result<Context, CtlError>) -> Exit {
        let answer = self.question().and_then(|question| ask(&context?.config.socket, &question));
        match answer {
            Ok(()) => Exit::Accepted,
            Err(no) => {
                let reason = chain(&no);
                // containerd has the exit code where nobody reads the reason.
                writeln!(io::stdout(), "{}", printable(&reason)).unwrap_or_default();
                Exit::Rejected
            }
        }
    }

    /// What is asked, by the arguments and the descriptor alike.
    fn question(&self) -> Result<Approval, No> {
        let mut descriptor = Vec::new();
        io::stdin().take(DESCRIPTOR_BYTES).read_to_end(&mut descriptor).map_err(No::Input)?;
        let question = parse(&self.arguments)?;
        let descriptor: Descriptor = serde_json::from_slice(&descriptor).map_err(No::Descriptor)?;
        if descriptor.digest != question.digest {
            return Err(No::Digests { argument: question.digest, descriptor: descriptor.digest });
        }
        Ok(question)
    }
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

/// Reads the flags as Go does: one or two dashes, the value after `=` or in the next argument.
fn parse(arguments: &[String]) -> Result<Approval, No> {
    let (mut name, mut digest, mut media_type) = (None, None, None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let unknown = || No::Argument(argument.clone());
        let flag = argument.strip_prefix('-').ok_or_else(unknown)?;
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        let (flag, value) = match flag.split_once('=') {
            Some((flag, value)) => (flag, value.to_owned()),
            None => (flag, arguments.next().ok_or_else(unknown)?.clone()),
        };
        let place = match flag {
            "name" => &mut name,
            "digest" => &mut digest,
            "stdin-media-type" => &mut media_type,
            _ => return Err(unknown()),
        };
        if place.replace(value).is_some() {
            return Err(No::Argument(argument.clone()));
        }
    }
    Ok(Approval {
        name: name.ok_or(No::Missing("-name"))?,
        digest: digest.ok_or(No::Missing("-digest"))?,
    })
}

fn ask(socket: &Path, question: &Approval) -> Result<(), No> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(No::Runtime)?.block_on(within(socket, question))
}

/// Asks until there is an answer: the daemon may be on its way back.
async fn within(socket: &Path, question: &Approval) -> Result<(), No> {
    let end = Instant::now() + PATIENCE;
    let mut last = None;
    loop {
        match timeout_at(end, once(socket, question)).await {
            Err(_elapsed) => return Err(No::Silent { seconds: PATIENCE.as_secs(), last }),
            Ok(Ok(answer)) if answer == *question => return Ok(()),
            Ok(Ok(_another)) => return Err(No::Another),
            Ok(Err(status)) if status.code() == Code::PermissionDenied => {
                return Err(No::Refused(status.message().to_owned()));
            }
            Ok(Err(status)) => last = Some(Box::new(status)),
        }
        sleep(PAUSE).await;
    }
}

async fn once(socket: &Path, question: &Approval) -> Result<Approval, Status> {
    let mut client = Grpc::new(connect(socket));
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let codec: ProstCodec<Approval, Approval> = ProstCodec::default();
    let path = PathAndQuery::from_static(APPROVE);
    Ok(client.unary(Request::new(question.clone()), path, codec).await?.into_inner())
}

/// Why the answer is no.
#[derive(Debug, thiserror::Error)]
enum No {
    #[error("pullgated answered another question")]
    Another,
    #[error(transparent)]
    Configuration(#[from] CtlError),
    #[error("unexpected argument {0:?}")]
    Argument(String),
    #[error("standard input has no descriptor")]
    Descriptor(#[source] serde_json::Error),
    #[error("-digest is {argument}, the descriptor says {descriptor}")]
    Digests { argument: String, descriptor: String },
    #[error("standard input cannot be read")]
    Input(#[source] io::Error),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0}")]
    Refused(String),
    #[error("the question cannot be asked")]
    Runtime(#[source] io::Error),
    #[error("pullgated did not answer within {seconds} s: systemctl status pullgated")]
    Silent {
        seconds: u64,
        #[source]
        last: Option<Box<Status>>,
    },
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn arguments_are_read_as_containerd_writes_them() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (text, expected) in [
            ("-name a:1 -digest d -stdin-media-type t", Ok(("a:1", "d"))),
            ("--name=a:1 -digest=d", Ok(("a:1", "d"))),
            ("-digest d -name -name", Ok(("-name", "d"))),
            ("-name a", Err("-digest is missing")),
            ("-digest d", Err("-name is missing")),
            ("-name a -digest", Err("unexpected argument \"-digest\"")),
            ("-name a -name b -digest d", Err("unexpected argument \"-name\"")),
            ("-name a -digest d -approve yes", Err("unexpected argument \"-approve\"")),
            ("-name a -digest d yes", Err("unexpected argument \"yes\"")),
        ] {
            let found = parse(&words(text)).map_err(|no| no.to_string());
            let found = found.as_ref().map(|found| (found.name.as_str(), found.digest.as_str()));
            assert_eq!(found.map_err(String::as_str), expected, "{text}");
        }
    }
}
