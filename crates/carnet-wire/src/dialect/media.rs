//! Addresses that hold the bytes themselves.

use crate::form::MediaSource;
use crate::json::{Object, Text};

/// What an address says: the bytes themselves, or where they are.
pub(crate) fn source_of_url(url: Text<'_>) -> MediaSource<'_> {
    match url.split_behind("data:", ";base64,") {
        Some((media_type, data)) => MediaSource::Base64 { media_type, data },
        None => MediaSource::Url(url),
    }
}

/// Writes an address that holds the bytes.
pub(crate) fn write_data_url(
    key: &str,
    media_type: &Text<'_>,
    data: &Text<'_>,
    object: &mut Object<'_>,
) {
    let out = object.key(key);
    out.extend_from_slice(b"\"data:");
    out.extend_from_slice(media_type.token().as_bytes());
    out.extend_from_slice(b";base64,");
    out.extend_from_slice(data.token().as_bytes());
    out.push(b'"');
}
