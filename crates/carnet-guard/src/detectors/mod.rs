//! The detectors, one file each. Each is asked at one byte, and says how surely something of its kind is there.

pub(crate) mod api_key;
pub(crate) mod aws_access_key;
pub(crate) mod email_address;
pub(crate) mod github_token;
pub(crate) mod iban;
pub(crate) mod ip_address;
pub(crate) mod json_web_token;
pub(crate) mod payment_card;
pub(crate) mod phone_number;
pub(crate) mod private_key;
pub(crate) mod slack_token;
pub(crate) mod us_ssn;
