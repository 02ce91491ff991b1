//! URLs of signature stores, with the semantics of Go's `net/url` (policy-semantics.md 2.4).
//!
//! The WHATWG rules of the `url` crate do not fit: they add a slash to `http://host`, so that the
//! location of a signature would differ from the one that signing tools write to.

use std::fmt;
use std::string::FromUtf8Error;

use crate::digest::Digest;

/// A URL that can be the base of a signature store. The scheme may be missing: such a base can be
/// configured, but not read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    scheme: Option<String>,
    authority: Option<String>,
    path: String,
    has_encoded_slash: bool,
    query: Option<String>,
    fragment: Option<String>,
}

impl BaseUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// [`UrlError`] for a text that Go's `net/url` does not parse, and for what could never be read
    /// from: hosts outside ASCII, paths outside UTF-8, URLs without a path hierarchy.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(UrlError::ControlCharacter);
        }
        let (text, fragment) = cut(text, '#');
        let (scheme, rest) = split_scheme(text)?;
        let (rest, query) = cut(rest, '?');
        let (authority, raw_path) = split_authority(rest, scheme.is_some());
        if authority.is_none() && !raw_path.starts_with('/') {
            if scheme.is_some() {
                return Err(UrlError::NoHierarchy);
            }
            let (first, _rest) = cut(raw_path, '/');
            if first.contains(':') {
                return Err(UrlError::NoScheme);
            }
        }
        if !authority.is_none_or(is_authority) {
            return Err(UrlError::Authority);
        }
        Ok(Self {
            scheme: scheme.map(str::to_ascii_lowercase),
            authority: authority.map(str::to_owned),
            path: unescape(raw_path)?,
            has_encoded_slash: raw_path.to_ascii_lowercase().contains("%2f"),
            query: query.map(str::to_owned),
            fragment: fragment.filter(|text| !text.is_empty()).map(str::to_owned),
        })
    }

    /// The scheme in lower case.
    #[must_use]
    pub fn scheme(&self) -> Option<&str> {
        self.scheme.as_deref()
    }

    /// The path with its escapes resolved.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host and port; empty if there is none.
    pub(super) fn host(&self) -> &str {
        let authority = self.authority.as_deref().unwrap_or_default();
        authority.rsplit_once('@').map_or(authority, |(_user, host)| host)
    }

    /// Whether the path was written with `%2F`, which reads as a separator once it is resolved.
    pub(super) const fn has_encoded_slash(&self) -> bool {
        self.has_encoded_slash
    }

    /// The URL with a longer path.
    #[must_use]
    pub fn append(mut self, suffix: &str) -> Self {
        self.path.push_str(suffix);
        self
    }

    /// Taking this as the URL of a repository: the URL of signature `number` of `digest`.
    #[must_use]
    pub fn signature(&self, digest: &Digest, number: usize) -> Self {
        let (algorithm, hex) = (digest.algorithm().name(), digest.hex());
        self.clone().append(&format!("@{algorithm}={hex}/signature-{number}"))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = &self.scheme {
            write!(f, "{scheme}:")?;
        }
        if let Some(authority) = &self.authority {
            write!(f, "//{authority}")?;
        }
        for byte in self.path.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        if let Some(query) = &self.query {
            write!(f, "?{query}")?;
        }
        if let Some(fragment) = &self.fragment {
            write!(f, "#{fragment}")?;
        }
        Ok(())
    }
}

fn cut(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn split_scheme(text: &str) -> Result<(Option<&str>, &str), UrlError> {
    let Some((scheme, rest)) = text.split_once(':') else { return Ok((None, text)) };
    if scheme.is_empty() {
        return Err(UrlError::NoScheme);
    }
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    Ok(if is_scheme { (Some(scheme), rest) } else { (None, text) })
}

fn split_authority(rest: &str, has_scheme: bool) -> (Option<&str>, &str) {
    let Some(after) = rest.strip_prefix("//").filter(|_| has_scheme || !rest.starts_with("///"))
    else {
        return (None, rest);
    };
    let end = after.find('/').unwrap_or(after.len());
    let (authority, path) = after.split_at(end);
    (Some(authority), path)
}

/// `[user[:password]@]host[:port]`, in ASCII and without escapes in the host.
fn is_authority(authority: &str) -> bool {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => ("", authority),
    };
    let is_one_of = |text: &str, others: &[u8]| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
    };
    let (host, port, host_is_valid) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').unwrap_or((rest, "missing bracket"));
            (address, port, is_one_of(address, b":."))
        }
        None => {
            let end = host.find(':').unwrap_or(host.len());
            let (name, port) = host.split_at(end);
            (name, port, is_one_of(name, b"-._~!$&'()*+,;="))
        }
    };
    let port_is_valid = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let user_is_valid = is_one_of(user, b"-._:~!$&'()*+,;=%@");
    user_is_valid && host_is_valid && port_is_valid && (port.is_empty() || !host.is_empty())
}

fn unescape(raw: &str) -> Result<String, UrlError> {
    let mut pieces = raw.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2).unwrap_or(piece);
        let mut byte = [0];
        if hex::decode_to_slice(digits, &mut byte).is_err() {
            return Err(UrlError::Escape { digits: digits.to_owned() });
        }
        bytes.extend(byte);
        bytes.extend(piece.get(2..).unwrap_or_default().as_bytes());
    }
    Ok(String::from_utf8(bytes)?)
}

/// A URL as it may be shown: without the name and password before its host, which are nobody's
/// business. Of a text that is no URL everything that could be one of them is left out.
#[must_use]
pub fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = url.split_once("//").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (authority, _) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let is_host = port.bytes().all(|byte| byte.is_ascii_digit()) || port.ends_with(']');
    let shown = match (authority.rsplit_once('@'), rest.rsplit_once('@')) {
        (Some((userinfo, _)), _) => rest.get(userinfo.len() + 1..).unwrap_or_default(),
        // A password with a slash in it.
        (None, Some((_, host))) if !is_host => host,
        (None, _) => rest,
    };
    let slashes = if rest.len() == url.len() { "" } else { "//" };
    format!("{scheme}{slashes}{shown}")
}

/// Why a text cannot be the base of a signature store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The part between `//` and the path is not valid.
    #[error("the host is not valid")]
    Authority,
    /// A control character.
    #[error("it contains a control character")]
    ControlCharacter,
    /// `%2F` in the path.
    #[error("%2F in the path would be read as a separator, write `/`")]
    EncodedSlash,
    /// `%` without two hexadecimal digits.
    #[error("expected two hexadecimal digits after %, found {digits:?}")]
    Escape {
        /// What follows.
        digits: String,
    },
    /// A scheme that is not followed by a slash.
    #[error("expected a slash after the scheme")]
    NoHierarchy,
    /// An `http` or `https` URL without a host.
    #[error("the host is missing")]
    NoHost,
    /// A colon in the first component and no scheme before it.
    #[error("the scheme is missing")]
    NoScheme,
    /// The escapes in the path do not make up a text.
    #[error("the path is not UTF-8")]
    NotUtf8(#[from] FromUtf8Error),
    /// Another scheme, or none.
    #[error("expected a file, http or https URL")]
    Scheme,
}

#[cfg(test)]
mod tests {
    use super::without_userinfo;

    #[test]
    fn names_and_passwords_are_left_out() {
        let rows = [
            ("https://h/p@sha256=00/signature-1", "https://h/p@sha256=00/signature-1"),
            ("https://user:word@h:5000/p@q", "https://h:5000/p@q"),
            ("https://user@h", "https://h"),
            ("https://us@er:wo@rd@h/p", "https://h/p"),
            ("https://user:wo/rd@h/p", "https://h/p"),
            ("https://[::1]:5000/p@q", "https://[::1]:5000/p@q"),
            ("https://[::1]/p@q", "https://[::1]/p@q"),
            ("user:word@h/p", "h/p"),
            ("file:///var/lib/a@b", "file:///var/lib/a@b"),
            ("", ""),
        ];
        for (url, expected) in rows {
            assert_eq!(without_userinfo(url), expected, "{url}");
        }
    }
}
