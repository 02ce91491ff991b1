//! A time-stamping authority (RFC 3161) of our own: `openssl ts`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, IsCa, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;

use crate::place;
use crate::process::{PATIENCE, run};

const CONFIGURATION: &str = "
    [tsa]
    default_tsa = own
    [own]
    default_policy = 1.2.3.4.1
    digests = sha256
    ess_cert_id_alg = sha256
    serial = serial
    signer_digest = sha256
    ";

/// `extendedKeyUsage`, and in it only `id-kp-timeStamping`; openssl wants it to be critical.
const TIME_STAMPING: [u8; 12] = [0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 8];

/// An authority: its root's key, and its own.
#[derive(Debug)]
pub struct Tsa {
    home: TempDir,
    root: KeyPair,
    own: KeyPair,
}

impl Tsa {
    /// Makes one, which can stamp.
    #[must_use]
    pub fn new() -> Self {
        let key = || KeyPair::generate().expect("a key");
        let tsa = Self { home: place::on_disk("tsa"), root: key(), own: key() };
        tsa.write("tsa.cnf", CONFIGURATION.as_bytes());
        tsa.write("serial", b"01");
        tsa.write("key.pem", tsa.own.serialize_pem().as_bytes());
        let [own, _root] = tsa.chain((2020, 2040), (2020, 2040));
        let own = tsa.write("own.der", &own);
        tsa.write("own.pem", &run(openssl("x509").args(["-inform", "DER", "-in"]).arg(own)));
        tsa
    }

    /// Its certificates in DER, its own first, valid from the beginning of one year to that of another.
    #[must_use]
    pub fn chain(&self, own: (i32, i32), root: (i32, i32)) -> [Vec<u8>; 2] {
        let mut parameters = dated("root", root);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = CertifiedIssuer::self_signed(parameters, &self.root).expect("a certificate");
        let mut parameters = dated("clock", own);
        parameters.serial_number = Some(7.into());
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let mut usage = CustomExtension::from_oid_content(&[2, 5, 29, 37], TIME_STAMPING.to_vec());
        usage.set_criticality(true);
        parameters.custom_extensions = vec![usage];
        let own = parameters.signed_by(&self.own, &root).expect("a certificate");
        [own.der().to_vec(), root.der().to_vec()]
    }

    /// Its answer, that it has seen `bytes` now.
    #[must_use]
    pub fn stamp(&self, bytes: &[u8]) -> Vec<u8> {
        let (data, query) = (self.write("data", bytes), self.home.path().join("asked"));
        let mut ask = openssl("ts");
        run(ask.arg("-query").arg("-sha256").arg("-data").arg(data).arg("-out").arg(&query));
        self.answer(&std::fs::read(query).expect("openssl to write the query"))
    }

    /// Its answer to a query.
    #[must_use]
    pub fn answer(&self, query: &[u8]) -> Vec<u8> {
        let (query, answer) = (self.write("query", query), self.home.path().join("answer"));
        let mut reply = openssl("ts");
        reply.current_dir(self.home.path()).args(["-reply", "-config", "tsa.cnf"]);
        reply.args(["-inkey", "key.pem", "-signer", "own.pem", "-queryfile"]).arg(query);
        run(reply.arg("-out").arg(&answer));
        std::fs::read(answer).expect("openssl to write the answer")
    }

    /// Lets `client` ask at the URL that it is given, and answers it once (RFC 3161, 3.4).
    pub fn while_listening(&self, client: impl FnOnce(&str)) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("a socket that does not block");
        std::thread::scope(|scope| {
            scope.spawn(|| self.serve(&listener));
            client(&format!("http://{address}"));
        });
    }

    fn serve(&self, listener: &TcpListener) {
        let end = Instant::now() + PATIENCE;
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(_) => assert!(Instant::now() < end, "nobody asks for the time"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        stream.set_nonblocking(false).expect("a socket that blocks");
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).expect("a request") > 2 {
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            line.clear();
        }
        let mut query = vec![0; length];
        reader.read_exact(&mut query).expect("a query");
        let answer = self.answer(&query);
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/timestamp-reply\r\nconnection: close";
        let head = format!("{head}\r\ncontent-length: {}\r\n\r\n", answer.len());
        let mut stream = reader.into_inner();
        stream.write_all(&[head.as_bytes(), &answer].concat()).expect("a reader");
    }

    /// Where in an answer that is signed which stands there: the statement with the time, the attributes of
    /// the signature, and the signature.
    #[must_use]
    pub fn signed_parts(&self, answer: &[u8]) -> Vec<Range<usize>> {
        let answer = self.write("parsed", answer);
        let parsed = run(openssl("asn1parse").args(["-inform", "DER", "-in"]).arg(answer));
        let parsed = String::from_utf8(parsed).expect("ASCII");
        // Lines such as `  212:d=6  hl=3 l= 164 cons: cont [ 0 ]`.
        let parts = parsed.lines().filter(|line| {
            line.contains(":d=6 ") && (line.contains("OCTET STRING") || line.contains("cont [ 0 ]"))
        });
        let range = |line: &str| {
            let numbers: Vec<usize> = line
                .split(|letter: char| !letter.is_ascii_digit())
                .filter_map(|number| number.parse().ok())
                .take(4)
                .collect();
            let [offset, _depth, header, length] = numbers[..] else { panic!("{line}") };
            offset + header..offset + header + length
        };
        parts.map(range).collect()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }
}

impl Default for Tsa {
    fn default() -> Self {
        Self::new()
    }
}

fn openssl(program: &str) -> Command {
    let mut command = Command::new("openssl");
    command.arg(program);
    command
}

fn dated(name: &str, (from, until): (i32, i32)) -> CertificateParams {
    let mut parameters = CertificateParams::new([]).expect("valid parameters");
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
    parameters
}
