//! Addresses that hold the bytes themselves.

use crate::form::{LossCode, Losses, Media, MediaSource};
use crate::json::{Object, Text};

/// What an address says: the bytes themselves, or where they are.
pub(crate) fn source_of_url(url: Text<'_>) -> MediaSource<'_> {
    match url.split_behind("data:", ";base64,") {
        Some((media_type, data)) => MediaSource::Base64 { media_type, data },
        None => MediaSource::Url(url),
    }
}

/// The name that a file gets which has none, where the dialect asks for one with the bytes.
pub(crate) fn name_of_unnamed(media_type: &Text<'_>) -> String {
    let media_type = media_type.plain();
    let kind = media_type.rsplit('/').next().unwrap_or_default();
    let plain = kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match kind {
        "plain" => "document.txt".to_owned(),
        "markdown" => "document.md".to_owned(),
        _ if plain && !kind.is_empty() => format!("document.{kind}"),
        _ => "document".to_owned(),
    }
}

/// Names the loss of a medium's name, where there is no place for one.
pub(crate) fn lose_name(media: &Media<'_>, losses: &mut Losses) {
    if media.name.is_some() {
        losses.add_at(LossCode::UnknownMember, "filename");
    }
}

/// Names the loss of how closely it is to be looked at, unless that is left to the service.
pub(crate) fn lose_detail(media: &Media<'_>, losses: &mut Losses) {
    let detail = media.detail.as_ref();
    if detail.is_some_and(|detail| detail.token() != "auto") {
        losses.add(LossCode::ImageDetail);
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
