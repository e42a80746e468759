//! A handshake of TLS in a few words.

use sockshim_format::line::Duration;
use sockshim_reader::model::Tls;

/// `TLS 1.3`, and `localhost, offered h2 http/1.1, handshake 12.3ms`: whom for, which protocol, how long it took.
pub fn words(tls: &Tls) -> (String, String) {
    let version = tls.version_name().unwrap_or_else(|| "TLS".to_owned());
    let protocol = match (&tls.next_protocol, tls.offered.as_slice()) {
        (Some(agreed), _) => Some(agreed.clone()),
        (None, []) => None,
        (None, offered) => Some(format!("offered {}", offered.join(" "))),
    };
    let took = match tls.duration_ns() {
        Some(duration_ns) => format!("handshake {}", Duration(duration_ns)),
        None => "no end of the handshake seen".to_owned(),
    };
    let words: Vec<String> = tls.server_name.clone().into_iter().chain(protocol).chain([took]).collect();
    (version, words.join(", "))
}
