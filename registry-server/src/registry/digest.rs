//! Digests: the names of content, and the hashing that proves them.
//!
//! Only registered algorithms (OCI image specification, "Registered algorithms") are known: `sha256` and `sha512`.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256, Sha512, digest::common::hazmat::SerializableState};
use snafu::Snafu;

/// A registered digest algorithm.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::EnumIter,
)]
#[strum(serialize_all = "lowercase")]
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256, the canonical one: what a client that says nothing means.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// How many hexadecimal digits its digests have.
    #[must_use]
    pub fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    /// Begins hashing.
    #[must_use]
    pub fn hasher(self) -> Hasher {
        match self {
            Self::Sha256 => Hasher::Sha256(Sha256::new()),
            Self::Sha512 => Hasher::Sha512(Box::new(Sha512::new())),
        }
    }

    /// The digest of `content`.
    #[must_use]
    pub fn digest(self, content: &[u8]) -> Digest {
        let mut hasher = self.hasher();
        hasher.update(content);
        hasher.finish()
    }
}

/// The digest of some content, as `sha256:` and 64 lowercase hexadecimal digits. Nothing else is one, so it is safe as part of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

/// Why a digest was refused.
#[derive(Debug, Clone, PartialEq, Eq, Snafu)]
pub enum InvalidDigest {
    /// There is no colon between algorithm and digits.
    #[snafu(display("a digest looks like sha256:<64 hexadecimal digits>"))]
    Format,
    /// The algorithm is not one we can verify.
    #[snafu(display("the digest algorithm is not supported, use sha256 or sha512"))]
    Unsupported,
    /// The wrong number of digits for the algorithm.
    #[snafu(display("a {algorithm} digest has {} hexadecimal digits", algorithm.hex_length()))]
    Length {
        /// Of which algorithm.
        algorithm: Algorithm,
    },
    /// Something other than `0-9a-f`.
    #[snafu(display("a digest has only the digits 0-9 and a-f"))]
    Digits,
}

impl Digest {
    /// A digest of its two halves.
    ///
    /// # Errors
    /// [`InvalidDigest`], when `hex` has not exactly the digits of `algorithm`.
    pub fn new(algorithm: Algorithm, hex: &str) -> Result<Self, InvalidDigest> {
        if hex.len() != algorithm.hex_length() {
            return LengthSnafu { algorithm }.fail();
        }
        if !hex
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return DigitsSnafu.fail();
        }
        Ok(Self {
            algorithm,
            hex: hex.to_owned(),
        })
    }

    /// With which algorithm it was made.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The digits, lowercase.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, hex) = text.split_once(':').ok_or(InvalidDigest::Format)?;
        let algorithm = algorithm.parse().map_err(|_| InvalidDigest::Unsupported)?;
        Self::new(algorithm, hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Hashing in progress. Can be written down and taken up again elsewhere, so that an upload is hashed once, whoever receives it.
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-512. Boxed: it is twice as large.
    Sha512(Box<Sha512>),
}

/// A written-down [`Hasher`] that cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq, Snafu)]
#[snafu(display("the saved state of a {algorithm} hash is damaged"))]
pub struct InvalidMidstate {
    algorithm: Algorithm,
}

impl Hasher {
    /// Takes in more content.
    pub fn update(&mut self, content: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(content),
            Self::Sha512(hasher) => hasher.update(content),
        }
    }

    /// Which algorithm this is.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The digest of all content taken in.
    #[must_use]
    pub fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        let hex = match self {
            Self::Sha256(hasher) => hex::encode(hasher.finalize()),
            Self::Sha512(hasher) => hex::encode(hasher.finalize()),
        };
        Digest { algorithm, hex }
    }

    /// Writes the state down, in hexadecimal.
    #[must_use]
    pub fn save(&self) -> String {
        match self {
            Self::Sha256(hasher) => hex::encode(hasher.serialize()),
            Self::Sha512(hasher) => hex::encode(hasher.serialize()),
        }
    }

    /// Takes up where [`Hasher::save`] left off.
    ///
    /// # Errors
    /// [`InvalidMidstate`], when `saved` is not what `save` wrote for this algorithm.
    pub fn restore(algorithm: Algorithm, saved: &str) -> Result<Self, InvalidMidstate> {
        let damaged = || InvalidMidstate { algorithm };
        let bytes = hex::decode(saved).map_err(|_| damaged())?;
        match algorithm {
            Algorithm::Sha256 => {
                let state = bytes.as_slice().try_into().map_err(|_| damaged())?;
                Sha256::deserialize(state)
                    .map(Self::Sha256)
                    .map_err(|_| damaged())
            }
            Algorithm::Sha512 => {
                let state = bytes.as_slice().try_into().map_err(|_| damaged())?;
                Sha512::deserialize(state)
                    .map(|hasher| Self::Sha512(Box::new(hasher)))
                    .map_err(|_| damaged())
            }
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(&self.algorithm()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use strum::IntoEnumIterator;

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        assert_eq!(Algorithm::Sha256.digest(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().unwrap().to_string(), EMPTY);
    }

    #[rstest]
    #[case("", InvalidDigest::Format)]
    #[case("sha256", InvalidDigest::Format)]
    #[case("md5:d41d8cd98f00b204e9800998ecf8427e", InvalidDigest::Unsupported)]
    #[case(
        "SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        InvalidDigest::Unsupported
    )]
    #[case("sha256:", InvalidDigest::Length { algorithm: Algorithm::Sha256 })]
    #[case("sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", InvalidDigest::Length { algorithm: Algorithm::Sha512 })]
    #[case(
        "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        InvalidDigest::Digits
    )]
    #[case(
        "sha256:../../../../../../../../../../../../../../../../../xxxxxxxxxxxxx",
        InvalidDigest::Digits
    )]
    fn what_is_no_digest_is_refused(#[case] text: &str, #[case] why: InvalidDigest) {
        assert_eq!(text.parse::<Digest>(), Err(why));
    }

    #[test]
    fn a_damaged_midstate_is_refused() {
        assert!(Hasher::restore(Algorithm::Sha256, "00").is_err());
        assert!(Hasher::restore(Algorithm::Sha256, "zz").is_err());
        assert!(Hasher::restore(Algorithm::Sha256, &Algorithm::Sha512.hasher().save()).is_err());
    }

    proptest! {
        #[test]
        fn hashing_can_be_interrupted_anywhere(content in proptest::collection::vec(any::<u8>(), 0..400), cut in 0_usize..400) {
            let (head, tail) = content.split_at(cut.min(content.len()));
            for algorithm in Algorithm::iter() {
                let mut first = algorithm.hasher();
                first.update(head);
                let mut second = Hasher::restore(algorithm, &first.save()).unwrap();
                second.update(tail);
                prop_assert_eq!(second.finish(), algorithm.digest(&content));
            }
        }

        #[test]
        fn no_input_breaks_the_parser_and_what_is_accepted_is_unchanged(text in "(sha256|sha512|.{0,5}):?.{0,130}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
