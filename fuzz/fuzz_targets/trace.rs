//! Any bytes as a trace or a region: opened, read to the end, told to the model and printed.
#![no_main]

#[path = "../../crates/reader/tests/support/everything.rs"]
mod everything;

use libfuzzer_sys::fuzz_target;
use sockshim_format::trace::{BLOCK_MAGIC, Block, FileHeader};

/// Makes the checksums right: the fuzzer cannot guess them, and would never get behind one.
fn repair(bytes: &mut [u8]) {
    let mut at = FileHeader::SIZE;
    while let Some(block) = bytes.get(at..).and_then(Block::read) {
        let payload = at + Block::SIZE..(at + Block::SIZE).saturating_add(block.stored_bytes as usize);
        match bytes.get(payload.clone()).filter(|_| block.magic == BLOCK_MAGIC).map(crc32fast::hash) {
            Some(crc32) => {
                bytes[at..at + Block::SIZE].copy_from_slice(&Block { crc32, ..block }.to_bytes());
                at = payload.end.next_multiple_of(8);
            }
            None => at += 8,
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    repair(&mut bytes);
    // A file, because that is what the reader takes; in memory where there is such a folder.
    let folder = std::path::Path::new("/dev/shm");
    let folder = if folder.is_dir() { folder.to_owned() } else { std::env::temp_dir() };
    let path = folder.join(format!("sockshim-fuzz-{}", std::process::id()));
    std::fs::write(&path, &bytes).expect("the input can be written to a file");
    let most = everything::most_events(&path);
    let told = everything::read(&path);
    let _ = std::fs::remove_file(&path);
    match (told, most) {
        (Ok(told), Ok(most)) => {
            assert!(told.events <= most);
            if let sockshim_reader::Tail::Torn { offset, .. } = told.tail {
                assert!(offset <= bytes.len() as u64);
            }
        }
        (Err(error), _) => assert!(error.to_string().contains("offset")),
        (Ok(_), Err(error)) => panic!("once it can be read and once not: {error}"),
    }
});
