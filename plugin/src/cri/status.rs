//! gRPC statuses: which code and text a failure has for kubelet, and how they look on the wire.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};

use super::Body;
use crate::audit::{chain, printable};
use crate::pull::{Class, PullError};

/// A gRPC status other than OK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    code: Code,
    message: String,
}

/// The codes of <https://grpc.github.io/grpc/core/md_doc_statuscodes.html> that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

impl Code {
    const fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Unknown => "2",
            Self::InvalidArgument => "3",
            Self::DeadlineExceeded => "4",
            Self::NotFound => "5",
            Self::PermissionDenied => "7",
            Self::ResourceExhausted => "8",
            Self::FailedPrecondition => "9",
            Self::Unimplemented => "12",
            Self::Internal => "13",
            Self::Unavailable => "14",
        })
    }
}

/// The status of a failed pull: the only place where a failure gets a code and a prefix.
///
/// kubelet knows a reason by its prefix, and only under code 2 (containerd-handoff.md 4). It
/// compares the messages of several tries, so nothing in them may change from try to try.
pub(crate) fn of_pull(error: &PullError) -> Status {
    of_class(error.class(), &chain(error))
}

fn of_class(class: Class, text: &str) -> Status {
    let (code, prefix) = match class {
        Class::BadRequest => (Code::InvalidArgument, ""),
        Class::Denied => (Code::PermissionDenied, ""),
        Class::Internal => (Code::Internal, ""),
        Class::Malformed => (Code::FailedPrecondition, ""),
        Class::NotFound => (Code::NotFound, ""),
        Class::Rejected => (Code::Unknown, "SignatureValidationFailed: "),
        Class::Runtime => (Code::Unavailable, ""),
        Class::Unavailable => (Code::Unknown, "RegistryUnavailable: "),
    };
    Status::new(code, format!("{prefix}{}", printable(text)))
}

/// The status of a call whose connection to containerd broke.
pub(crate) fn lost(error: &h2::Error) -> Status {
    Status::new(Code::Unavailable, format!("pullgate lost its connection to containerd: {error}"))
}

impl Status {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The answer that consists of this status alone: its headers are its trailers.
    pub(crate) fn response(&self) -> Response<Body> {
        let mut response = answer(Body::none());
        response.headers_mut().extend(self.trailers());
        response
    }

    pub(crate) fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(2);
        trailers.insert("grpc-status", self.code.header());
        trailers.insert("grpc-message", percent_encoded(&self.message));
        trailers
    }
}

/// Whether an answer consists of a status other than OK: then its headers have it.
pub(crate) fn failed(answer: &Response<Body>) -> bool {
    answer.headers().get("grpc-status").is_some_and(|code| code != "0")
}

/// The answer to a call that went well.
pub(crate) fn ok(message: Bytes) -> Response<Body> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    answer(Body::message(message, trailers))
}

fn answer(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}

/// gRPC over HTTP/2, "Percent-Encoded": all but printable ASCII, and `%` itself.
fn percent_encoded(text: &str) -> HeaderValue {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or_default();
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    HeaderValue::try_from(encoded).unwrap_or_else(|_| HeaderValue::from_static("unprintable"))
}

#[cfg(test)]
mod tests {
    use super::{Code, Status, of_class, percent_encoded};
    use crate::pull::Class;

    #[test]
    fn each_class_has_one_code_and_prefix() {
        let rows = [
            (Class::BadRequest, Code::InvalidArgument, "why"),
            (Class::Denied, Code::PermissionDenied, "why"),
            (Class::Internal, Code::Internal, "why"),
            (Class::Malformed, Code::FailedPrecondition, "why"),
            (Class::NotFound, Code::NotFound, "why"),
            (Class::Rejected, Code::Unknown, "SignatureValidationFailed: why"),
            (Class::Runtime, Code::Unavailable, "why"),
            (Class::Unavailable, Code::Unknown, "RegistryUnavailable: why"),
        ];
        for (class, code, message) in rows {
            assert_eq!(of_class(class, "why"), Status::new(code, message), "{class:?}");
        }
    }

    #[test]
    fn messages_are_percent_encoded() {
        let rows = [
            ("plain text ~!", "plain text ~!"),
            ("100%", "100%25"),
            ("a\r\nb", "a%0D%0Ab"),
            ("署", "%E7%BD%B2"),
            ("\u{7f}", "%7F"),
        ];
        for (text, expected) in rows {
            assert_eq!(percent_encoded(text), expected, "{text:?}");
        }
    }

    #[test]
    fn codes_are_grpcs() {
        let rows = [(Code::Unknown, "2"), (Code::Unimplemented, "12"), (Code::Unavailable, "14")];
        for (code, header) in rows {
            assert_eq!(
                (code.header(), code as u8),
                (header.parse().unwrap(), header.parse().unwrap())
            );
        }
    }
}
