//! What curl and OpenSSL said to each other, as it was recorded.

use super::*;

/// curl 7.88 to OpenSSL 3.0, for "localhost"; what follows is 180 bytes of padding.
const CLIENT_HELLO: &str = "\
    1603010200010001fc030331eebbb5e8c475b8e5bb08f8b0434a7df3e085012b397f7080f7fae67589ed33206e6e8635f284\
    4ee8da1b2761145d2a662e0c4412a5bfedede6e9a12733771fe3003e130213031301c02cc030009fcca9cca8ccaac02bc02f\
    009ec024c028006bc023c0270067c00ac0140039c009c0130033009d009c003d003c0035002f00ff010001750000000e000c\
    0000096c6f63616c686f7374000b000403000102000a00160014001d0017001e00190018010001010102010301040010000e\
    000c02683208687474702f312e31001600000017000000310000000d002a0028040305030603080708080809080a080b0804\
    08050806040105010601030303010302040205020602002b0009080304030303020301002d00020101003300260024001d00\
    208c6bcc183e6fecf80c64ee8c5657c96eca19d40dd905e5f5033d61f232e4c078001500b4";
/// The answer, for TLS 1.3; a change of cipher and the first encrypted record come behind it.
const SERVER_HELLO: &str = "\
    160303007a0200007603037e8fe2ce38055b3ab2a7287a83e58487592661e0f13307f15d3c2f6e1828de9b206e6e8635f284\
    4ee8da1b2761145d2a662e0c4412a5bfedede6e9a12733771fe3130200002e002b0002030400330024001d0020aee1ff2a1c\
    6fb07bb4947166c491cfd8ac03adec0ad7319c110b6cd03e05c7311403030001011703030017afdc8a479ca825af9ba2a760\
    217201700427cb9c708a47";
/// The client's last flight: a change of cipher, and "finished", encrypted.
const FINISHED: &str = "\
    140303000101170303004506b8ee0ccb126bda542d529b5b37203c857d5625ed3f7c5b4e6195d02ad558130aea4aa51e74de\
    9a69de8f08540d661b73237d79909adaf0e24feba29018d045c47eec8fbf";
/// curl to nginx 1.22, for no name, for TLS 1.2.
const CLIENT_HELLO_12: &str = "\
    16030100c2010000be03033108f2d1f71d4dc35a78e094591d13d7156f07cf153e4ffebf63cb8c44cd27c7000038c02cc030\
    009fcca9cca8ccaac02bc02f009ec024c028006bc023c0270067c00ac0140039c009c0130033009d009c003d003c0035002f\
    00ff0100005d000b000403000102000a000c000a001d0017001e001900180010000b000908687474702f312e310016000000\
    170000000d002a0028040305030603080708080809080a080b080408050806040105010601030303010302040205020602";
/// The answer. Its certificate, of 423 bytes and 115 and 4, is left out.
const SERVER_HELLO_12: &str = "\
    160303006c0200006803032285f13eaa9cb0b7d4f27f60fce48a912b27258dfef6fde7ae59d39e0ceb32ce20cccd7238e1d9\
    38eb2ffe73d553bdd7b98c0cb9f92ab9b01598152f1ccdefddc2c02c000020ff01000100000b0004030001020010000b0009\
    08687474702f312e3100170000";
/// The client's key, change, and "finished".
const KEYS_12: &str = "\
    1603030025100000212033843cd5453f93b98fdc205b98fc98c592c8e476b607e4c056eb467d93b260511403030001011603\
    030028190eae32b058dcc2cb6e23dd1d8a3571fdbfdbdef4812583d7ca014b6fe73c86617e383b473205e6";
/// The server's.
const FINISHED_12: &str = "\
    1403030001011603030028779725e3d75d25f36349f93f65146ba87388c1af35130b81801ea452f66c540873c3a66cead3de\
    ea";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}

fn client_hello() -> Vec<u8> {
    [bytes(CLIENT_HELLO), vec![0; 180]].concat()
}

/// A connection as it is seen from one end.
#[derive(Default)]
struct Seen {
    tls: Option<Box<Tls>>,
    passed: [u64; 2],
    now_ns: u64,
}

impl Seen {
    /// A call of 10 ns, that begins 100 ns after the last one.
    fn call(&mut self, way: Direction, kept: &[u8], len: usize) {
        self.now_ns += 100;
        let before = self.passed[usize::from(way == Direction::Received)];
        Tls::note(&mut self.tls, way, kept, len as u64, before, (self.now_ns, self.now_ns + 10));
        self.passed[usize::from(way == Direction::Received)] += len as u64;
    }

    fn sent(&mut self, bytes: &[u8]) {
        self.call(Direction::Sent, bytes, bytes.len());
    }

    fn received(&mut self, bytes: &[u8]) {
        self.call(Direction::Received, bytes, bytes.len());
    }

    fn tls(&self) -> &Tls {
        self.tls.as_deref().expect("it is TLS")
    }
}

#[test]
fn a_client_of_tls_1_3_is_through_when_it_has_finished() {
    let mut seen = Seen::default();
    seen.sent(&client_hello());
    // As OpenSSL reads: the head of each record first.
    let answer = bytes(SERVER_HELLO);
    for piece in
        [&answer[..5], &answer[5..127], &answer[127..132], &answer[132..133], &answer[133..138], &answer[138..]]
    {
        seen.received(piece);
    }
    assert_eq!(seen.tls().end_ns, None);
    seen.sent(&bytes(FINISHED));
    let tls = seen.tls().clone();
    assert_eq!((tls.start_ns, tls.end_ns, tls.duration_ns()), (100, Some(810), Some(710)));
    assert_eq!((tls.version_name().as_deref(), tls.protocol()), (Some("TLS 1.3"), Some(("tls", "1.3"))));
    assert_eq!(tls.server_name.as_deref(), Some("localhost"));
    assert_eq!((tls.offered.as_slice(), &tls.next_protocol), (&["h2".to_owned(), "http/1.1".to_owned()][..], &None));
    // What comes later changes nothing.
    seen.received(b"\x16\x03\x03\x00\x04\x02\x00\x00\x00");
    assert_eq!(*seen.tls(), tls);
}

#[test]
fn a_server_of_tls_1_2_is_through_when_both_have_finished() {
    let mut seen = Seen::default();
    seen.received(&bytes(CLIENT_HELLO_12));
    seen.sent(&bytes(SERVER_HELLO_12));
    seen.received(&bytes(KEYS_12));
    assert_eq!(seen.tls().end_ns, None);
    seen.sent(&bytes(FINISHED_12));
    let tls = seen.tls();
    assert_eq!((tls.start_ns, tls.end_ns), (110, Some(410)));
    assert_eq!((tls.version, tls.next_protocol.as_deref(), &tls.server_name), (Some(0x0303), Some("http/1.1"), &None));
}

#[test]
fn pieces_may_be_cut_anywhere() {
    let mut whole = Seen::default();
    whole.sent(&client_hello());
    for at in 1..client_hello().len() {
        let mut seen = Seen::default();
        let (first, second) = (&client_hello()[..at], &client_hello()[at..]);
        seen.sent(first);
        seen.sent(second);
        assert_eq!(*seen.tls(), *whole.tls(), "in two, behind {at}");
    }
}

#[test]
fn of_a_short_preview_the_times_are_told_and_no_names() {
    let mut seen = Seen::default();
    let preview = |bytes: Vec<u8>| (bytes[..32.min(bytes.len())].to_vec(), bytes.len());
    for (way, message) in [
        (Direction::Sent, client_hello()),
        (Direction::Received, bytes(SERVER_HELLO)[..127].to_vec()),
        (Direction::Received, bytes(SERVER_HELLO)[127..].to_vec()),
        (Direction::Sent, bytes(FINISHED)),
    ] {
        let (kept, len) = preview(message);
        seen.call(way, &kept, len);
    }
    let tls = seen.tls();
    // The version stands behind the cut: what stands in front of it would have been wrong.
    assert_eq!((tls.end_ns, &tls.server_name, tls.version), (Some(410), &None, None));
    // Behind a header that was cut away nothing is known.
    let mut seen = Seen::default();
    let both = [client_hello(), bytes(FINISHED)].concat();
    seen.call(Direction::Sent, &both[..32], both.len());
    seen.received(&bytes(SERVER_HELLO));
    seen.sent(&bytes(FINISHED));
    assert_eq!((seen.tls().start_ns, seen.tls().end_ns), (100, None));
}

#[test]
fn tls_may_begin_behind_plain_words() {
    let mut seen = Seen::default();
    seen.sent(b"STARTTLS\r\n");
    seen.received(b"220 go ahead\r\n");
    assert_eq!(seen.tls, None);
    seen.sent(&client_hello());
    seen.received(&bytes(SERVER_HELLO));
    seen.sent(&bytes(FINISHED));
    assert_eq!((seen.tls().start_ns, seen.tls().end_ns), (300, Some(510)));
}

#[test]
fn what_only_looks_like_tls_is_none() {
    for other in [
        &b"\x16"[..],
        b"\x16\x03",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff\x01",
        b"\x16\x03\x01\x00\x04\x0b\x00\x00\x00",
        b"\x16\x02\x01\x00\x04\x01\x00\x00\x00",
    ] {
        let mut seen = Seen::default();
        seen.sent(other);
        seen.sent(b"and something else, of which nobody knows what it is");
        assert_eq!(seen.tls, None, "{other:?}");
    }
    let mut late = Seen { passed: [1 << 20, 0], ..Seen::default() };
    late.sent(&client_hello());
    assert_eq!(late.tls, None);
}

/// Everything that a peer or a damaged file can make of it ends somewhere: no byte makes it panic, or grow.
#[test]
fn any_byte_may_be_another() {
    let conversation = [client_hello(), bytes(SERVER_HELLO), bytes(FINISHED)];
    for message in 0..conversation.len() {
        for at in 0..conversation[message].len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut seen = Seen::default();
                for (number, bytes) in conversation.iter().enumerate() {
                    let mut bytes = bytes.clone();
                    if number == message {
                        bytes[at] = value;
                    }
                    let way = if number == 1 { Direction::Received } else { Direction::Sent };
                    seen.call(way, &bytes, bytes.len());
                }
                let Some(tls) = &seen.tls else { continue };
                assert!(tls.offered.len() <= 8 && tls.server_name.iter().all(|name| name.is_ascii()));
            }
        }
    }
    // A record that claims to be long and never ends.
    let mut seen = Seen::default();
    seen.sent(b"\x16\x03\x01\x40\x00\x01");
    for _ in 0..100 {
        seen.sent(&[0; 1000]);
    }
    assert!(seen.tls.is_some_and(|tls| tls.sides.is_none()));
}
