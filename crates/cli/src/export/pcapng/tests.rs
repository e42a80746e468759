use crate::export::tests::exported;

/// The blocks of a file, which has to consist of whole ones: what kind, and what stands in it.
fn blocks(file: &[u8]) -> Vec<(u32, &[u8])> {
    let mut blocks = Vec::new();
    let mut left = file;
    while !left.is_empty() {
        let len = u32_at(left, 4) as usize;
        assert_eq!((len % 4, u32_at(left, len - 4) as usize), (0, len));
        blocks.push((u32_at(left, 0), &left[8..len - 4]));
        left = &left[len..];
    }
    blocks
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn a_file_is_whole_blocks_in_the_order_of_the_format() {
    let file = exported("pcapng", false);
    let kinds: Vec<u32> = blocks(&file).iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds[0], 0x0a0d_0d0a);
    let place = |kind: u32| kinds.iter().position(|other| *other == kind).unwrap();
    assert!(place(1) < place(6) && place(6) < place(5), "{kinds:?}");
}

#[test]
fn lost_calls_are_dropped_packets() {
    let file = exported("pcapng", false);
    let statistics = blocks(&file).into_iter().filter(|(kind, _)| *kind == 5).map(|(_, body)| body);
    // Received, then dropped, each an option of 8 bytes behind 12 of interface and time.
    let (mut received, mut dropped) = (0, 0);
    for body in statistics {
        assert_eq!((u32_at(body, 12), u32_at(body, 24)), (8 << 16 | 4, 8 << 16 | 5));
        received += u32_at(body, 16);
        dropped += u32_at(body, 28);
    }
    let packets = blocks(&file).iter().filter(|(kind, _)| *kind == 6).count();
    assert_eq!((received as usize, dropped), (packets, 3));
}

#[test]
fn another_parser_finds_the_same_packets() {
    let file = exported("pcapng", false);
    let mut packets = 0;
    for (_, body) in blocks(&file).into_iter().filter(|(kind, _)| *kind == 6) {
        let (kept, len) = (u32_at(body, 12) as usize, u32_at(body, 16) as usize);
        let packet = &body[20..20 + kept];
        let headers = etherparse::LaxPacketHeaders::from_ip(packet).unwrap();
        assert!(headers.stop_err.is_none(), "{headers:?}");
        let (net, transport) = (headers.net.unwrap(), headers.transport.unwrap());
        let payload = &packet[net.header_len() + transport.header_len()..];
        let told = match &net {
            etherparse::NetHeaders::Ipv4(ip, _) => usize::from(ip.total_len),
            etherparse::NetHeaders::Ipv6(ip, _) => 40 + usize::from(ip.payload_length),
            other => panic!("{other:?}"),
        };
        assert_eq!(told, len);
        if kept == len {
            let mut again = transport.clone();
            match &net {
                etherparse::NetHeaders::Ipv4(ip, _) => again.update_checksum_ipv4(ip, payload).unwrap(),
                etherparse::NetHeaders::Ipv6(ip, _) => again.update_checksum_ipv6(ip, payload).unwrap(),
                other => panic!("{other:?}"),
            }
            assert_eq!(again, transport);
        }
        packets += 1;
    }
    assert!(packets > 3, "{packets}");
}

/// What stands in the options that begin at `at`: code and value.
fn options(body: &[u8], mut at: usize) -> Vec<(u16, &[u8])> {
    let mut options = Vec::new();
    while u32_at(body, at) != 0 {
        let (code, len) = (u32_at(body, at) as u16, (u32_at(body, at) >> 16) as usize);
        options.push((code, &body[at + 4..at + 4 + len]));
        at += 4 + len.next_multiple_of(4);
    }
    options
}

#[test]
fn a_packet_says_when_to_the_nanosecond_and_which_thread() {
    let file = exported("pcapng", false);
    let of_kind = |kind: u32| blocks(&file).into_iter().filter(move |(other, _)| *other == kind).map(|(_, body)| body);
    let (mut threads, mut calls) = (std::collections::BTreeSet::new(), Vec::new());
    for body in of_kind(6) {
        let options = options(body, 20 + (u32_at(body, 12) as usize).next_multiple_of(4));
        let value = |code: u16| options.iter().find(|(other, _)| *other == code).map(|(_, value)| *value);
        let thread = value(8).unwrap();
        threads.insert((u32_at(thread, 0), u32_at(thread, 4)));
        calls.extend(value(1).map(String::from_utf8_lossy));
        // The calls of this trace begin 500 ns after a full second, and take 2.
        let time = u64::from(u32_at(body, 4)) << 32 | u64::from(u32_at(body, 8));
        assert!((500..1000).contains(&(time - 1_700_000_000_000_000_000)), "{time}");
    }
    assert_eq!(Vec::from_iter(threads), [(10, 10), (20, 21)]);
    // What follows from a call, as the rest of a handshake does, has none of its own.
    assert!(calls.iter().any(|call| call.starts_with("send(3")), "{calls:?}");
    let interfaces: Vec<_> = of_kind(1).map(|body| options(body, 8)).collect();
    let has = |option: (u16, &[u8])| interfaces.iter().any(|options| options.contains(&option));
    assert!(interfaces.iter().all(|options| options.contains(&(9, &[9][..]))), "nanoseconds");
    assert!(has((3, b"client -v two words")), "{interfaces:?}");
}
