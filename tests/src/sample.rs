//! The images that most tests use.

use std::process::Command;

use serde_json::{Value, json};

use crate::image::{Compression, Image, Index, Recipe};
use crate::place;
use crate::process::run;

const MIB: usize = 1 << 20;

/// The smallest image there is: one layer, one file. `text` tells two of them apart.
#[must_use]
pub fn tiny(text: &str) -> Image {
    Recipe::new().text(text).build()
}

/// An image whose program does nothing until it is told to end. `text` tells two of them apart.
#[must_use]
pub fn waiting(text: &str) -> Image {
    let files = vec![("pause".to_owned(), pause()), ("hello.txt".to_owned(), text.into())];
    let program = |config: &mut Value| config["config"] = json!({"Entrypoint": ["/pause"]});
    Recipe::new().files(files).build_with(program, |_| {})
}

/// An image that says it is the checkpoint of a container.
#[must_use]
pub fn checkpoint(text: &str) -> Image {
    let annotate = |manifest: &mut Value| {
        manifest["annotations"] = json!({"org.criu.checkpoint.container.name": "app"});
    };
    Recipe::new().text(text).build_with(|_| {}, annotate)
}

/// A static program that reaps what it inherits and ends at a signal, as Kubernetes' pause does. With a
/// number as its argument it writes so many KiB instead.
fn pause() -> Vec<u8> {
    const SOURCE: &str = r"
        #include <signal.h>
        #include <stdlib.h>
        #include <sys/wait.h>
        #include <unistd.h>
        static void end(int signal) { (void)signal; _exit(0); }
        static void reap(int signal) {
            (void)signal;
            while (waitpid(-1, 0, WNOHANG) > 0) {}
        }
        int main(int count, char **words) {
            static char kib[1024];
            for (int left = count > 1 ? atoi(words[1]) : 0; left > 0; left--) {
                if (write(1, kib, sizeof kib) != sizeof kib) return 1;
            }
            if (count > 1) return 0;
            signal(SIGINT, end);
            signal(SIGTERM, end);
            signal(SIGCHLD, reap);
            for (;;) pause();
        }";
    let folder = place::on_disk("pause");
    let (source, program) = (folder.path().join("pause.c"), folder.path().join("pause"));
    std::fs::write(&source, SOURCE).expect("a source file");
    run(Command::new("gcc").args(["-Os", "-static", "-s", "-o"]).arg(&program).arg(&source));
    std::fs::read(program).expect("gcc to write the program")
}

/// amd64, arm64 v8 and arm v7, and an attestation of the first, as `BuildKit` writes it.
#[must_use]
pub fn multi_arch(text: &str) -> Index {
    let platforms = [("amd64", None), ("arm64", Some("v8")), ("arm", Some("v7"))];
    let mut entries: Vec<(Value, Image)> = platforms
        .iter()
        .map(|&(architecture, variant)| {
            let text = format!("{text} on {architecture}");
            let image = Recipe::new().platform(architecture, variant).text(&text).build();
            let mut platform = json!({"architecture": architecture, "os": "linux"});
            if let Some(variant) = variant {
                platform["variant"] = json!(variant);
            }
            (platform, image)
        })
        .collect();
    let attestation = Recipe::new().platform("unknown", None).text("attestation").build_with(
        |config| config["os"] = json!("unknown"),
        |manifest| manifest["layers"][0]["mediaType"] = json!("application/vnd.in-toto+json"),
    );
    entries.push((json!({"architecture": "unknown", "os": "unknown"}), attestation));
    Index::new(entries)
}

/// Five layers of 10 MiB, about 22 MB with gzip.
#[must_use]
pub fn five(compression: Compression) -> Image {
    synthetic(compression, 5, 10 * MIB)
}

/// Twelve layers of 85 MiB, 1.07 GB, about 450 MB with gzip.
#[must_use]
pub fn big(compression: Compression) -> Image {
    synthetic(compression, 12, 85 * MIB)
}

/// Layers of files that compress about as well as those of real images do, about 2.4 to 1. Another
/// compression makes other files, since containerd fetches no layer that it has unpacked already.
#[must_use]
pub fn synthetic(compression: Compression, layers: u64, size: usize) -> Image {
    const FILES: usize = 64;
    let salt = match compression {
        Compression::Gzip => 1_000,
        Compression::Zstd => 2_000,
        Compression::Plain => 3_000,
    };
    let recipe = Recipe::new().compression(compression);
    let recipe = (0..layers).fold(recipe, |recipe, layer| {
        let mut bytes = Bytes::new(salt + layer);
        let file = |number| (format!("data{layer}/f{number:03}"), bytes.take(size / FILES));
        recipe.files((0..FILES).map(file).collect())
    });
    recipe.build()
}

/// A stream of bytes made of words and noise.
struct Bytes {
    words: Vec<Vec<u8>>,
    state: u64,
}

impl Bytes {
    fn new(seed: u64) -> Self {
        let mut bytes = Self { words: Vec::new(), state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) };
        bytes.words = (0..2048).map(|_| bytes.word()).collect();
        bytes
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(length + 16);
        while out.len() < length {
            let number = self.next();
            if number.is_multiple_of(20) {
                out.extend_from_slice(&number.to_le_bytes());
            } else {
                out.extend_from_slice(&self.words[(number >> 32) as usize % self.words.len()]);
            }
        }
        out.truncate(length);
        out
    }

    fn word(&mut self) -> Vec<u8> {
        const LETTERS: &[u8; 32] = b"etaoinshrdlucmfwypvbgkjqxz_/.-01";
        let length = 3 + self.next() % 9;
        (0..length).map(|_| LETTERS[(self.next() >> 32) as usize % LETTERS.len()]).collect()
    }

    /// xorshift64*.
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
