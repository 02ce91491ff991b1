//! The SHA instructions of x86-64. One stream waits for the latency of each; another stream's run in
//! the meantime.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use super::{Lane, ROUND_CONSTANTS, common};

/// Hashes as many blocks of each lane as the shortest has.
///
/// AVX is for its encoding alone, whose instructions leave their sources as they are: without it, copies
/// take the places in which another stream's instruction could wait.
#[target_feature(enable = "sha,ssse3,sse4.1,avx")]
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
        // Written out, since a loop would keep all words in memory.
        step::<0, N>(&mut states, &mut words);
        step::<1, N>(&mut states, &mut words);
        step::<2, N>(&mut states, &mut words);
        step::<3, N>(&mut states, &mut words);
        step::<4, N>(&mut states, &mut words);
        step::<5, N>(&mut states, &mut words);
        step::<6, N>(&mut states, &mut words);
        step::<7, N>(&mut states, &mut words);
        step::<8, N>(&mut states, &mut words);
        step::<9, N>(&mut states, &mut words);
        step::<10, N>(&mut states, &mut words);
        step::<11, N>(&mut states, &mut words);
        step::<12, N>(&mut states, &mut words);
        step::<13, N>(&mut states, &mut words);
        step::<14, N>(&mut states, &mut words);
        step::<15, N>(&mut states, &mut words);
        // Borrowed: over an array's own iterator, the compiler puts each lane's rounds behind the other's.
        for (state, before) in states.iter_mut().zip(&before) {
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

/// Four rounds of each lane, and of the last sixteen words the four that these rounds took become the
/// next ones: twelve rounds early, so that nothing waits for them.
#[inline]
#[target_feature(enable = "sha,ssse3")]
fn step<const QUAD: usize, const N: usize>(
    states: &mut [[__m128i; 2]; N],
    words: &mut [[__m128i; 4]; N],
) {
    // The words of more than two lanes lie in memory, from where each lane's are best taken once.
    let at_once = N > 2;
    for (state, words) in states.iter_mut().zip(words.iter_mut()) {
        four_rounds::<QUAD>(state, words[QUAD % 4]);
        if at_once {
            schedule::<QUAD>(words);
        }
    }
    if !at_once {
        for words in words {
            schedule::<QUAD>(words);
        }
    }
}

#[inline]
#[target_feature(enable = "sha,ssse3")]
fn schedule<const QUAD: usize>(words: &mut [__m128i; 4]) {
    if QUAD >= 12 {
        return;
    }
    let [first, second, third, last] = [0, 1, 2, 3].map(|next| words[(QUAD + next) % 4]);
    let next = _mm_sha256msg1_epu32(first, second);
    let next = _mm_add_epi32(next, _mm_alignr_epi8::<4>(last, third));
    words[QUAD % 4] = _mm_sha256msg2_epu32(next, last);
}

#[inline]
#[target_feature(enable = "sha,sse2")]
fn four_rounds<const QUAD: usize>(state: &mut [__m128i; 2], words: __m128i) {
    let [k0, k1, k2, k3] = ROUND_CONSTANTS.as_chunks().0[QUAD].map(u32::cast_signed);
    let words = _mm_add_epi32(words, _mm_set_epi32(k3, k2, k1, k0));
    let [abef, cdgh] = *state;
    let cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
    let abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32::<0x0e>(words));
    *state = [abef, cdgh];
}
