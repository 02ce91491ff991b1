//! AVX2: the same step of eight streams in each instruction.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_extract_epi32, _mm256_or_si256,
    _mm256_set_epi32, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_slli_epi32,
    _mm256_srli_epi32, _mm256_xor_si256,
};

use super::{Lane, ROUND_CONSTANTS, common};

/// Streams of one vector.
const WIDTH: usize = 8;

/// Hashes the blocks that the first eight lanes have in common. Where there are fewer, the last one is
/// hashed in the idle places as well, and what they come to is dropped.
#[target_feature(enable = "avx2")]
pub(super) fn compress(lanes: &mut [Lane<'_>]) {
    let used = lanes.len().min(WIDTH);
    let lanes = &mut lanes[..used];
    let Some(last) = used.checked_sub(1) else { return };
    let mut state = [_mm256_setzero_si256(); 8];
    for (word, state) in state.iter_mut().enumerate() {
        *state = gather(|place| lanes[place.min(last)].words[word]);
    }
    let count = common(lanes);
    for index in 0..count {
        let mut blocks = [&[0; 64]; WIDTH];
        for (place, block) in blocks.iter_mut().enumerate() {
            *block = &lanes[place.min(last)].blocks[index];
        }
        rounds(&mut state, blocks);
    }
    for (word, state) in state.into_iter().enumerate() {
        for (lane, value) in lanes.iter_mut().zip(scatter(state)) {
            lane.words[word] = value;
        }
    }
    for lane in lanes {
        lane.blocks = &lane.blocks[count..];
    }
}

/// One block of every stream.
#[inline]
#[target_feature(enable = "avx2")]
fn rounds(state: &mut [__m256i; 8], blocks: [&[u8; 64]; WIDTH]) {
    let mut words = [_mm256_setzero_si256(); 16];
    for (word, words) in words.iter_mut().enumerate() {
        *words = gather(|place| u32::from_be_bytes(blocks[place].as_chunks().0[word]));
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for sixteen in 0..4 {
        for at in 0..16 {
            if sixteen > 0 {
                words[at] = next(&words, at);
            }
            let constant = ROUND_CONSTANTS[16 * sixteen + at].cast_signed();
            let input = _mm256_add_epi32(words[at], _mm256_set1_epi32(constant));
            let sigma = xor(rotate::<6, 26>(e), rotate::<11, 21>(e), rotate::<25, 7>(e));
            let choice = _mm256_xor_si256(g, _mm256_and_si256(e, _mm256_xor_si256(f, g)));
            let first = _mm256_add_epi32(add(h, sigma, choice), input);
            let sigma = xor(rotate::<2, 30>(a), rotate::<13, 19>(a), rotate::<22, 10>(a));
            let differ = _mm256_and_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(b, c));
            let majority = _mm256_xor_si256(b, differ);
            (h, g, f, e) = (g, f, e, _mm256_add_epi32(d, first));
            (d, c, b, a) = (c, b, a, add(first, sigma, majority));
        }
    }
    for (state, value) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *state = _mm256_add_epi32(*state, value);
    }
}

/// The word that takes the place `at`, sixteen words later.
#[inline]
#[target_feature(enable = "avx2")]
fn next(words: &[__m256i; 16], at: usize) -> __m256i {
    let (x, y) = (words[(at + 1) % 16], words[(at + 14) % 16]);
    let near = xor(rotate::<7, 25>(x), rotate::<18, 14>(x), _mm256_srli_epi32::<3>(x));
    let far = xor(rotate::<17, 15>(y), rotate::<19, 13>(y), _mm256_srli_epi32::<10>(y));
    _mm256_add_epi32(add(words[at], near, words[(at + 9) % 16]), far)
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const RIGHT: i32, const LEFT: i32>(x: __m256i) -> __m256i {
    const { assert!(RIGHT + LEFT == 32, "a rotation keeps every bit") };
    _mm256_or_si256(_mm256_srli_epi32::<RIGHT>(x), _mm256_slli_epi32::<LEFT>(x))
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_xor_si256(_mm256_xor_si256(x, y), z)
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_add_epi32(_mm256_add_epi32(x, y), z)
}

/// A value of each stream.
#[inline]
#[target_feature(enable = "avx2")]
fn gather(value: impl Fn(usize) -> u32) -> __m256i {
    let value = |place| value(place).cast_signed();
    _mm256_set_epi32(value(7), value(6), value(5), value(4), value(3), value(2), value(1), value(0))
}

#[inline]
#[target_feature(enable = "avx2")]
fn scatter(x: __m256i) -> [u32; WIDTH] {
    [
        _mm256_extract_epi32::<0>(x),
        _mm256_extract_epi32::<1>(x),
        _mm256_extract_epi32::<2>(x),
        _mm256_extract_epi32::<3>(x),
        _mm256_extract_epi32::<4>(x),
        _mm256_extract_epi32::<5>(x),
        _mm256_extract_epi32::<6>(x),
        _mm256_extract_epi32::<7>(x),
    ]
    .map(i32::cast_unsigned)
}
