//! The public keys of an issuer: a JSON Web Key Set (RFC 7517), and signatures checked with it.

use aws_lc_rs::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::limits::ISSUER_KEYS_MAX;

/// How a token is signed, by the names of RFC 7518 and RFC 8037. Only what needs no shared secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
}

impl Algorithm {
    /// All of them, by the words that tokens and the configuration have for them.
    pub const ALL: [(&str, Self); 9] = [
        ("EdDSA", Self::EdDsa),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
    ];

    /// The one of this name. `Ed25519` is what RFC 9864 calls the only `EdDSA` that is read here.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = if name == "Ed25519" { "EdDSA" } else { name };
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, algorithm)| *algorithm)
    }
}

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeySet(Vec<PublicKey>);

#[derive(Debug, PartialEq, Eq)]
struct PublicKey {
    id: Option<Box<str>>,
    /// The one algorithm that it is for, where the set says so.
    only: Option<Algorithm>,
    material: Material,
}

#[derive(Debug, PartialEq, Eq)]
enum Material {
    Ed25519(Vec<u8>),
    /// The point, uncompressed.
    P256(Vec<u8>),
    P384(Vec<u8>),
    /// Modulus and exponent, big-endian.
    Rsa(Vec<u8>, Vec<u8>),
}

/// Why no key says that a signature is the issuer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unverified {
    /// No key of this name is there, or more than one.
    NoKey,
    /// The key of this name is for other algorithms.
    OtherKind,
    /// The signature is of somebody else, or of other bytes.
    Wrong,
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<Box<str>>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl KeySet {
    /// Read a set. What is in it that signs nothing we accept is left out, as RFC 7517 wants in section 5.
    ///
    /// # Errors
    /// What is wrong, when it is no set, has too many keys or none of use.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let raw: RawSet =
            serde_json::from_slice(bytes).map_err(|_| "it is not a set of JSON Web Keys")?;
        if raw.keys.len() > ISSUER_KEYS_MAX {
            return Err("it has more keys than are read");
        }
        let keys = raw.keys.into_iter().filter_map(|key| {
            let key: RawKey = serde_json::from_value(key).ok()?;
            key.public()
        });
        let keys: Vec<PublicKey> = keys.collect();
        if keys.is_empty() {
            return Err("it has no public key for signatures");
        }
        Ok(Self(keys))
    }

    /// Check a signature with the key of this id. Without one in the token only a key will do beside which no
    /// other fits.
    pub(crate) fn verify(
        &self,
        (algorithm, id): (Algorithm, Option<&str>),
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), Unverified> {
        let fits = |key: &&PublicKey| {
            key.material.takes(algorithm)
                && key.only.is_none_or(|only| only == algorithm)
                && id.is_none_or(|id| key.id.as_deref() == Some(id))
        };
        let mut fitting = self.0.iter().filter(fits);
        let named = |key: &PublicKey| id.is_some() && key.id.as_deref() == id;
        let key = fitting.next().ok_or_else(|| {
            if self.0.iter().any(named) {
                Unverified::OtherKind
            } else {
                Unverified::NoKey
            }
        })?;
        // Two of one name could be two signers.
        if fitting.next().is_some() {
            return Err(Unverified::NoKey);
        }
        key.material.verify(algorithm, signed, signature)
    }
}

impl RawKey {
    fn public(self) -> Option<PublicKey> {
        let bytes = |text: &Option<String>| BASE64_URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
        let signs = self
            .purpose
            .as_deref()
            .is_none_or(|purpose| purpose == "sig")
            && self
                .key_ops
                .as_ref()
                .is_none_or(|operations| operations.iter().any(|one| one == "verify"));
        let only = match &self.alg {
            Some(name) => Some(Algorithm::named(name)?),
            None => None,
        };
        let point = |length: usize| {
            let (x, y) = (bytes(&self.x)?, bytes(&self.y)?);
            let whole = x.len() == length && y.len() == length;
            whole.then(|| [&[0x04][..], &x, &y].concat())
        };
        let material = match (&*self.kty, self.crv.as_deref()) {
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            ("OKP", Some("Ed25519")) => {
                Material::Ed25519(bytes(&self.x).filter(|x| x.len() == 32)?)
            }
            ("RSA", _) => Material::Rsa(
                without_zeros(bytes(&self.n)?),
                without_zeros(bytes(&self.e)?),
            ),
            _ => return None,
        };
        let fits = only.is_none_or(|only| material.takes(only));
        (signs && fits).then_some(PublicKey {
            id: self.kid,
            only,
            material,
        })
    }
}

/// Some issuers write numbers with a zero before them.
fn without_zeros(mut bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    bytes
}

impl Material {
    fn takes(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match self {
            Self::Ed25519(_) => algorithm == EdDsa,
            Self::P256(_) => algorithm == Es256,
            Self::P384(_) => algorithm == Es384,
            Self::Rsa(..) => matches!(algorithm, Ps256 | Ps384 | Ps512 | Rs256 | Rs384 | Rs512),
        }
    }

    /// INVARIANT: the key decides the kind of cryptography, so that no key is taken for one of another kind.
    fn verify(
        &self,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), Unverified> {
        let plain = |with: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(with, key).verify(signed, signature)
        };
        let verified = match self {
            Self::Ed25519(key) => plain(&signature::ED25519, key),
            Self::P256(key) => plain(&signature::ECDSA_P256_SHA256_FIXED, key),
            Self::P384(key) => plain(&signature::ECDSA_P384_SHA384_FIXED, key),
            Self::Rsa(n, e) => {
                let with = rsa(algorithm).ok_or(Unverified::OtherKind)?;
                RsaPublicKeyComponents { n, e }.verify(with, signed, signature)
            }
        };
        verified.map_err(|_| Unverified::Wrong)
    }
}

/// Keys of 2048 to 8192 bits; shorter ones are refused.
fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::EdDsa | Algorithm::Es256 | Algorithm::Es384 => None,
    }
}
