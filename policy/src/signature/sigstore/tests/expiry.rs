//! Certificates that are not valid are named with their dates.

use rcgen::DnType;

use super::*;

/// What counts: for Fulcio the moment at which the log recorded the signature, for an own PKI now.
const LOGGED: &str = "2023-11-14T22:13:20Z";
const NOW: &str = "2027-01-15T08:00:00Z";

/// Each is valid from the second of January of its year until the fourth of March of the next.
struct Years {
    root: i32,
    between: i32,
    leaf: i32,
}

const fn years(root: i32, between: i32, leaf: i32) -> Years {
    Years { root, between, leaf }
}

fn dated(mut parameters: CertificateParams, year: i32) -> CertificateParams {
    parameters.not_before = rcgen::date_time_ymd(year, 1, 2);
    parameters.not_after = rcgen::date_time_ymd(year + 1, 3, 4);
    parameters
}

fn authority(name: &str, year: i32) -> CertificateParams {
    let mut parameters = CertificateParams::new([]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, name);
    dated(parameters, year)
}

/// What is wrong with the certificate, by an authority of its own or by Fulcio.
fn fault(Years { root, between, leaf }: Years, own: bool) -> Option<String> {
    let key = || KeyPair::generate().unwrap();
    let root = CertifiedIssuer::self_signed(authority("root", root), key()).unwrap();
    let between = CertifiedIssuer::signed_by(authority("between", between), key(), &root).unwrap();
    let mut bench = Bench::new();
    let leaf = dated(Bench::leaf(), leaf).signed_by(&bench.signer, &between).unwrap();
    bench.certificate = leaf.pem();
    let between = between.pem();
    let authorities = Authorities::parse(root.pem().as_bytes(), Some(between.as_bytes())).unwrap();
    let root = if own {
        let subject = Subject::Named { email: Some(EMAIL.to_owned()), hostname: None };
        Root::Pki { authorities, subject }
    } else {
        let (subject, witnesses) = (account(EMAIL), bench.witnesses());
        Root::Fulcio { authorities: vec![authorities], subject, witnesses }
    };
    let found = check(&bench.attachment(&bench.certificate, 1_700_000_000), &root).err()?;
    let SignatureFault::Sigstore(SigstoreError::Certificate(error)) = found else {
        panic!("{found:?}");
    };
    Some(error.to_string())
}

#[test]
fn certificates_that_are_not_valid_are_named_with_their_dates() {
    for (years, own, at, expected) in [
        (years(2023, 2023, 2023), false, LOGGED, ""),
        (years(2026, 2026, 2026), true, NOW, ""),
        (years(2023, 2023, 2021), false, LOGGED, "ended at 2022-03-04T00:00:00Z, what counts is"),
        (years(2023, 2023, 2024), false, LOGGED, "begins at 2024-01-02T00:00:00Z, what counts is"),
        (years(2023, 2021, 2023), false, LOGGED, "ended at 2022-03-04T00:00:00Z, what counts is"),
        (years(2026, 2026, 2024), true, NOW, "ended at 2025-03-04T00:00:00Z, what counts is"),
    ] {
        let expected = Some(format!("{expected} {at}")).filter(|_| !expected.is_empty());
        assert_eq!(fault(years, own), expected);
    }
    for (years, own, at, valid) in [
        (
            years(2021, 2023, 2023),
            false,
            LOGGED,
            "from 2021-01-02T00:00:00Z until 2022-03-04T00:00:00Z",
        ),
        (
            years(2024, 2026, 2026),
            true,
            NOW,
            "from 2024-01-02T00:00:00Z until 2025-03-04T00:00:00Z",
        ),
    ] {
        let words =
            format!("no root of the policy is valid for signing at {at}; they are valid {valid}");
        assert_eq!(fault(years, own), Some(words));
    }
}
