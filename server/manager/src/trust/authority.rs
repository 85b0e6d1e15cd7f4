use krakend_domain::{Digest, FleetName};
use krakend_proto::join::SERVER_NAME;
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
    SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::GroupSecret;

const ROLE_PREFIX: &str = "krakend-cluster:";

/// What a certificate of this group proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertifiedRole {
    Manager(Uuid),
    /// With the fleet that its join token named.
    Node(Uuid, FleetName),
}

/// The group's certificate authority. Every manager with the same secret derives the same key and, because
/// P-256 signatures are made deterministically (RFC 6979), the very same certificate: that is what join tokens pin.
pub struct Authority {
    issuer: Issuer<'static, CaKey>,
    certificate: Certificate,
}

/// A leaf certificate with its key.
pub struct Leaf {
    /// The leaf, then the authority.
    pub chain_pem: String,
    pub key_pem: zeroize::Zeroizing<String>,
}

struct CaKey {
    key: SigningKey,
    public: Vec<u8>,
}

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for CaKey {
    fn sign(&self, msg: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = self.key.sign(msg);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

impl Authority {
    pub fn derive(secret: &GroupSecret) -> Result<Self, rcgen::Error> {
        let key = (0u8..=255)
            .find_map(|attempt| {
                let bytes = secret.derive("ca-key", &[attempt]);
                SigningKey::from_slice(bytes.as_ref()).ok()
            })
            .ok_or(rcgen::Error::KeyGenerationUnavailable)?;
        let public = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        let key = CaKey { key, public };
        let params = authority_params();
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
        })
    }

    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// What join tokens pin: the SHA-256 of the authority's certificate in DER.
    pub fn fingerprint(&self) -> Digest {
        Digest(Sha256::digest(self.certificate.der()).into())
    }

    /// A fresh key and certificate for this manager's run.
    pub fn issue_manager(&self, id: Uuid) -> Result<Leaf, rcgen::Error> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let params = leaf_params(&format!("{ROLE_PREFIX}manager:{id}"), id)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf {
            chain_pem: format!("{}{}", certificate.pem(), self.certificate.pem()),
            key_pem: key.serialize_pem().into(),
        })
    }

    /// Whether a request could be signed.
    pub fn check_request(csr_pem: &str) -> Result<(), rcgen::Error> {
        CertificateSigningRequestParams::from_pem(csr_pem).map(drop)
    }

    /// Certifies a node's key. Whatever names the request asks for are ignored.
    pub fn issue_node(
        &self,
        id: Uuid,
        fleet: &FleetName,
        csr_pem: &str,
    ) -> Result<String, rcgen::Error> {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem)?;
        request.params = leaf_params(&format!("{ROLE_PREFIX}node:{id}:{fleet}"), id)?;
        let certificate = request.signed_by(&self.issuer)?;
        Ok(format!("{}{}", certificate.pem(), self.certificate.pem()))
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "KrakenD Cluster Manager group CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Everything is fixed, so that every manager makes the same bytes.
    params.serial_number = Some(SerialNumber::from(1u64));
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params
}

fn leaf_params(role: &str, id: Uuid) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, id.to_string());
    params.subject_alt_names = vec![SanType::URI(role.try_into()?)];
    if role.starts_with(&format!("{ROLE_PREFIX}manager:")) {
        params
            .subject_alt_names
            .push(SanType::DnsName(SERVER_NAME.try_into()?));
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    params
        .extended_key_usages
        .push(ExtendedKeyUsagePurpose::ClientAuth);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    Ok(params)
}

/// Reads the role from a leaf whose chain TLS has already verified.
pub fn role_of(leaf_der: &[u8]) -> Result<CertifiedRole, String> {
    let (_, certificate) = X509Certificate::from_der(leaf_der)
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    let names =
        certificate
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => Some(names),
                _ => None,
            });
    let names = names.map(|names| names.general_names.as_slice());
    for name in names.unwrap_or_default() {
        let GeneralName::URI(uri) = name else {
            continue;
        };
        let Some((role, id)) = uri
            .strip_prefix(ROLE_PREFIX)
            .and_then(|rest| rest.split_once(':'))
        else {
            continue;
        };
        let (id, fleet) = id.split_once(':').unwrap_or((id, "default"));
        let id = Uuid::parse_str(id).map_err(|_| format!("{uri} names no id"))?;
        return match role {
            "manager" => Ok(CertifiedRole::Manager(id)),
            "node" => match fleet.parse() {
                Ok(fleet) => Ok(CertifiedRole::Node(id, fleet)),
                Err(_) => Err(format!("{uri} names no fleet")),
            },
            other => Err(format!("the role {other} is unknown")),
        };
    }
    Err("the certificate names no role of this group".into())
}
