//! The address of a server that a model is called at.

use reqwest::Url;

use super::resolved::ModelError;

/// Reads an API base: an address without any secret in it.
pub(super) fn parse_base(text: &str) -> Result<Url, ModelError> {
    let bad = |reason: &str| ModelError::BadApiBase {
        url: text.to_owned(),
        reason: reason.to_owned(),
    };
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(bad("it must be an http or https address"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        // The text itself is not repeated: what stands there may be a secret.
        let url = url.origin().ascii_serialization();
        let reason = "it must not hold a user, a query or a fragment; keys come from the environment".to_owned();
        return Err(ModelError::BadApiBase { url, reason });
    }
    Ok(url)
}

/// Whether a URL leads to this machine.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Whether a URL leads to a machine nearby, whose servers often take no key.
pub(super) fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let private = host
        .parse::<std::net::Ipv4Addr>()
        .is_ok_and(|address| address.is_private() || address.is_link_local());
    is_loopback(url) || private || host.ends_with(".local") || !host.contains(['.', ':'])
}
