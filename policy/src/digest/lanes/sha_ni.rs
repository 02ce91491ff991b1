//! The SHA instructions of x86-64. One stream waits for the latency of each; another stream's run in
//! the meantime.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use super::{Lane, ROUND_CONSTANTS, common};

/// Hashes as many blocks of each lane as the shortest has.
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub(super) fn compress<const N: usize>(lanes: &mut [Lane<'_>; N]) {
    let mut states = [[_mm_setzero_si128(); 2]; N];
    for (state, lane) in states.iter_mut().zip(lanes.iter()) {
        let [a, b, c, d, e, f, g, h] = lane.words.map(u32::cast_signed);
        *state = [_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h)];
    }
    let count = common(lanes);
    for index in 0..count {
        let mut words = [[_mm_setzero_si128(); 4]; N];
        for (words, lane) in words.iter_mut().zip(lanes.iter()) {
            *words = load(&lane.blocks[index]);
        }
        let before = states;
        for quad in 0..4 {
            for (state, words) in states.iter_mut().zip(&words) {
                four_rounds(state, words[quad], quad);
            }
        }
        for sixteen in 1..4 {
            // Written out, since a loop would keep all words in memory.
            schedule(&mut states, &mut words, 0, 4 * sixteen);
            schedule(&mut states, &mut words, 1, 4 * sixteen + 1);
            schedule(&mut states, &mut words, 2, 4 * sixteen + 2);
            schedule(&mut states, &mut words, 3, 4 * sixteen + 3);
        }
        for (state, before) in states.iter_mut().zip(before) {
            *state = [_mm_add_epi32(state[0], before[0]), _mm_add_epi32(state[1], before[1])];
        }
    }
    for (lane, [abef, cdgh]) in lanes.iter_mut().zip(states) {
        *lane.words = [
            _mm_extract_epi32::<3>(abef),
            _mm_extract_epi32::<2>(abef),
            _mm_extract_epi32::<3>(cdgh),
            _mm_extract_epi32::<2>(cdgh),
            _mm_extract_epi32::<1>(abef),
            _mm_extract_epi32::<0>(abef),
            _mm_extract_epi32::<1>(cdgh),
            _mm_extract_epi32::<0>(cdgh),
        ]
        .map(i32::cast_unsigned);
        lane.blocks = &lane.blocks[count..];
    }
}

/// A block as big-endian words.
#[inline]
#[target_feature(enable = "ssse3")]
fn load(block: &[u8; 64]) -> [__m128i; 4] {
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut words = [_mm_setzero_si128(); 4];
    for (words, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
        let halves = bytes.as_chunks().0;
        let (low, high) = (i64::from_le_bytes(halves[0]), i64::from_le_bytes(halves[1]));
        *words = _mm_shuffle_epi8(_mm_set_epi64x(high, low), swap);
    }
    words
}

/// The next four words of each lane, and the rounds that take them.
#[inline]
#[target_feature(enable = "sha,ssse3")]
fn schedule<const N: usize>(
    states: &mut [[__m128i; 2]; N],
    words: &mut [[__m128i; 4]; N],
    at: usize,
    quad: usize,
) {
    for (state, words) in states.iter_mut().zip(words) {
        let last = words[(at + 3) % 4];
        let next = _mm_sha256msg1_epu32(words[at], words[(at + 1) % 4]);
        let next = _mm_add_epi32(next, _mm_alignr_epi8::<4>(last, words[(at + 2) % 4]));
        words[at] = _mm_sha256msg2_epu32(next, last);
        four_rounds(state, words[at], quad);
    }
}

#[inline]
#[target_feature(enable = "sha,sse2")]
fn four_rounds(state: &mut [__m128i; 2], words: __m128i, quad: usize) {
    let [k0, k1, k2, k3] = ROUND_CONSTANTS.as_chunks().0[quad].map(u32::cast_signed);
    let words = _mm_add_epi32(words, _mm_set_epi32(k3, k2, k1, k0));
    let [abef, cdgh] = *state;
    let cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
    let abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32::<0x0e>(words));
    *state = [abef, cdgh];
}
