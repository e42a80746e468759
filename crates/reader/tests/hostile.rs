//! Torn, damaged, foreign and forged files.

mod support;

use sockshim_format::trace::{BLOCK_MAGIC, Block, End};
use sockshim_reader::order::Events;
use sockshim_reader::region::RegionFile;
use sockshim_reader::{Audit, Model, Tail, Trace, TraceWriter, Verdict};
use std::path::Path;
use support::*;

const END: End = End { lost: 0, lost_extensions: 0, wait_status: 0, processes: 1, left_out: 0 };

/// Reads a file to its end through every layer. The events, and how it ended; or the error.
fn read(path: &Path) -> Result<(usize, Tail, u64), String> {
    let mut events = Events::new(Trace::open(path).map_err(|e| e.to_string())?);
    let mut model = Model::new();
    let mut count = 0;
    for event in events.by_ref() {
        model.feed(&event.map_err(|e| e.to_string())?);
        count += 1;
    }
    model.finish(true);
    assert!(model.connections().all(|conn| !conn.closed_first().words().is_empty()));
    Ok((count, events.trace().tail(), events.trace().damaged_bytes()))
}

/// A trace of `blocks` blocks with three calls each, its bytes, and where each block begins.
fn sample(scratch: &Scratch, blocks: u32) -> (Vec<u8>, Vec<usize>) {
    let shim = fixed_region(&scratch.path("region"));
    let mut writer =
        TraceWriter::create(scratch.path("sample"), &[], RegionFile::open(scratch.path("region")).unwrap().header())
            .unwrap()
            .of_the_past();
    let mut starts = Vec::new();
    for i in 0..blocks {
        let mut thread = Thread::new(&shim, 1, 10, i + 1);
        thread.call(sockshim_format::op::Op::Read, 3, 5, |call| call.socket = 7);
        let parts: [(u8, u8, &[u8]); 1] = [(4, 6, &BLOCK_MAGIC.to_le_bytes().repeat(40))];
        thread.call_with(sockshim_format::op::Op::Write, 3, 160, 7, &parts);
        thread.call(sockshim_format::op::Op::Read, 3, 5, |call| call.socket = 7);
        thread.leave_chunk();
        starts.push(writer.bytes() as usize);
        let mut region = RegionFile::open(scratch.path("region")).unwrap();
        while let Some(chunk) = region.next_chunk().unwrap() {
            let mine = chunk.batches().filter(|batch| batch.tid == i + 1);
            mine.for_each(|batch| writer.batch(&batch).unwrap());
        }
        writer.end_pass(u64::from(i)).unwrap();
    }
    starts.push(writer.bytes() as usize);
    writer.finish(&END).unwrap();
    (std::fs::read(scratch.path("sample")).unwrap(), starts)
}

/// Marsaglia's xorshift: enough to stir bytes, and the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn a_torn_tail_loses_the_last_block_only() {
    let scratch = Scratch::new("torn");
    let (bytes, starts) = sample(&scratch, 2);
    let path = scratch.path("cut");
    for cut in 0..=bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let whole = starts.iter().skip(1).filter(|start| **start <= cut).count();
        match read(&path) {
            Err(error) => {
                assert!(cut < starts[0] && error.contains("cut: ") && !error.contains('\n'), "{cut}: {error}")
            }
            Ok((events, tail, damaged)) => {
                assert!(cut >= starts[0]);
                // Zeros at the end of a block are no loss.
                let padding = starts.iter().skip(1).find(|start| (cut + 1..cut + 8).contains(start));
                if let Some(edge) = padding.filter(|_| events == (whole + 1) * 3) {
                    assert!(bytes[cut..*edge].iter().all(|byte| *byte == 0) && tail == Tail::Open, "cut at {cut}");
                    continue;
                }
                assert_eq!((events, damaged), (whole * 3, 0), "cut at {cut}");
                let edge = starts.iter().rev().find(|start| **start <= cut).copied().unwrap();
                match tail {
                    Tail::Ended(_) => assert!(cut >= bytes.len() - 7),
                    Tail::Open => assert_eq!(cut, edge),
                    Tail::Torn { offset, .. } => assert_eq!(offset, edge as u64),
                    Tail::Region { .. } | Tail::Continued => panic!(),
                }
            }
        }
    }
}

#[test]
fn a_damaged_block_loses_itself_only() {
    let scratch = Scratch::new("damaged");
    let (bytes, starts) = sample(&scratch, 4);
    let path = scratch.path("bad");
    for at in starts[1]..starts[2] {
        let mut bad = bytes.clone();
        bad[at] ^= 0x55;
        std::fs::write(&path, &bad).unwrap();
        let (events, tail, damaged) = read(&path).unwrap();
        assert!(matches!(tail, Tail::Ended(_)), "at {at}");
        // What the checksum does not cover are fields of the header that no record depends on, and
        // the kind, by which a block is skipped.
        assert!(matches!(events, 9 | 12), "{events} at {at}");
        assert!(damaged == 0 || damaged == (starts[2] - starts[1]) as u64, "{damaged} at {at}");
        assert!(events == 12 || damaged != 0 || at - starts[1] < Block::SIZE, "at {at}");
    }
    // A hole of zeros, as a crash of the machine leaves it.
    let mut bad = bytes.clone();
    bad[starts[1]..starts[2]].fill(0);
    std::fs::write(&path, &bad).unwrap();
    assert_eq!(read(&path).unwrap().0, 9);
    let mut bad = bytes[..starts[3]].to_vec();
    bad.resize(bytes.len() + 5000, 0);
    std::fs::write(&path, &bad).unwrap();
    let (events, tail, _) = read(&path).unwrap();
    assert_eq!((events, matches!(tail, Tail::Torn { offset, .. } if offset == starts[3] as u64)), (9, true));
}

#[test]
fn no_flipped_bits_make_it_panic() {
    let scratch = Scratch::new("flips");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for name in ["v1.sst", "v1-planes.sst", "v1-region.sst"] {
        let bytes = std::fs::read(golden.join(name)).unwrap();
        let used = bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
        for _ in 0..1000 {
            let mut bad = bytes.clone();
            for _ in 0..1 + random.below(8) {
                bad[random.below(used)] ^= 1 << random.below(8);
            }
            std::fs::write(scratch.path("bad"), &bad).unwrap();
            let _ = read(&scratch.path("bad"));
        }
    }
}

/// Damage that no checksum tells: the records themselves are forged.
#[test]
fn no_forged_records_make_it_panic() {
    let scratch = Scratch::new("forged");
    let mut random = Random(0x1234_5678_9abc_def1);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let bytes = std::fs::read(golden.join("v1.sst")).unwrap();
    let magic = BLOCK_MAGIC.to_le_bytes();
    let start = (0..bytes.len()).step_by(8).find(|at| bytes[*at..].starts_with(&magic)).unwrap();
    for _ in 0..1500 {
        let mut bad = bytes.clone();
        let block = Block::read(&bad[start..]).unwrap();
        let payload = start + Block::SIZE..start + Block::SIZE + block.stored_bytes as usize;
        for _ in 0..1 + random.below(12) {
            let at = payload.start + random.below(payload.len() - 8);
            match random.below(3) {
                0 => bad[at] ^= 1 << random.below(8),
                1 => bad[at..at + 8].fill(random.below(2) as u8 * 255),
                _ => bad[at] = random.below(16) as u8,
            }
        }
        let crc32 = crc32fast::hash(&bad[payload]);
        bad[start..start + Block::SIZE].copy_from_slice(&Block { crc32, ..block }.to_bytes());
        std::fs::write(scratch.path("bad"), &bad).unwrap();
        let _ = read(&scratch.path("bad"));
    }
}

#[test]
fn foreign_files_are_told_in_one_line() {
    let scratch = Scratch::new("foreign");
    let path = scratch.path("file");
    let (sample, _) = sample(&scratch, 1);
    let changed = |at: usize, byte: u8| {
        let mut bytes = sample.clone();
        bytes[at] = byte;
        bytes
    };
    for (bytes, word) in [
        (b"".to_vec(), "empty"),
        (vec![0; 5000], "empty"),
        (b"\x7fELF\x02\x01\x01\0whatever".to_vec(), "not a sockshim trace"),
        (b"so".to_vec(), "ends within its header"),
        (b"sockshmT\x01".to_vec(), "ends within its header"),
        (b"sockshmL\x01\0\0\0\x04\x03\x02\x01".to_vec(), "ends within its header"),
        (changed(8, 2), "version 2 at offset 8"),
        (changed(12, 1), "byte order"),
        (changed(19, 255), "ends within its header"),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.contains(word) && error.contains("file: ") && error.contains("offset"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
    assert!(read(&scratch.path("absent")).unwrap_err().contains("absent: No such file"));
    assert!(read(&scratch.0).is_err());
    let fifo = scratch.path("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Nobody writes into it: to open it would wait for ever.
    for path in [&fifo, Path::new("/dev/zero"), Path::new("-")] {
        let error = read(path).unwrap_err();
        assert!(error.starts_with(path.to_str().unwrap()) && error.contains("cat > copy.sst"), "{error}");
    }
}

/// A file full of block headers that each claim all that follows: the work stays in proportion.
#[test]
fn headers_that_claim_everything_do_not_take_ages() {
    let scratch = Scratch::new("claims");
    let (mut bytes, starts) = sample(&scratch, 1);
    let head = Block::read(&bytes[starts[0]..]).unwrap();
    bytes.truncate(starts[0]);
    let all = 2 << 20;
    while bytes.len() < all {
        let stored = (all - bytes.len() - (Block::SIZE + 16).min(all - bytes.len())) as u32;
        bytes.extend(Block { stored_bytes: stored, raw_bytes: stored, ..head }.to_bytes());
    }
    std::fs::write(scratch.path("claims"), &bytes).unwrap();
    let begun = std::time::Instant::now();
    let (events, tail, _) = read(&scratch.path("claims")).unwrap();
    assert_eq!((events, matches!(tail, Tail::Torn { .. })), (0, true));
    assert!(begun.elapsed().as_secs() < 20);
}

#[test]
fn a_full_disk_leaves_a_readable_trace() {
    let full = TraceWriter::create("/dev/full", &[], &sockshim_format::region::Header::read(&[0; 448]).unwrap());
    assert_eq!(full.err().unwrap().raw_os_error(), Some(libc::ENOSPC));
}

#[test]
fn an_audit_is_read_and_a_damaged_one_is_none() {
    let scratch = Scratch::new("audit");
    fixed_region(&scratch.path("region"));
    let region = RegionFile::open(scratch.path("region")).unwrap();
    let mut writer = TraceWriter::create(scratch.path("trace"), &[], region.header()).unwrap();
    let mut audit = Audit::default();
    audit.add(Verdict::Seen, "recv", 1204);
    audit.add(Verdict::Unseen, "libc's resolver", 12);
    let start = writer.bytes() as usize;
    writer.audit(&audit).unwrap();
    writer.finish(&END).unwrap();
    let trace = Trace::open(scratch.path("trace")).unwrap();
    assert_eq!((trace.audit(), trace.tail()), (Some(&audit), Tail::Ended(END)));

    let mut bytes = std::fs::read(scratch.path("trace")).unwrap();
    bytes[start + Block::SIZE] ^= 1;
    std::fs::write(scratch.path("trace"), bytes).unwrap();
    let trace = Trace::open(scratch.path("trace")).unwrap();
    assert_eq!((trace.audit(), trace.tail()), (None, Tail::Ended(END)));
}
