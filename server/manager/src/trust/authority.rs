use std::time::Duration;

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
/// Where the authority itself ends: 2120.
const LATEST_MS: u64 = 4_733_510_400_000;

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
    public: CaPublic,
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
    public: CaPublic,
}

#[derive(Clone)]
struct CaPublic(Vec<u8>);

impl PublicKeyData for CaPublic {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public.0
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
        let public = CaPublic(key.verifying_key().to_sec1_point(false).as_bytes().to_vec());
        let key = CaKey {
            key,
            public: public.clone(),
        };
        let params = authority_params();
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            public,
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

    /// A fresh key and certificate for a manager. The chain also leads to `others`, for who trusts one of them only.
    pub fn issue_manager(
        &self,
        id: Uuid,
        others: &[&Self],
        not_after_ms: u64,
    ) -> Result<Leaf, rcgen::Error> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let params = leaf_params(&format!("{ROLE_PREFIX}manager:{id}"), id, not_after_ms)?;
        let mut chain_pem = params.signed_by(&key, &self.issuer)?.pem();
        for other in others {
            chain_pem.push_str(&other.vouch_for(self, not_after_ms)?.pem());
        }
        // The authorities themselves: a join token finds the one that it pins among them.
        for authority in others.iter().chain([&self]) {
            chain_pem.push_str(&authority.certificate.pem());
        }
        Ok(Leaf {
            chain_pem,
            key_pem: key.serialize_pem().into(),
        })
    }

    /// A fresh key and certificate for the web interface under these host names and addresses. It proves no role.
    pub fn issue_web(&self, names: &[String], not_after_ms: u64) -> Result<Leaf, rcgen::Error> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(names)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "KrakenD Cluster Manager");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(1970, 1, 1) + since_1970(not_after_ms);
        let mut chain_pem = params.signed_by(&key, &self.issuer)?.pem();
        chain_pem.push_str(&self.certificate.pem());
        Ok(Leaf {
            chain_pem,
            key_pem: key.serialize_pem().into(),
        })
    }

    /// A certificate of the other authority, signed by this one, for as long as the leaf that needs it.
    fn vouch_for(&self, other: &Self, not_after_ms: u64) -> Result<Certificate, rcgen::Error> {
        let mut params = authority_params();
        params.not_after = date_time_ymd(1970, 1, 1) + since_1970(not_after_ms);
        let both = Sha256::new()
            .chain_update(self.certificate.der())
            .chain_update(other.certificate.der())
            .finalize();
        params.serial_number = Some(SerialNumber::from_slice(&both[..16]));
        params.signed_by(&other.public, &self.issuer)
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
        not_after_ms: u64,
    ) -> Result<String, rcgen::Error> {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem)?;
        request.params = leaf_params(&format!("{ROLE_PREFIX}node:{id}:{fleet}"), id, not_after_ms)?;
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

fn since_1970(ms: u64) -> Duration {
    Duration::from_secs(LATEST_MS.min(ms) / 1000)
}

fn leaf_params(role: &str, id: Uuid, not_after_ms: u64) -> Result<CertificateParams, rcgen::Error> {
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
    // Long ago, so that nobody whose clock is behind takes it for too young.
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(not_after_ms);
    Ok(params)
}

/// When a certificate ends, in milliseconds; 0 for what is none.
pub fn not_after_ms(leaf_der: &[u8]) -> u64 {
    let read = X509Certificate::from_der(leaf_der).ok();
    let end = read.map_or(0, |(_, leaf)| leaf.validity().not_after.timestamp());
    u64::try_from(end).unwrap_or(0).saturating_mul(1000)
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
