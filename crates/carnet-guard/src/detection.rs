//! What is found: kinds, classes and how often.

/// What something in a text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A key for the APIs of model services and others that begin theirs with `sk-`.
    ApiKey,
    /// The id of a long-term AWS access key.
    AwsAccessKey,
    /// An e-mail address.
    EmailAddress,
    /// A token of GitHub.
    GithubToken,
    /// An international bank account number (ISO 13616).
    Iban,
    /// An address of IP version 4.
    IpAddress,
    /// A signed JSON Web Token (RFC 7519).
    JsonWebToken,
    /// The number of a payment card (ISO/IEC 7812).
    PaymentCard,
    /// A telephone number in international form (ITU-T E.123).
    PhoneNumber,
    /// A private key in PEM.
    PrivateKey,
    /// A token of Slack.
    SlackToken,
    /// A social security number of the United States.
    UsSsn,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::ApiKey,
        Self::AwsAccessKey,
        Self::EmailAddress,
        Self::GithubToken,
        Self::Iban,
        Self::IpAddress,
        Self::JsonWebToken,
        Self::PaymentCard,
        Self::PhoneNumber,
        Self::PrivateKey,
        Self::SlackToken,
        Self::UsSsn,
    ];

    /// The word for it in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api-key",
            Self::AwsAccessKey => "aws-access-key",
            Self::EmailAddress => "email-address",
            Self::GithubToken => "github-token",
            Self::Iban => "iban",
            Self::IpAddress => "ip-address",
            Self::JsonWebToken => "json-web-token",
            Self::PaymentCard => "payment-card",
            Self::PhoneNumber => "phone-number",
            Self::PrivateKey => "private-key",
            Self::SlackToken => "slack-token",
            Self::UsSsn => "us-ssn",
        }
    }

    /// What policies see it as.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::EmailAddress
            | Self::Iban
            | Self::IpAddress
            | Self::PaymentCard
            | Self::PhoneNumber
            | Self::UsSsn => Class::PersonalData,
            Self::ApiKey
            | Self::AwsAccessKey
            | Self::GithubToken
            | Self::JsonWebToken
            | Self::PrivateKey
            | Self::SlackToken => Class::Secret,
        }
    }
}

/// What kind of data it is, for policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// It can tell who a person is.
    PersonalData,
    /// It opens something to whoever has it.
    Secret,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 2] = [Self::PersonalData, Self::Secret];

    /// The word for it in policies.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PersonalData => "personal-data",
            Self::Secret => "secret",
        }
    }
}

/// How sure a detector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Confidence {
    /// It has the shape, as much else has.
    Low,
    /// It keeps the rules of its kind.
    Medium,
    /// Hardly anything else would look like this.
    High,
}

impl Confidence {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The word for it in records and policies.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// How often each kind was found, and how surely. Nothing of the text is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detections {
    counts: [[u32; Confidence::ALL.len()]; Kind::ALL.len()],
    any: bool,
}

impl Detections {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.any
    }

    /// How often a kind was found with exactly this confidence.
    #[must_use]
    pub fn count(&self, kind: Kind, confidence: Confidence) -> u32 {
        let counts = self.counts.get(kind as usize);
        let count = counts.and_then(|counts| counts.get(confidence as usize));
        count.copied().unwrap_or_default()
    }

    /// What was found, by kind, the least sure first.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, Confidence, u32)> {
        let kinds = Kind::ALL.into_iter().filter(|_| self.any);
        kinds.flat_map(move |kind| {
            let all = Confidence::ALL.into_iter();
            let all = all.map(move |confidence| (kind, confidence, self.count(kind, confidence)));
            all.filter(|(_, _, count)| *count > 0)
        })
    }

    /// How surely something of a class was found, if anything was.
    #[must_use]
    pub fn surest(&self, class: Class) -> Option<Confidence> {
        let of_class = self.iter().filter(|(kind, ..)| kind.class() == class);
        of_class.map(|(_, confidence, _)| confidence).max()
    }

    pub(crate) fn add(&mut self, kind: Kind, confidence: Confidence) {
        let counts = self.counts.get_mut(kind as usize);
        if let Some(count) = counts.and_then(|counts| counts.get_mut(confidence as usize)) {
            *count = count.saturating_add(1);
            self.any = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_counted_in_their_own_place() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            for confidence in Confidence::ALL {
                let mut found = Detections::default();
                found.add(kind, confidence);
                let all: Vec<_> = found.iter().collect();
                assert_eq!(all, [(kind, confidence, 1)]);
                assert_eq!(found.surest(kind.class()), Some(confidence));
            }
        }
    }

    #[test]
    fn the_surest_of_a_class_counts() {
        let mut found = Detections::default();
        assert!(found.is_empty());
        found.add(Kind::PhoneNumber, Confidence::Medium);
        found.add(Kind::UsSsn, Confidence::Low);
        assert_eq!(found.surest(Class::PersonalData), Some(Confidence::Medium));
        assert_eq!(found.surest(Class::Secret), None);
    }
}
