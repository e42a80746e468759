use crate::export::tests::exported;

/// The kinds of the blocks of a file, which has to consist of whole ones.
fn blocks(file: &[u8]) -> Vec<u32> {
    let mut kinds = Vec::new();
    let mut left = file;
    while !left.is_empty() {
        let u32_at = |at: usize| u32::from_le_bytes(left[at..at + 4].try_into().unwrap());
        let len = u32_at(4) as usize;
        assert_eq!((len % 4, u32_at(len - 4) as usize), (0, len));
        kinds.push(u32_at(0));
        left = &left[len..];
    }
    kinds
}

#[test]
fn a_file_is_whole_blocks_in_the_order_of_the_format() {
    let kinds = blocks(&exported("pcapng", false));
    assert_eq!(kinds[0], 0x0a0d_0d0a);
    let place = |kind: u32| kinds.iter().position(|other| *other == kind).unwrap();
    assert!(place(1) < place(6) && place(6) < place(5), "{kinds:?}");
}
