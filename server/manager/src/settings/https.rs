use std::path::PathBuf;

use serde::Deserialize;

use super::{Partial, SettingsError};

/// Whether HTTPS is spoken without a certificate of the operator's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum HttpsMode {
    #[default]
    Off,
    Auto,
}

/// What the port of web interface and API speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Https {
    Off,
    /// With a certificate that the group's authority signs.
    Made,
    Files {
        certificate: PathBuf,
        key: PathBuf,
    },
}

impl Https {
    pub fn is_on(&self) -> bool {
        *self != Self::Off
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Off => "http",
            _ => "https",
        }
    }
}

pub(super) fn resolve(given: &Partial) -> Result<Https, SettingsError> {
    let files = (&given.https_certificate_file, &given.https_key_file);
    match (files, given.https.unwrap_or_default()) {
        ((Some(certificate), Some(key)), _) => Ok(Https::Files {
            certificate: certificate.clone(),
            key: key.clone(),
        }),
        ((None, None), HttpsMode::Auto) => Ok(Https::Made),
        ((None, None), HttpsMode::Off) => Ok(Https::Off),
        ((Some(certificate), None), _) => Err(SettingsError::Value {
            key: "https_certificate_file",
            value: certificate.display().to_string(),
            reason: "it needs `https_key_file`, too".into(),
        }),
        ((None, Some(key)), _) => Err(SettingsError::Value {
            key: "https_key_file",
            value: key.display().to_string(),
            reason: "it needs `https_certificate_file`, too".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_needs_its_key_and_wins_over_a_made_one() {
        let mut given = Partial::default();
        assert_eq!(resolve(&given).expect("off"), Https::Off);
        given.https = Some(HttpsMode::Auto);
        assert_eq!(resolve(&given).expect("made"), Https::Made);
        given.https_certificate_file = Some("/c".into());
        let error = resolve(&given).expect_err("half");
        assert!(error.to_string().contains("https_key_file"), "{error}");
        given.https_key_file = Some("/k".into());
        assert!(matches!(resolve(&given), Ok(Https::Files { .. })));
    }
}
