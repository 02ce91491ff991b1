use proptest::prelude::*;

use super::*;

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn digests_that_are_refused() {
    let hex = "a".repeat(64);
    let length = |algorithm, found| DigestError::Length { algorithm, found };
    for (text, expected) in [
        (String::new(), DigestError::NoAlgorithm),
        ("sha256".to_owned(), DigestError::NoAlgorithm),
        (format!("sha256={hex}"), DigestError::NoAlgorithm),
        (format!(":{hex}"), DigestError::UnknownAlgorithm),
        (format!("md5:{hex}"), DigestError::UnknownAlgorithm),
        (format!("SHA256:{hex}"), DigestError::UnknownAlgorithm),
        (format!(" sha256:{hex}"), DigestError::UnknownAlgorithm),
        (format!("tarsum.v1+sha256:{hex}"), DigestError::UnknownAlgorithm),
        ("sha256:".to_owned(), length(Algorithm::Sha256, 0)),
        (format!("sha256:{hex}a"), length(Algorithm::Sha256, 65)),
        (format!("sha256:{hex}\n"), length(Algorithm::Sha256, 65)),
        (format!("sha256:{hex}/.."), length(Algorithm::Sha256, 67)),
        (format!("sha384:{hex}"), length(Algorithm::Sha384, 64)),
        (format!("sha512:{hex}"), length(Algorithm::Sha512, 64)),
        (format!("sha256:{}", "A".repeat(64)), DigestError::NotLowerHex),
        (format!("sha256:{}", "g".repeat(64)), DigestError::NotLowerHex),
        (format!("sha256:{}", "../".repeat(21) + "a"), DigestError::NotLowerHex),
        (format!("sha256:{}", "\u{430}".repeat(32)), DigestError::NotLowerHex),
    ] {
        assert_eq!(text.parse::<Digest>(), Err(expected), "{text:?}");
    }
}

#[test]
fn digests_are_displayed_as_they_are_written() {
    for text in [
        EMPTY.to_owned(),
        format!("sha384:{}", "0".repeat(96)),
        format!("sha512:{}", "f".repeat(128)),
    ] {
        assert_eq!(text.parse::<Digest>().expect("a digest").to_string(), text);
    }
    assert_eq!(Digest::sha256(b"").to_string(), EMPTY);
}

#[test]
fn a_tail_is_proven_only_behind_the_expected_bytes() {
    let hashed = |pieces: &[&[u8]]| {
        let mut tailed = Tailed::new(&Digest::sha256(b"abc")).expect("sha256");
        pieces.iter().for_each(|piece| tailed.update(piece));
        tailed
    };
    let whole = hashed(&[b"a", b"", b"bc"]).finish(b"-tail").expect("the expected bytes");
    assert_eq!((whole.digest(), whole.size()), (&Digest::sha256(b"abc-tail"), 8));
    for pieces in [&[][..], &[b"ab".as_slice()], &[b"abc".as_slice(), b"-"]] {
        let found = Digest::sha256(&pieces.concat());
        let expected = Digest::sha256(b"abc");
        let mismatch = BlobMismatch::Digest { expected, found };
        assert_eq!(hashed(pieces).finish(b"c"), Err(mismatch));
    }
    let long: Digest = format!("sha512:{}", "f".repeat(128)).parse().expect("a digest");
    let unsupported = BlobMismatch::Unsupported { algorithm: Algorithm::Sha512 };
    assert_eq!(Tailed::new(&long).map(drop), Err(unsupported));
}

#[test]
fn only_the_promised_bytes_are_verified() {
    let expected = Digest::sha256(b"abc");
    let blob = Verifier::verify(&expected, b"abc").expect("the same bytes");
    assert_eq!((blob.digest(), blob.size()), (&expected, 3));

    let found = Digest::sha256(b"abd");
    let mismatch = BlobMismatch::Digest { expected: expected.clone(), found };
    assert_eq!(Verifier::verify(&expected, b"abd"), Err(mismatch));

    let verifier = |size| Verifier::new(&expected, size).expect("sha256");
    let mut long = verifier(2);
    assert_eq!(long.update(b"abc"), Err(BlobMismatch::TooLong { expected: 2 }));
    assert_eq!(long.finish(), Err(BlobMismatch::TooShort { expected: 2, missing: 2 }));

    let mut short = verifier(4);
    assert_eq!(short.update(b"abc"), Ok(()));
    assert_eq!(short.finish(), Err(BlobMismatch::TooShort { expected: 4, missing: 1 }));

    for algorithm in [Algorithm::Sha384, Algorithm::Sha512] {
        let digest = format!("{}:{}", algorithm.name(), "0".repeat(algorithm.hex_length()));
        let digest = digest.parse().expect("a digest");
        let refused = Verifier::new(&digest, 0).expect_err("refused");
        assert_eq!(refused, BlobMismatch::Unsupported { algorithm });
    }
}

#[test]
fn the_instructions_have_a_name() {
    assert!(["x86 SHA-NI", "ARMv8 SHA2", "portable"].contains(&sha256_instructions()));
}

#[test]
fn every_length_hashes_as_in_the_sha2_crate() {
    let bytes: Vec<u8> = (0..=512_usize).map(|at| (at * 7).to_le_bytes()[0]).collect();
    for length in 0..=512 {
        let (bytes, _) = bytes.split_at(length);
        for split in [0, 1, length / 2, length.saturating_sub(64), length] {
            let (head, tail) = bytes.split_at(split.min(length));
            let expected = Digest::sha256(bytes);
            let mut verifier = Verifier::new(&expected, length as u64).expect("sha256");
            verifier.update(head).and_then(|()| verifier.update(tail)).expect("within the size");
            assert_eq!(verifier.finish().as_ref().map(VerifiedBlob::digest), Ok(&expected));
        }
    }
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>()) {
        let _result = text.parse::<Digest>();
    }

    #[test]
    fn pieces_do_not_matter(bytes in any::<Vec<u8>>(), piece in 1_usize..64) {
        let expected = Digest::sha256(&bytes);
        let mut verifier = Verifier::new(&expected, bytes.len() as u64).expect("sha256");
        for piece in bytes.chunks(piece) {
            verifier.update(piece).expect("within the size");
        }
        prop_assert_eq!(verifier.finish(), Verifier::verify(&expected, &bytes));
    }
}
