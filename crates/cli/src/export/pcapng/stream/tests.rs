use super::super::blocks::Blocks;
use super::*;

/// A packet: which end, flags, sequence number, acknowledgement, bytes of payload, and what of them was kept.
type Seen = (usize, u8, u32, u32, usize, Vec<u8>);

const PORTS: [u16; 2] = [5000, 80];

/// Runs a story, and takes its packets apart again.
fn told(known: [bool; 2], begun: bool, story: impl FnOnce(&mut Stream, &mut Wire<'_>) -> io::Result<()>) -> Vec<Seen> {
    let addresses = PORTS.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let mut stream = Stream::new(addresses, known, !begun);
    let (mut out, mut blocks, mut packets, mut scratch) = (Vec::new(), Blocks::default(), vec![0], Vec::new());
    let mut wire =
        Wire { out: &mut out, blocks: &mut blocks, time_ns: 1, packets: &mut packets, scratch: &mut scratch };
    story(&mut stream, &mut wire).unwrap();
    let mut seen = Vec::new();
    let mut left = &out[..];
    let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    while !left.is_empty() {
        let (block, rest) = left.split_at(u32_at(left, 4) as usize);
        let packet = &block[28..28 + u32_at(block, 20) as usize];
        let tcp = &packet[20..];
        let big = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
        let from = PORTS.iter().position(|port| *port == u16::from_be_bytes([tcp[0], tcp[1]])).unwrap();
        let head = usize::from(tcp[12] >> 4) * 4;
        let len = u32_at(block, 24) as usize - 20 - head;
        seen.push((from, tcp[13], big(4), big(8), len, tcp[head..].to_vec()));
        left = rest;
    }
    assert_eq!(packets, [seen.len() as u64]);
    seen
}

fn teller(end: usize) -> Teller {
    Teller { end, ..Teller::default() }
}

const S: u8 = flag::SYN;
const A: u8 = flag::ACK;
const SA: u8 = S | A;
const PA: u8 = flag::PSH | A;
const FA: u8 = flag::FIN | A;
const RA: u8 = flag::RST | A;

#[test]
fn a_peer_that_is_not_known_answers_at_once() {
    let seen = told([true, false], true, |stream, wire| {
        let us = &mut teller(0);
        stream.connect(us, wire)?;
        stream.establish(us, wire)?;
        stream.send(b"hello", 5, us, wire)?;
        stream.receive(b"hi", 2, us, wire)?;
        stream.end_of_file(us, wire)?;
        stream.close(false, true, us, wire)
    });
    let packet = |end, flags, seq, ack, payload: &[u8]| (end, flags, seq, ack, payload.len(), payload.to_vec());
    let expected: [Seen; 9] = [
        packet(0, S, 0, 0, b""),
        packet(1, SA, 0, 1, b""),
        packet(0, A, 1, 1, b""),
        packet(0, PA, 1, 1, b"hello"),
        packet(1, PA, 1, 6, b"hi"),
        packet(1, FA, 3, 6, b""),
        packet(0, A, 6, 4, b""),
        packet(0, FA, 6, 4, b""),
        packet(1, A, 4, 7, b""),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn of_two_known_ends_the_reader_acknowledges() {
    let seen = told([true; 2], true, |stream, wire| {
        let (us, them) = (&mut teller(0), &mut teller(1));
        stream.connect(us, wire)?;
        // The server's first bytes are there before the client has noticed that it is connected.
        stream.send(b"banner", 6, them, wire)?;
        stream.establish(us, wire)?;
        stream.receive(b"ban", 3, us, wire)?;
        stream.receive(b"ner", 3, us, wire)?;
        // A reader that is told in front of its sender, whose call took long.
        stream.receive(b"ab", 2, them, wire)?;
        stream.send(b"abcd", 4, us, wire)?;
        stream.shut_down(us, wire)?;
        stream.receive(b"cd", 2, them, wire)?;
        stream.end_of_file(them, wire)?;
        stream.end_of_file(them, wire)?;
        stream.close(false, true, them, wire)?;
        stream.close(false, false, us, wire)
    });
    let brief: Vec<_> = seen.iter().map(|(end, flags, seq, ack, len, _)| (*end, *flags, *seq, *ack, *len)).collect();
    let expected = [
        (0, S, 0, 0, 0),
        (1, SA, 0, 1, 0),
        (0, A, 1, 1, 0),
        (1, PA, 1, 1, 6),
        (0, A, 1, 4, 0),
        (0, A, 1, 7, 0),
        (0, PA, 1, 7, 2),
        (0, PA, 3, 7, 2),
        (0, FA, 5, 7, 0),
        (1, A, 7, 5, 0),
        (1, A, 7, 6, 0),
        (1, FA, 7, 6, 0),
        (0, A, 6, 8, 0),
    ];
    assert_eq!(brief, expected);
    assert_eq!((&seen[6].5[..], &seen[7].5[..]), (&b"ab"[..], &b"cd"[..]));
}

#[test]
fn what_the_sender_has_not_kept_the_reader_tells() {
    let seen = told([true; 2], false, |stream, wire| {
        let (us, them) = (&mut teller(0), &mut teller(1));
        stream.send(b"head", 4, us, wire)?;
        // sendfile, and what comes behind it.
        stream.send(b"", 4, us, wire)?;
        stream.send(b"tail", 4, us, wire)?;
        stream.close(false, false, us, wire)?;
        stream.receive(b"headfile", 8, them, wire)?;
        stream.receive(b"tail", 4, them, wire)?;
        stream.end_of_file(them, wire)
    });
    let payload: Vec<u8> = seen.iter().flat_map(|packet| packet.5.clone()).collect();
    assert_eq!(payload, b"headfiletail");
    assert_eq!(seen.iter().map(|packet| packet.1).collect::<Vec<_>>(), [PA, PA, PA, FA, A]);
}

#[test]
fn long_payload_is_cut_into_packets_and_keeps_its_length() {
    let len = 2 * MOST_TCP + 10;
    let seen = told([true, false], false, |stream, wire| {
        let us = &mut teller(0);
        stream.send(&vec![7; MOST_TCP + 3], len as u64, us, wire)?;
        stream.close(true, false, us, wire)?;
        stream.send(b"late", 4, us, wire)
    });
    let lens: Vec<_> =
        seen.iter().map(|(_, flags, seq, _, len, kept)| (*flags, *seq as usize, *len, kept.len())).collect();
    let expected = [
        (A, 1, MOST_TCP, MOST_TCP),
        (A, 1 + MOST_TCP, MOST_TCP, 3),
        (PA, 1 + 2 * MOST_TCP, 10, 0),
        (RA, 1 + len, 0, 0),
    ];
    assert_eq!(lens, expected);
}

#[test]
fn nobody_listens() {
    let seen = told([true, false], true, |stream, wire| {
        let us = &mut teller(0);
        stream.connect(us, wire)?;
        stream.refuse(us, wire)?;
        stream.close(false, false, us, wire)
    });
    let brief: Vec<_> = seen.iter().map(|(end, flags, seq, ack, ..)| (*end, *flags, *seq, *ack)).collect();
    assert_eq!(brief, [(0, S, 0, 0), (1, RA, 0, 1)]);
}
