//! Several streams hashed side by side on one core.
//!
//! The rounds of SHA-256 depend on one another, so that one stream leaves a core idle for most of the
//! time. Several independent streams fill it. The kernels are safe code; `unsafe` is only the promise
//! that the processor has their instructions, and a [`Lanes`] is what proves it.

#[cfg(target_arch = "x86_64")]
#[expect(
    clippy::indexing_slicing,
    reason = "every index is below a length that is fixed or common"
)]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[expect(
    clippy::indexing_slicing,
    reason = "every index is below a length that is fixed or common"
)]
mod sha_ni;

use sha2::block_api::compress256;

use super::state::Lane;
use super::{BlobMismatch, Verifier};

/// Instructions that hash several streams at a time. Holding a value proves that this processor has
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes(Kernel);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    /// Eight streams in the lanes of AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Two to four streams through the SHA instructions of x86-64.
    #[cfg(target_arch = "x86_64")]
    ShaNi,
}

impl Lanes {
    /// What this processor can do, the fastest first. Nothing on processors for which there is no
    /// kernel: there, each stream is hashed by itself.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let sha = has!("sha") && has!("ssse3") && has!("sse4.1") && has!("avx");
            let found = [(sha, Kernel::ShaNi), (has!("avx2"), Kernel::Avx2)];
            found.into_iter().filter(|(there, _)| *there).map(|(_, kernel)| Self(kernel)).collect()
        }
        #[cfg(not(target_arch = "x86_64"))]
        Vec::new()
    }

    /// The instructions' name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Kernel::ShaNi => "SHA-NI",
        }
    }

    /// Feeds each verifier the next bytes of its stream, as [`Verifier::update`] does, and returns what
    /// that would have returned. Fastest where all streams get the same number of bytes.
    pub fn update_all(
        self,
        streams: &mut [(&mut Verifier, &[u8])],
    ) -> Vec<Result<(), BlobMismatch>> {
        let mut lanes = Vec::with_capacity(streams.len());
        let results = streams
            .iter_mut()
            .map(|(verifier, bytes)| {
                verifier.count(bytes)?;
                lanes.push(verifier.state.feed(bytes));
                Ok(())
            })
            .collect();
        self.compress(lanes);
        results
    }

    /// Hashes all blocks of all lanes.
    fn compress(self, mut lanes: Vec<Lane<'_>>) {
        loop {
            lanes.retain(|lane| !lane.blocks.is_empty());
            if !self.together(&mut lanes) {
                break;
            }
        }
        for lane in lanes {
            compress256(lane.words, lane.blocks);
        }
    }

    /// Hashes the blocks that the first lanes have in common; false if it takes longer than one lane
    /// after the other.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_variables, reason = "without a kernel there is no value to call this on")
    )]
    fn together(self, lanes: &mut [Lane<'_>]) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => wide(lanes),
            #[cfg(target_arch = "x86_64")]
            Kernel::ShaNi => interleaved(lanes),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the kernel's instructions are there: `Lanes` is made only if so")]
fn wide(lanes: &mut [Lane<'_>]) -> bool {
    // A round of eight takes as long however many places are used: two are worth it already.
    if lanes.len() < 2 {
        return false;
    }
    // SAFETY: only a `Lanes` of `Kernel::Avx2` leads here, and `available` has seen AVX2.
    unsafe { avx2::compress(lanes) };
    true
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the kernel's instructions are there: `Lanes` is made only if so")]
fn interleaved(lanes: &mut [Lane<'_>]) -> bool {
    // SAFETY: only a `Lanes` of `Kernel::ShaNi` leads here, and `available` has seen SHA, SSSE3,
    // SSE4.1 and AVX.
    unsafe {
        if let Some(four) = lanes.first_chunk_mut::<4>() {
            sha_ni::compress(four);
        } else if let Some(three) = lanes.first_chunk_mut::<3>() {
            sha_ni::compress(three);
        } else if let Some(two) = lanes.first_chunk_mut::<2>() {
            sha_ni::compress(two);
        } else {
            return false;
        }
    }
    true
}

/// How many blocks every lane has.
#[cfg(target_arch = "x86_64")]
fn common(lanes: &[Lane<'_>]) -> usize {
    lanes.iter().map(|lane| lane.blocks.len()).min().unwrap_or(0)
}

/// FIPS 180-4, 4.2.2.
#[cfg(target_arch = "x86_64")]
const ROUND_CONSTANTS: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

#[cfg(test)]
mod tests;
