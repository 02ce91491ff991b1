//! Namespaces with a policy of their own, in front of one containerd.

use pullgate_tests::pullgated::policy;
use pullgate_tests::sample;
use pullgate_tests::signer::Signer;
use pullgate_tests::version::Version;
use tonic::Code;

use crate::broken::check;
use crate::scene::{NAME, Scene};

const REJECTED: &str = "SignatureValidationFailed: ";

#[tokio::test]
async fn one_image_is_refused_where_the_namespace_is_strict() {
    let scene = Scene::open(Version::V1_6).await;
    sample::tiny("any").store(&scene.registry, "any", "v1");
    let image = format!("{NAME}/any:v1");
    let cri = scene.gate.cri().await;
    let release = Signer::new();
    let strict = policy(NAME, &release.public_key());
    scene.gate.set_policy_of("strict", &strict);

    let refused = cri.pull_for("strict", &image).await;
    check(&scene, "any:v1", refused, (Code::Unknown, REJECTED, "SIGNATURE_MISSING"));
    let record = last_record(&scene);
    assert!(record.contains("policies/strict.json"), "{record}");
    assert!(record.contains("NAMESPACE=\"strict\""), "{record}");
    assert_eq!(scene.dump().await, "", "a refused image left something behind");

    for lax in ["lax", "strict-not", ""] {
        cri.pull_for(lax, &image).await.expect("the node's policy accepts everything");
        assert!(last_record(&scene).contains("/policy.json"), "{}", last_record(&scene));
    }
    cri.pull(&image).await.expect("no pod: the node's policy");
    let again = cri.pull_for("strict", &image).await;
    check(&scene, "any:v1", again, (Code::Unknown, REJECTED, "SIGNATURE_MISSING"));

    for name in ["../policy", "..", "/etc", "Strict", "strict\0"] {
        let answer = cri.pull_for(name, &image).await;
        let expected = (Code::InvalidArgument, "no name of a namespace", "NAMESPACE_INVALID");
        check(&scene, "any:v1", answer, expected);
    }

    scene.gate.set_policy_of("strict", "{");
    let broken = cri.pull_for("strict", &image).await;
    check(&scene, "any:v1", broken, (Code::Unknown, "policies/strict.json", "POLICY_UNUSABLE"));
    cri.pull_for("lax", &image).await.expect("other namespaces are not concerned");
}

fn last_record(scene: &Scene) -> String {
    let log = scene.gate.log();
    let record = log.lines().rfind(|line| line.contains("PULL_ID="));
    record.expect("a record").to_owned()
}
