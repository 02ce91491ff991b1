//! What logs and authorities have to say for a bundle.

use super::*;

#[test]
fn a_logged_signature_of_somebody_else_is_none() {
    let bench = Bench::new();
    let forger = Bench { signer: KeyPair::generate().unwrap(), ..Bench::new() };
    let forged = Bench {
        certificate: bench.certificate.clone(),
        log: KeyPair::from_pem(&bench.log.serialize_pem()).unwrap(),
        ..forger
    };
    for bundle in
        [Recipe::by_certificate(&forged).signed(), Recipe::by_certificate(&forged).message()]
    {
        assert_eq!(fault(&bundle, &bench.fulcio()), SigstoreError::Signature);
    }
    for bundle in [Recipe::by_key(&forged).signed(), Recipe::by_key(&forged).message()] {
        assert_eq!(fault(&bundle, &bench.logged_key()), SigstoreError::Signature);
    }
}

#[test]
fn the_log_must_have_recorded_this_signature_by_this_signer() {
    use SigstoreError::Log;
    let (bench, other) = (Bench::new(), Bench::new());
    let entry = "/verificationMaterial/tlogEntries/0";
    let honest = Recipe::by_certificate(&bench);
    let body = |bundle: &Value| bundle.pointer(entry).unwrap().clone();
    let stranger = Recipe { recorded: other.certificate.clone(), ..Recipe::by_certificate(&bench) };
    let future = Recipe { time: 1_800_000_301, ..Recipe::by_certificate(&bench) };
    let early = Recipe { time: -1, ..Recipe::by_certificate(&bench) };
    let elsewhere = Recipe { payload: statement(SIGN, "00"), ..Recipe::by_certificate(&bench) };
    let differs = |what| LogError::Differs { what };
    // Each entry is whole and signed by the log: it is another entry.
    for (entry_of, expected) in [
        (stranger.signed(), differs("key or certificate")),
        (honest.signed(), differs("signature")),
        (elsewhere.signed(), differs("signature")),
        (honest.message(), LogError::kind("hashedrekord 0.0.1", Kind::Dsse)),
        (future.signed(), LogError::Time),
        (early.signed(), LogError::Time),
    ] {
        let mut bundle = honest.signed();
        let mut entry_of = body(&entry_of);
        if expected == LogError::Time || expected == differs("key or certificate") {
            // The very signature that the entry records.
            let recorded = entry_of["canonicalizedBody"].as_str().unwrap();
            let recorded: Value =
                serde_json::from_slice(&STANDARD.decode(recorded).unwrap()).unwrap();
            let signature = recorded["spec"]["signatures"][0]["signature"].clone();
            set(&mut bundle, "/dsseEnvelope/signatures/0/sig", signature);
        }
        set(&mut bundle, entry, entry_of.take());
        assert_eq!(fault(&bundle, &bench.fulcio()), Log(expected));
    }
    let mut bundle = honest.signed();
    set(&mut bundle, "/verificationMaterial/tlogEntries", json!([]));
    assert_eq!(fault(&bundle, &bench.fulcio()), Log(LogError::Missing));
    bundle = honest.signed();
    set(&mut bundle, &format!("{entry}/kindVersion/kind"), json!("intoto"));
    assert_eq!(fault(&bundle, &bench.fulcio()), Log(LogError::kind("intoto 0.0.1", Kind::Dsse)));

    let foreign = Root::Fulcio {
        authorities: vec![bench.authorities()],
        subject: account(EMAIL),
        witnesses: other.witnesses(),
    };
    assert_eq!(fault(&honest.signed(), &foreign), Log(LogError::Signature));
    // The log's name alone convinces nobody.
    let mut bundle = honest.signed();
    let id = STANDARD.encode(public(&other.log).id());
    set(&mut bundle, &format!("{entry}/logId/keyId"), json!(id));
    bundle.pointer_mut(entry).unwrap().as_object_mut().unwrap().remove("inclusionProof");
    assert_eq!(fault(&bundle, &foreign), Log(LogError::Signature));
}

#[test]
fn a_proof_must_lead_to_a_tree_that_the_log_signed() {
    let (bench, other) = (Bench::new(), Bench::new());
    let proof = "/verificationMaterial/tlogEntries/0/inclusionProof";
    let head = |bundle: &Value, name: &str, size: u64, log: &KeyPair| {
        let root = bundle.pointer(proof).unwrap()["rootHash"].as_str().unwrap();
        json!(checkpoint(log, name, size, &STANDARD.decode(root).unwrap()))
    };
    let good = Recipe::by_key(&bench).signed();
    let zero = encoded(&[0; 32]);
    let spelling = InclusionError::Checkpoint("not in its only spelling".to_owned());
    let text = good.pointer(&format!("{proof}/checkpoint/envelope")).unwrap().as_str().unwrap();
    for (member, value, expected) in [
        ("rootHash", zero.clone(), InclusionError::OtherTree),
        ("treeSize", json!("4"), InclusionError::OtherTree),
        ("hashes/0", zero, InclusionError::Proof(String::new())),
        ("logIndex", json!("0"), InclusionError::Proof(String::new())),
        ("hashes", json!([]), InclusionError::Proof(String::new())),
        (
            "checkpoint/envelope",
            head(&good, "log.example", 4, &bench.log),
            InclusionError::OtherTree,
        ),
        (
            "checkpoint/envelope",
            head(&good, "log.example", 3, &other.log),
            InclusionError::Signature,
        ),
        (
            "checkpoint/envelope",
            head(&good, "other.example", 3, &bench.log),
            InclusionError::Signature,
        ),
        ("checkpoint/envelope", json!(format!("{text}\nmore")), spelling),
        ("checkpoint/envelope", json!("none"), InclusionError::Checkpoint(String::new())),
    ] {
        let mut bundle = good.clone();
        set(&mut bundle, &format!("{proof}/{member}"), value);
        let found = fault(&bundle, &bench.logged_key());
        let SigstoreError::Log(LogError::Inclusion(found)) = found else { panic!("{found:?}") };
        let same = std::mem::discriminant(&found) == std::mem::discriminant(&expected);
        assert!(same, "{member}: {found:?}, expected {expected:?}");
    }
}

#[test]
fn the_certificate_must_be_vouched_for_when_the_log_recorded_it() {
    let (bench, other) = (Bench::new(), Bench::new());
    let bundle = Recipe::by_certificate(&bench).signed();
    let root = |authorities, subject: &str| Root::Fulcio {
        authorities,
        subject: account(subject),
        witnesses: bench.witnesses(),
    };
    let of = |fault| {
        let SigstoreError::Certificate(error) = fault else { panic!("{fault:?}") };
        error
    };
    let strange = of(fault(&bundle, &root(vec![other.authorities()], EMAIL)));
    assert!(matches!(strange, CertificateError::Chain(_)), "{strange}");
    let named = of(fault(&bundle, &root(vec![bench.authorities()], "other@example.com")));
    assert!(matches!(named, CertificateError::Subject { .. }), "{named}");
    // Of several authorities the one that issued the certificate tells the fault.
    let several = vec![bench.authorities(), other.authorities()];
    let named = of(fault(&bundle, &root(several, "other@example.com")));
    assert!(matches!(named, CertificateError::Subject { .. }), "{named}");
    let several = vec![other.authorities(), bench.authorities()];
    check(&bundle, &root(several, EMAIL)).unwrap();

    let mut ended = CertificateParams::new([]).unwrap();
    ended.not_before = rcgen::date_time_ymd(2020, 1, 1);
    ended.not_after = rcgen::date_time_ymd(2020, 1, 2);
    let ended = ended.signed_by(&bench.signer, &bench.authority).unwrap();
    let recipe = Recipe {
        material: json!({"certificate": {"rawBytes": encoded(ended.der())}}),
        recorded: ended.pem(),
        ..Recipe::by_certificate(&bench)
    };
    let ended = of(fault(&recipe.signed(), &bench.fulcio()));
    let dates = "ended at 2020-01-02T00:00:00Z, what counts is 2023-11-14T22:13:20Z";
    assert_eq!(ended.to_string(), dates);
}

#[test]
fn a_proof_alone_does_not_outlive_its_log() {
    let bench = Bench::new();
    let mut bundle = Recipe::by_key(&bench).signed();
    let entry = bundle.pointer_mut("/verificationMaterial/tlogEntries/0").unwrap();
    entry.as_object_mut().unwrap().remove("inclusionPromise");
    let until = |end: &str| {
        let window = json!({"validFor": {"start": "2020-01-01T00:00:00Z", "end": end}}).to_string();
        let window = crate::strict::json(window.as_bytes()).unwrap();
        let window = Window::parse(&window.root().object().unwrap()).unwrap();
        let logs = vec![Log::new(public(&bench.log), window)];
        let witnesses = Witnesses { logs, clocks: vec![] };
        Root::LoggedKeys { keys: vec![public(&bench.signer)], witnesses }
    };
    check(&bundle, &until("2030-01-01T00:00:00Z")).unwrap();
    let found = fault(&bundle, &until("2024-01-01T00:00:00Z"));
    assert!(matches!(found, SigstoreError::Log(LogError::OutOfUse { .. })), "{found:?}");
}
