use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::SigningKey;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::*;

const NOW: u64 = 1_800_000_000_000;

fn license() -> License {
    License {
        claims: Claims {
            subscriber: "Acme".into(),
            level: "business".into(),
            max_nodes: 7,
            features: vec!["rollouts".into()],
            not_before_ms: NOW - 1_000,
            expires_ms: NOW + 1_000_000,
            grace_days: Some(1),
        },
        group: None,
    }
}

fn hs256(byte: u8) -> (IssuerKey, LicenseKey) {
    let key = Zeroizing::new(vec![byte; 32]);
    (IssuerKey::Hs256(key.clone()), LicenseKey::Hs256(key))
}

fn eddsa(byte: u8) -> (IssuerKey, LicenseKey) {
    let key = SigningKey::from_bytes(&[byte; 32]);
    let public = LicenseKey::EdDsa(key.verifying_key());
    (IssuerKey::EdDsa(key), public)
}

fn at_now(keys: &[LicenseKey], token: &str) -> Result<License, LicenseError> {
    verify(keys, token, NOW, &Groups::default())
}

fn part(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

#[test]
fn what_is_issued_verifies_with_both_algorithms_and_says_the_same() {
    for (issuer, verifier) in [hs256(7), eddsa(7)] {
        let token = license().issue(&issuer).expect("a token");
        assert_eq!(token.split('.').count(), 3);
        assert_eq!(at_now(&[verifier], &format!("\n{token} \n")), Ok(license()));
    }
}

#[test]
fn one_of_several_keys_is_enough() {
    let token = license().issue(&eddsa(2).0).expect("a token");
    let keys = [hs256(9).1, eddsa(1).1, eddsa(2).1];
    assert_eq!(at_now(&keys, &token), Ok(license()));
    assert_eq!(at_now(&keys[..2], &token), Err(LicenseError::Signature));
}

/// The example of RFC 7515, A.1, with its key: the signature is that of the standard, the claims are not ours.
#[test]
fn the_standards_own_example_verifies_as_far_as_its_signature() {
    let key =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let key = URL_SAFE_NO_PAD.decode(key).expect("base64url");
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let keys = [LicenseKey::Hs256(Zeroizing::new(key))];
    let refused = at_now(&keys, token).expect_err("no licence");
    assert!(matches!(refused, LicenseError::Claims(_)), "{refused}");
    let other = at_now(&[hs256(1).1], token);
    assert_eq!(other, Err(LicenseError::Signature));
}

#[test]
fn what_is_wrong_is_refused_by_name_and_says_what_to_do() {
    let (issuer, verifier) = eddsa(3);
    let LicenseKey::EdDsa(public) = &verifier else {
        unreachable!()
    };
    let good = license().issue(&issuer).expect("a token");
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let (_, body) = signed.split_once('.').expect("two parts");
    // The classic confusion: the public key as an HMAC key.
    let confused = IssuerKey::Hs256(Zeroizing::new(public.as_bytes().to_vec()));
    let confused = license().issue(&confused).expect("a token");
    let changed = license();
    let body_of = |change: &dyn Fn(&mut License)| {
        let mut license = changed.clone();
        change(&mut license);
        license.issue(&issuer).expect("a token")
    };
    let group = Uuid::from_u128(5);
    let stretched =
        part(r#"{"sub":"Acme","level":"business","max_nodes":7000,"nbf":0,"exp":4000000000}"#);
    let table: [(&str, String, &str, &str); 17] = [
        (
            "another key",
            license().issue(&eddsa(4).0).expect("a token"),
            "license-signature",
            "license_key_file",
        ),
        (
            "none",
            format!("{}.{body}.", part(r#"{"alg":"none"}"#)),
            "license-algorithm",
            "EdDSA",
        ),
        (
            "none, with a signature",
            format!("{}.{body}.{signature}", part(r#"{"alg":"none"}"#)),
            "license-algorithm",
            "none",
        ),
        (
            "None",
            format!("{}.{body}.{signature}", part(r#"{"alg":"None"}"#)),
            "license-algorithm",
            "None",
        ),
        (
            "no algorithm",
            format!("{}.{body}.{signature}", part("{}")),
            "license-malformed",
            "exactly",
        ),
        (
            "two algorithms",
            format!(
                "{}.{body}.{signature}",
                part(r#"{"alg":"none","alg":"EdDSA"}"#)
            ),
            "license-malformed",
            "exactly",
        ),
        (
            "HS256 with the public key",
            confused,
            "license-algorithm",
            "HS256",
        ),
        (
            "an unknown extension",
            format!(
                "{}.{body}.{signature}",
                part(r#"{"alg":"EdDSA","crit":["b64"]}"#)
            ),
            "license-claims",
            "crit",
        ),
        (
            "other claims under the signature",
            format!(
                "{}.{stretched}.{signature}",
                part(r#"{"alg":"EdDSA","typ":"JWT"}"#)
            ),
            "license-signature",
            "exactly",
        ),
        (
            "no signature",
            format!("{signed}."),
            "license-signature",
            "exactly",
        ),
        (
            "two parts",
            signed.to_owned(),
            "license-malformed",
            "exactly",
        ),
        (
            "four parts",
            format!("{good}.{signature}"),
            "license-malformed",
            "exactly",
        ),
        (
            "padding",
            format!("{good}=="),
            "license-malformed",
            "exactly",
        ),
        (
            "not yet valid",
            body_of(&|it| it.claims.not_before_ms = NOW + 1_000),
            "license-not-yet-valid",
            "install it then",
        ),
        (
            "expired",
            body_of(&|it| {
                it.claims.not_before_ms = 0;
                it.claims.expires_ms = NOW
            }),
            "license-expired",
            "newer",
        ),
        (
            "another group",
            body_of(&|it| it.group = Some(Uuid::from_u128(6).to_string())),
            "license-other-group",
            "this group",
        ),
        (
            "too long",
            format!("{good}{}", "A".repeat(20_000)),
            "license-malformed",
            "exactly",
        ),
    ];
    let groups = Groups {
        is: Some(group),
        was: vec![],
    };
    let keys = [verifier];
    assert_eq!(verify(&keys, &good, NOW, &groups), Ok(license()));
    for (name, token, kind, says) in table {
        let refused = verify(&keys, &token, NOW, &groups).expect_err(name);
        assert_eq!(refused.kind(), kind, "{name}: {refused}");
        let text = refused.to_string();
        assert!(text.contains(says), "{name}: {text}");
    }
}

#[test]
fn a_license_ends_and_begins_at_the_millisecond() {
    let (issuer, verifier) = hs256(7);
    let token = license().issue(&issuer).expect("a token");
    let keys = [verifier];
    let at = |now_ms| verify(&keys, &token, now_ms, &Groups::default()).map(drop);
    let (from, until) = (license().claims.not_before_ms, license().claims.expires_ms);
    assert!(matches!(at(from - 1), Err(LicenseError::NotYetValid(_))));
    assert_eq!(at(from), Ok(()));
    assert_eq!(at(until - 1), Ok(()));
    assert!(matches!(at(until), Err(LicenseError::Expired(_))));
}

#[test]
fn a_license_for_a_group_follows_it_through_a_restore() {
    let (issuer, verifier) = hs256(7);
    let (old, new) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let bound = License {
        group: Some(old.to_string()),
        ..license()
    };
    let token = bound.issue(&issuer).expect("a token");
    assert_eq!(named_group(&token), Some(old.to_string()));
    let keys = [verifier];
    let restored = Groups {
        is: Some(new),
        was: vec![old],
    };
    assert_eq!(verify(&keys, &token, NOW, &restored), Ok(bound));
    let stranger = Groups {
        is: Some(new),
        was: vec![],
    };
    let refused = verify(&keys, &token, NOW, &stranger).expect_err("another group");
    assert!(refused.to_string().contains(&new.to_string()), "{refused}");
    assert!(verify(&keys, &token, NOW, &Groups::default()).is_err());
}

#[test]
fn claims_without_bounds_are_not_issued_and_not_taken() {
    let (issuer, verifier) = hs256(7);
    type Change = fn(&mut License);
    let changes: [Change; 5] = [
        |it| it.claims.subscriber = String::new(),
        |it| it.claims.level = "a\nb".into(),
        |it| it.claims.features = vec!["f".into(); 65],
        |it| it.claims.expires_ms = it.claims.not_before_ms,
        |it| it.claims.grace_days = Some(4_000),
    ];
    for change in changes {
        let mut license = license();
        change(&mut license);
        assert!(matches!(
            license.issue(&issuer),
            Err(LicenseError::Claims(_))
        ));
    }
    // By somebody who has the key and another tool.
    for body in [
        r#"{"sub":"A","level":"b","max_nodes":-1,"nbf":0,"exp":1}"#,
        r#"{"sub":"A","level":"b","max_nodes":1,"nbf":0,"exp":18446744073709551615}"#,
        r#"{"sub":"A","level":"b","max_nodes":1,"nbf":0,"exp":99999999999999999999}"#,
        r#"{"sub":"A","level":"b","max_nodes":1,"max_nodes":9,"nbf":0,"exp":4000000000}"#,
        "[]",
        "",
    ] {
        let signed = format!("{}.{}", part(r#"{"alg":"HS256"}"#), part(body));
        let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()));
        let refused = at_now(
            std::slice::from_ref(&verifier),
            &format!("{signed}.{signature}"),
        );
        let refused = refused.expect_err(body);
        assert!(
            matches!(refused, LicenseError::Claims(_)),
            "{body}: {refused}"
        );
    }
}

#[test]
fn key_files_say_what_they_hold_and_managers_refuse_a_private_key() {
    let dir = tempfile::tempdir().expect("a directory");
    for algorithm in [Algorithm::Eddsa, Algorithm::Hs256] {
        let path = dir.path().join(format!("{algorithm:?}"));
        let (_, line) = IssuerKey::create(&path, algorithm).expect("a key");
        assert!(IssuerKey::create(&path, algorithm).is_err(), "it exists");
        let issuer = IssuerKey::read(&path).expect("read again");
        let keys = LicenseKey::parse_all(&format!("# issuer\n\n{line}\n")).expect("keys");
        let token = license().issue(&issuer).expect("a token");
        assert_eq!(at_now(&keys, &token), Ok(license()));
        let as_manager = LicenseKey::read_all(&path);
        match algorithm {
            Algorithm::Eddsa => {
                let text = as_manager.err().expect("refused").to_string();
                assert!(text.contains("private"), "{text}");
            }
            Algorithm::Hs256 => assert!(as_manager.is_ok()),
        }
    }
    for bad in [
        "",
        "hs256:00",
        "ed25519:00",
        "rsa:00",
        "hs256:zz",
        "ed25519:é",
    ] {
        assert!(LicenseKey::parse_all(bad).is_err(), "{bad:?}");
    }
    // The neutral element: every signature of it would verify.
    let weak = format!("ed25519:01{}", "00".repeat(31));
    assert!(LicenseKey::parse_all(&weak).is_err());
}

/// SplitMix64.
fn next(seed: &mut u64) -> usize {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as usize
}

type Mutation = fn(&mut Vec<u8>, &mut u64);

const MUTATIONS: [(&str, Mutation); 8] = [
    ("flip a bit", |text, seed| {
        let at = next(seed) % text.len();
        text[at] ^= 1 << (next(seed) % 8);
    }),
    ("another letter", |text, seed| {
        let at = next(seed) % text.len();
        text[at] = b"ABCXYZabcxyz0189-_.=+/{}\" \n"[next(seed) % 27];
    }),
    ("cut", |text, seed| text.truncate(next(seed) % text.len())),
    ("drop a letter", |text, seed| {
        text.remove(next(seed) % text.len());
    }),
    ("add a letter", |text, seed| {
        text.insert(next(seed) % text.len(), b"A.=z"[next(seed) % 4]);
    }),
    ("swap two letters", |text, seed| {
        let (a, b) = (next(seed) % text.len(), next(seed) % text.len());
        text.swap(a, b);
    }),
    ("double a stretch", |text, seed| {
        let at = next(seed) % text.len();
        let stretch = text[at..(at + 40).min(text.len())].to_vec();
        text.splice(at..at, stretch);
    }),
    ("swap two parts", |text, seed| {
        let mut parts: Vec<_> = text.split(|it| *it == b'.').map(<[u8]>::to_vec).collect();
        let count = parts.len();
        let (a, b) = (next(seed) % count, next(seed) % count);
        parts.swap(a, b);
        *text = parts.join(&b'.');
    }),
];

/// `KRAKEND_LICENSE_FUZZ` is the number of tokens, `KRAKEND_LICENSE_SEED` the first seed.
#[test]
fn no_changed_license_is_ever_taken_and_none_panics() {
    let number = |name: &str, default: u64| {
        let set = std::env::var(name).ok();
        set.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let first = number("KRAKEND_LICENSE_SEED", 1);
    let count = number("KRAKEND_LICENSE_FUZZ", 20_000);
    println!("seeds {first} to {}", first + count);
    let issuers = [hs256(7), eddsa(7)];
    let tokens: Vec<_> = issuers
        .iter()
        .map(|(issuer, _)| license().issue(issuer).expect("a token"))
        .collect();
    let keys: Vec<_> = issuers.iter().map(|(_, key)| key.clone()).collect();
    let mut refused = std::collections::BTreeMap::<_, usize>::new();
    for at in 0..count {
        let mut seed = first + at;
        let token = &tokens[next(&mut seed) % 2];
        let mut text = token.clone().into_bytes();
        let mut names = Vec::new();
        for _ in 0..=next(&mut seed) % 3 {
            if text.is_empty() {
                break;
            }
            let (name, mutate) = MUTATIONS[next(&mut seed) % MUTATIONS.len()];
            mutate(&mut text, &mut seed);
            names.push(name);
        }
        let Ok(text) = String::from_utf8(text) else {
            continue;
        };
        if text.trim() == *token {
            continue;
        }
        match at_now(&keys, &text) {
            Ok(_) => panic!("seed {}: {names:?} was taken: {text}", first + at),
            Err(error) => *refused.entry(error.kind()).or_default() += 1,
        }
    }
    // The mutations reach every stage that comes before the claims.
    for kind in [
        "license-malformed",
        "license-algorithm",
        "license-signature",
    ] {
        assert!(refused.contains_key(kind) || count < 1_000, "{refused:?}");
    }
}
