//! Bundles that the world made: see NOTICE.

use super::*;

fn data(name: &str) -> Vec<u8> {
    match name {
        "attestation" => &include_bytes!(
            "../../../../../../tests/conformance/data/sigstore-bundles/attestation.sigstore.json"
        )[..],
        "cosign" => include_bytes!(
            "../../../../../../tests/conformance/data/sigstore-bundles/cosign-3.1.sigstore.json"
        ),
        "cosign.pub" => include_bytes!(
            "../../../../../../tests/conformance/data/sigstore-bundles/cosign-3.1.pub"
        ),
        "key" => include_bytes!(
            "../../../../../../tests/conformance/data/sigstore-bundles/managed-key.sigstore.json"
        ),
        "key.pub" => include_bytes!(
            "../../../../../../tests/conformance/data/sigstore-bundles/managed-key.pub"
        ),
        "key.txt" => include_bytes!(
            "../../../../../../tests/conformance/data/sigstore-bundles/managed-key.txt"
        ),
        "rekor2" => include_bytes!(
            "../../../../../../tests/conformance/data/sigstore-bundles/rekor2.sigstore.json"
        ),
        "root" => include_bytes!(
            "../../../../../../tests/conformance/data/sigstore-bundles/trusted_root.json"
        ),
        "staging" => include_bytes!(
            "../../../../../../tests/conformance/data/sigstore-bundles/trusted_root_staging.json"
        ),
        other => panic!("no {other}"),
    }
    .to_vec()
}

fn key(name: &str) -> PublicKey {
    PublicKey::from_pem(&data(name)).unwrap()
}

fn trusted(change: impl FnOnce(&mut Value)) -> TrustedRoot {
    let mut root = serde_json::from_slice(&data("root")).unwrap();
    change(&mut root);
    TrustedRoot::parse(root.to_string().as_bytes()).unwrap()
}

fn logged(change: impl FnOnce(&mut Value)) -> Root {
    Root::LoggedKeys { keys: vec![key("key.pub")], witnesses: trusted(change).witnesses }
}

fn check(text: Vec<u8>, root: &Root, manifest: &Digest) -> Result<Signer, SignatureFault> {
    let image = Reference::parse(IMAGE).unwrap();
    let identity = SignedIdentity::MatchRepository;
    let claim = Claim { manifest, identity: &identity, image: Some(&image) };
    verify(&UntrustedBundle { text, found_in: found_in(IMAGE) }, root, &claim, now())
}
#[test]
fn bundles_of_real_signers_are_accepted() {
    // cosign 3.1 sign --key, neither log nor timestamp.
    let image = "sha256:131880e349942376613cd976cd05a9718f9fd1655138fe192d05e9eacc1bfdb5";
    let root = Root::Keys(vec![key("cosign.pub")]);
    check(data("cosign"), &root, &image.parse().unwrap()).unwrap();
    let found = check(data("cosign"), &root, &manifest()).unwrap_err();
    assert!(matches!(found, SignatureFault::OtherManifests { .. }), "{found}");

    // A key, sigstore's public log with promise and proof, and its time-stamping authority.
    let text = Digest::sha256(&data("key.txt"));
    check(data("key"), &logged(|_| {}), &text).unwrap();
    // Without a log, the timestamp is what counts.
    let clock = logged(|root| root["tlogs"] = json!([]));
    check(data("key"), &clock, &text).unwrap();

    // A workflow's certificate of sigstore's public authority; what it signed is no signature of an image.
    let TrustedRoot { authorities, witnesses } = trusted(|_| {});
    let subject = Subject::Account {
        issuer: "https://token.actions.githubusercontent.com".to_owned(),
        account: crate::document::Account::Uri("https://github.com/prefix-dev/sigstore-example/.github/workflows/action.yaml@refs/heads/main".to_owned()),
    };
    let root = Root::Fulcio { authorities, subject, witnesses };
    let found = check(data("attestation"), &root, &text).unwrap_err();
    let attestation = SigstoreError::Statement(StatementError::Attestation {
        predicate: "https://schemas.conda.org/attestations-publish-1.schema.json".to_owned(),
    });
    assert_eq!(found, SignatureFault::Sigstore(attestation));
}

/// A workflow's certificate, an entry of Rekor 2, and a timestamp; what is signed is no signature of an image.
#[test]
fn an_entry_of_rekor_2_counts_beside_a_timestamp() {
    let workflow = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/\
                    .github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
    let bundle: Value = serde_json::from_slice(&data("rekor2")).unwrap();
    let fault = |change: fn(&mut Value), witnesses: fn(&mut Value)| {
        let (mut bundle, mut root) =
            (bundle.clone(), serde_json::from_slice(&data("staging")).unwrap());
        change(&mut bundle["verificationMaterial"]);
        witnesses(&mut root);
        let TrustedRoot { authorities, witnesses } =
            TrustedRoot::parse(root.to_string().as_bytes()).unwrap();
        let subject = Subject::Account {
            issuer: "https://token.actions.githubusercontent.com".to_owned(),
            account: crate::document::Account::Uri(workflow.to_owned()),
        };
        let root = Root::Fulcio { authorities, subject, witnesses };
        match check(bundle.to_string().into_bytes(), &root, &manifest()) {
            Err(SignatureFault::Sigstore(fault)) => fault,
            other => panic!("{other:?}"),
        }
    };
    let attestation =
        StatementError::Attestation { predicate: "https://slsa.dev/provenance/v1".to_owned() };
    assert_eq!(fault(|_| {}, |_| {}), SigstoreError::Statement(attestation));
    let untimed = SigstoreError::Log(LogError::Untimed);
    let stamps = |material: &mut Value| material["timestampVerificationData"] = Value::Null;
    assert_eq!(fault(stamps, |_| {}), untimed);
    assert_eq!(fault(|_| {}, |root| root["timestampAuthorities"] = Value::Null), untimed);
    let unproven =
        |material: &mut Value| material["tlogEntries"][0]["inclusionProof"] = Value::Null;
    assert_eq!(fault(unproven, |_| {}), SigstoreError::Log(LogError::NoProof));
    let strange = |root: &mut Value| root["tlogs"] = json!([root["tlogs"][0]]);
    assert_eq!(fault(|_| {}, strange), SigstoreError::Log(LogError::Signature));
}

#[test]
fn a_timestamp_must_be_of_the_authority_over_this_signature_in_its_time() {
    let text = Digest::sha256(&data("key.txt"));
    let clock = |start: &str, end: &str| {
        logged(|root| {
            root["tlogs"] = json!([]);
            root["timestampAuthorities"][0]["validFor"] = json!({"start": start, "end": end});
        })
    };
    let fault = |bundle: Vec<u8>, root: &Root| {
        let found = check(bundle, root, &text).unwrap_err();
        let SignatureFault::Sigstore(SigstoreError::Timestamp(fault)) = found else {
            panic!("{found:?}")
        };
        fault
    };
    let always = clock("2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z");
    let good = data("key");
    check(good.clone(), &always, &text).unwrap();
    for (start, end) in [
        ("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
        ("2026-06-01T00:00:00Z", "2030-01-01T00:00:00Z"),
    ] {
        let found = fault(good.clone(), &clock(start, end));
        assert!(matches!(found, TimestampError::OutOfUse { .. }), "{found}");
        assert!(found.to_string().contains(end), "{found}");
    }
    let mut bundle: Value = serde_json::from_slice(&good).unwrap();
    let tokens = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
    let token = bundle.pointer(tokens).unwrap()[0]["signedTimestamp"].as_str().unwrap();
    let token = STANDARD.decode(token).unwrap();
    set(&mut bundle, tokens, json!([]));
    assert_eq!(fault(bundle.to_string().into_bytes(), &always), TimestampError::Missing);

    // The token counts for the signature that it was made over, and for no other.
    let witnesses = trusted(|_| {}).witnesses;
    let [clock] = &witnesses.clocks[..] else { panic!("one authority") };
    let signature = Bundle::parse(&good).unwrap().content.signature().to_vec();
    let time = clock.time(&token, &signature, now()).unwrap();
    let found = clock.time(&token, b"another", now()).unwrap_err();
    assert!(matches!(found, TimestampError::Token(_)), "{found}");
    let found = clock.time(&token, &signature, time - Duration::from_secs(301)).unwrap_err();
    assert!(matches!(found, TimestampError::Future { .. }), "{found}");
    // A CMS message has parts that nobody signs; none of them moves the time.
    for place in 0..token.len() {
        let mut changed = token.clone();
        changed[place] ^= 1;
        let found = clock.time(&changed, &signature, now());
        assert!(found.as_ref().is_err() || found == Ok(time), "byte {place}: {found:?}");
    }
}

#[test]
fn expired_trust_is_named_with_its_date() {
    const END: &str = "2024-02-03T04:05:06Z";
    let text = Digest::sha256(&data("key.txt"));
    let cause = |bundle: &str, root: &Root| {
        let found = check(data(bundle), root, &text).unwrap_err();
        std::error::Error::source(&found).unwrap().to_string()
    };
    let ended = logged(|root| {
        root["tlogs"][0]["publicKey"]["validFor"]["end"] = json!(END);
    });
    let words = "is of 2025-12-18T17:04:39Z, but the policy's log was in use from \
                 2021-01-12T11:53:27Z until 2024-02-03T04:05:06Z";
    assert_eq!(cause("key", &ended), words);

    let ended = logged(|root| {
        root["tlogs"] = json!([]);
        root["timestampAuthorities"][0]["validFor"]["end"] = json!(END);
    });
    let words = "is of 2025-12-18T17:04:39Z, but the policy's authority was in use from \
                 2025-07-04T00:00:00Z until 2024-02-03T04:05:06Z";
    assert_eq!(cause("key", &ended), words);

    let TrustedRoot { authorities, witnesses } = trusted(|root| {
        root["certificateAuthorities"][1]["validFor"]["end"] = json!(END);
    });
    let root = Root::Fulcio { authorities, subject: account(EMAIL), witnesses };
    let words = "the policy's authority was in use from 2022-04-13T20:06:15Z until \
                 2024-02-03T04:05:06Z, the signature is of 2025-09-01T12:13:59Z";
    assert_eq!(cause("attestation", &root), words);
}

#[test]
fn trusted_roots_that_are_refused() {
    let parsed = |change: fn(&mut Value)| {
        let mut root: Value = serde_json::from_slice(&data("root")).unwrap();
        change(&mut root);
        TrustedRoot::parse(root.to_string().as_bytes()).map(|_| ()).unwrap_err()
    };
    type Row = (fn(&mut Value), fn(&TrustedRootError) -> bool);
    let rows: [Row; 10] = [
        (
            |root| root["mediaType"] = json!("application/json"),
            |error| matches!(error, TrustedRootError::MediaType { .. }),
        ),
        (|root| root["more"] = json!(1), |error| matches!(error, TrustedRootError::Json(_))),
        (
            |root| root["tlogs"][0]["hashAlgorithm"] = json!("SHA2_512"),
            |error| matches!(error, TrustedRootError::Json(_)),
        ),
        (
            |root| root["tlogs"][0]["publicKey"]["rawBytes"] = json!("YQ=="),
            |error| matches!(error, TrustedRootError::Key { .. }),
        ),
        (
            |root| root["tlogs"][0]["logId"]["keyId"] = json!("YQ=="),
            |error| matches!(error, TrustedRootError::Json(_)),
        ),
        (
            |root| root["tlogs"][0]["publicKey"]["validFor"] = json!({"start": "soon"}),
            |error| matches!(error, TrustedRootError::Json(_)),
        ),
        (
            |root| root["certificateAuthorities"][0]["certChain"]["certificates"] = json!([]),
            |error| matches!(error, TrustedRootError::Certificate { .. }),
        ),
        (
            |root| root["timestampAuthorities"][0]["certChain"]["certificates"] = json!([]),
            |error| matches!(error, TrustedRootError::Certificate { .. }),
        ),
        (
            |root| root["tlogs"] = json!(vec![Value::Null; 513]),
            |error| matches!(error, TrustedRootError::TooMany { .. }),
        ),
        (
            |root| {
                root["tlogs"] = json!([]);
                root["timestampAuthorities"] = json!([]);
            },
            |error| matches!(error, TrustedRootError::NoWitness),
        ),
    ];
    for (number, (change, expected)) in rows.into_iter().enumerate() {
        let found = parsed(change);
        assert!(expected(&found), "row {number}: {found:?}");
    }
}
