//! The one message of a unary call that is read here: gRPC over HTTP/2, "Length-Prefixed-Message".

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use prost::Message;

use super::MESSAGE_LIMIT;
use super::status::{Code, Status};

/// The flag for compression, and the length of the message.
const FRAME_HEADER: usize = 5;

/// The body of a call with its message: as it came, and decoded.
pub(super) async fn read<M: Message + Default>(body: Incoming) -> Result<(Bytes, M), Status> {
    let body = match Limited::new(body, FRAME_HEADER + MESSAGE_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
        Err(error) => return Err(bad(format!("the request broke off: {error}"))),
    };
    let message = M::decode(unframed(body.clone())?)
        .map_err(|error| bad(format!("the request is no {}: {error}", name::<M>())))?;
    Ok((body, message))
}

/// The last part of the name of a type.
fn name<M>() -> &'static str {
    std::any::type_name::<M>().rsplit("::").next().unwrap_or_default()
}

/// The one message of a unary call (gRPC over HTTP/2, "Length-Prefixed-Message").
fn unframed(mut body: Bytes) -> Result<Bytes, Status> {
    if body.len() < FRAME_HEADER {
        let length = body.len();
        return Err(bad(format!("the request has {length} bytes, expected a gRPC message")));
    }
    let message = body.split_off(FRAME_HEADER);
    let &[flag, a, b, c, d] = body.as_ref() else { return Err(bad("the request has no frame")) };
    if flag != 0 {
        let message = format!("the request is compressed (flag {flag}), which is not supported");
        return Err(Status::new(Code::Unimplemented, message));
    }
    let declared = u32::from_be_bytes([a, b, c, d]);
    if usize::try_from(declared).ok() != Some(message.len()) {
        let found = message.len();
        return Err(bad(format!("the request declares {declared} bytes and has {found}")));
    }
    Ok(message)
}

pub(super) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(FRAME_HEADER + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message.encode_to_vec());
    frame.freeze()
}

/// `grpc-timeout`: at most eight digits, and a unit.
pub(super) fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let wrong = || bad(format!("grpc-timeout is {value:?}, expected digits and one of HMSmun"));
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let digits = text.strip_suffix(unit).ok_or_else(wrong)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let amount: u64 = digits.parse().map_err(|_not_a_number| wrong())?;
    let timeout = match unit {
        'H' => Duration::from_secs(amount * 3600),
        'M' => Duration::from_secs(amount * 60),
        'S' => Duration::from_secs(amount),
        'm' => Duration::from_millis(amount),
        'u' => Duration::from_micros(amount),
        'n' => Duration::from_nanos(amount),
        _ => return Err(wrong()),
    };
    Ok(Some(timeout))
}

fn bad(message: impl Into<String>) -> Status {
    Status::new(Code::InvalidArgument, message)
}

fn too_large() -> Status {
    let message = format!("the request is larger than {MESSAGE_LIMIT} bytes");
    Status::new(Code::ResourceExhausted, message)
}
