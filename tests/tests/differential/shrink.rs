//! Makes a case smaller while what it shows stays.

use serde_json::Value;

use crate::plan::{Attached, Change, Plan, Signature, Signer};

/// The smallest plan that still shows what `shows` looks for: no single step below makes it smaller.
pub(crate) async fn smallest(plan: Plan, mut shows: impl AsyncFnMut(&Plan) -> bool) -> Plan {
    let mut smallest = plan;
    'again: loop {
        for smaller in smaller(&smallest) {
            if shows(&smaller).await {
                smallest = smaller;
                continue 'again;
            }
        }
        return smallest;
    }
}

/// Every plan that is one step smaller; large steps first.
fn smaller(plan: &Plan) -> Vec<Plan> {
    let mut found = Vec::new();
    let mut step = |change: &dyn Fn(&mut Plan)| {
        let mut next = plan.clone();
        change(&mut next);
        if next != *plan {
            found.push(next);
        }
    };
    step(&|next| next.signatures.clear());
    step(&|next| next.scopes.clear());
    step(&|next| next.files.clear());
    step(&|next| next.slip = None);
    for place in 0..plan.signatures.len() {
        step(&|next| drop(next.signatures.remove(place)));
    }
    for place in 0..plan.scopes.len() {
        step(&|next| drop(next.scopes.remove(place)));
    }
    for list in 0..=plan.scopes.len() {
        for place in 0..requirements(&mut plan.clone(), list).len() {
            step(&|next| {
                let list = requirements(next, list);
                if list.len() > 1 {
                    list.remove(place);
                }
            });
        }
    }
    for file in 0..plan.files.len() {
        step(&|next| drop(next.files.remove(file)));
        for section in 0..plan.files[file].len() {
            step(&|next| drop(next.files[file].remove(section)));
            for line in 0..plan.files[file][section].lines.len() {
                step(&|next| drop(next.files[file][section].lines.remove(line)));
            }
        }
    }
    for list in 0..=plan.scopes.len() {
        for place in 0..requirements(&mut plan.clone(), list).len() {
            step(&|next| requirements(next, list)[place] = accept_anything());
            step(&|next| plain_requirement(&mut requirements(next, list)[place]));
            step(&|next| one_key(&mut requirements(next, list)[place]));
        }
    }
    for place in 0..plan.signatures.len() {
        step(&|next| next.signatures[place].change = Change::None);
        step(&|next| next.signatures[place].other_digest = false);
        step(&|next| "@NAME@:@TAG@".clone_into(&mut next.signatures[place].claim));
        step(&|next| plain_attachment(&mut next.signatures[place]));
    }
    step(&|next| next.by_digest = false);
    step(&|next| next.host = "@HOST@");
    step(&|next| next.tag = "v1");
    step(&|next| {
        let first = next.repository.split('/').next().unwrap_or_default().to_owned();
        next.repository = format!("{first}/app");
    });
    found
}

/// The requirements of a scope, or the default ones after the last.
fn requirements(plan: &mut Plan, list: usize) -> &mut Vec<Value> {
    match plan.scopes.get_mut(list) {
        Some((_, requirements)) => requirements,
        None => &mut plan.default,
    }
}

fn accept_anything() -> Value {
    serde_json::json!({"type": "insecureAcceptAnything"})
}

fn plain_requirement(requirement: &mut Value) {
    if let Some(members) = requirement.as_object_mut() {
        members.remove("signedIdentity");
    }
}

/// Lists of keys with the first key only.
fn one_key(requirement: &mut Value) {
    for value in requirement.as_object_mut().into_iter().flat_map(|members| members.values_mut()) {
        if let Some(list) = value.as_array_mut() {
            list.truncate(1);
        }
    }
}

fn plain_attachment(signature: &mut Signature) {
    match &mut signature.by {
        Signer::OpenPgp(_) => {}
        Signer::Certificate { attached, .. } | Signer::Sigstore { attached, .. } => {
            *attached = Attached { other_media_type: false, without: None, ..*attached };
        }
    }
}
