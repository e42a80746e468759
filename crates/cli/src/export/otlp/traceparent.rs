//! What an HTTP request says that it is part of: the header `traceparent` of W3C Trace Context.

use super::ids::Place;

/// Headers that are looked at.
const MOST_HEADERS: usize = 256;

/// The span that a request was made in, if these bytes are the beginning of one and hold the header. Bytes that are not
/// there, for fewer were kept, say nothing.
pub fn of_request(payload: &[u8]) -> Option<Place> {
    let mut lines = payload.split(|byte| *byte == b'\n');
    if !is_request_line(lines.next()?) {
        return None;
    }
    for line in lines.take(MOST_HEADERS) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // The body may hold anything.
        if line.is_empty() {
            return None;
        }
        if let Some((name, value)) = line.split_at_checked(b"traceparent:".len())
            && name.eq_ignore_ascii_case(b"traceparent:")
        {
            return place(value.trim_ascii());
        }
    }
    None
}

/// `GET /path HTTP/1.1`
fn is_request_line(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let method = line.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let version = line.len().checked_sub(b" HTTP/1.1".len()).and_then(|at| line.get(at..));
    method > 0 && line.get(method) == Some(&b' ') && version.is_some_and(|version| version.starts_with(b" HTTP/1."))
}

/// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`; later versions may have more behind it.
fn place(value: &[u8]) -> Option<Place> {
    let mut fields = std::str::from_utf8(value).ok()?.split('-');
    let mut field = |len: usize| fields.next().filter(|field| field.len() == len && field.bytes().all(is_hex));
    let (version, trace, span, _flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    let place = Place { trace: u128::from_str_radix(trace, 16).ok()?, span: u64::from_str_radix(span, 16).ok()? };
    let known = version == "00" && fields.next().is_none() || version > "00" && version != "ff";
    (known && place.trace != 0 && place.span != 0).then_some(place)
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn found(request: &str) -> bool {
        let place = Place { trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, span: 0x00f0_67aa_0ba9_02b7 };
        of_request(request.as_bytes()).inspect(|found| assert_eq!(*found, place)).is_some()
    }

    #[test]
    fn a_request_tells_what_it_is_part_of() {
        assert!(found(&format!("GET /a?b HTTP/1.1\r\nHost: x\r\nTraceParent:  {VALUE} \r\n\r\n")));
        assert!(found(&format!("POST / HTTP/1.0\ntraceparent: {VALUE}")));
        assert!(found(&format!("GET / HTTP/1.1\r\ntraceparent: {}-more\r\n\r\n", VALUE.replacen("00", "01", 1))));
    }

    #[test]
    fn what_is_no_request_or_no_such_header_tells_nothing() {
        let header = |value: &str| format!("GET / HTTP/1.1\r\ntraceparent: {value}\r\n\r\n");
        for request in [
            String::new(),
            format!("HTTP/1.1 200 OK\r\ntraceparent: {VALUE}\r\n\r\n"),
            format!("get / HTTP/1.1\r\ntraceparent: {VALUE}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\n\r\ntraceparent: {VALUE}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nx-traceparent: {VALUE}\r\n\r\n"),
            format!("GET / HTTP/2\r\ntraceparent: {VALUE}\r\n\r\n"),
            header(&VALUE[..50]),
            header(&VALUE.to_uppercase()),
            header(&format!("{VALUE}-more")),
            header(&VALUE.replacen("00", "ff", 1)),
            header("00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
            header("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"),
        ] {
            assert!(!found(&request), "{request}");
        }
    }
}
