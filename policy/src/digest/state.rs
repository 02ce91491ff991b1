//! SHA-256 fed in pieces (FIPS 180-4), with its state in the open: the `sha2` crate hashes one stream,
//! [`Lanes`](super::Lanes) hashes several, and both go on from where the other stopped.

use std::mem;

use sha2::block_api::compress256;

/// Bytes of a block.
pub(super) const BLOCK: usize = 64;

/// FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// What has been hashed so far.
#[derive(Debug, Clone)]
pub(super) struct State {
    words: [u32; 8],
    /// The bytes after the last whole block; always fewer than a block.
    tail: Vec<u8>,
    /// All bytes so far.
    length: u64,
}

/// A stream's words and the whole blocks that come next.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    pub words: &'a mut [u32; 8],
    pub blocks: &'a [[u8; BLOCK]],
}

impl State {
    pub(super) fn new() -> Self {
        Self { words: INITIAL, tail: Vec::with_capacity(BLOCK), length: 0 }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        let Lane { words, blocks } = self.feed(bytes);
        compress256(words, blocks);
    }

    /// Takes `bytes` in, but leaves to the caller to hash the whole blocks in them.
    #[must_use]
    pub(super) fn feed<'a>(&'a mut self, bytes: &'a [u8]) -> Lane<'a> {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        let mut rest = bytes;
        if !self.tail.is_empty() {
            let (head, after) = bytes.split_at(bytes.len().min(BLOCK - self.tail.len()));
            self.tail.extend_from_slice(head);
            rest = after;
            let (blocks, _) = self.tail.as_chunks();
            compress256(&mut self.words, blocks);
            if !blocks.is_empty() {
                self.tail.clear();
            }
        }
        let (blocks, tail) = rest.as_chunks();
        self.tail.extend_from_slice(tail);
        Lane { words: &mut self.words, blocks }
    }

    pub(super) fn finish(mut self) -> [u8; 32] {
        let mut last = mem::take(&mut self.tail);
        last.push(0x80);
        let filled = (last.len() + size_of::<u64>()).next_multiple_of(BLOCK);
        last.resize(filled - size_of::<u64>(), 0);
        last.extend_from_slice(&self.length.wrapping_mul(8).to_be_bytes());
        let (blocks, _) = last.as_chunks();
        compress256(&mut self.words, blocks);
        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(self.words) {
            *bytes = word.to_be_bytes();
        }
        digest
    }
}
