use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

const SHIM: &[u8] = b"\x7fELF, more or less";

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn extract_into(root: &TempDir) -> PathBuf {
    extract_below(FILE_NAME, SHIM, root.path()).unwrap()
}

#[test]
fn every_user_can_read_the_extracted_copy_and_it_is_reused() {
    let root = TempDir::new().unwrap();
    let path = extract_into(&root);
    assert_eq!(fs::read(&path).unwrap(), SHIM);
    assert!(path.ends_with(FILE_NAME) && fits_preload(&path));
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o755, 0o755));
    let inode = fs::metadata(&path).unwrap().ino();
    assert_eq!(extract_into(&root), path);
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode, "the good copy should have been kept");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing temporary should remain");
}

#[test]
fn another_content_gets_another_path() {
    let root = TempDir::new().unwrap();
    let mut paths = vec![extract_into(&root)];
    let others: [Vec<u8>; 2] = [[SHIM, b"2"].concat(), vec![b'x'; SHIM.len()]];
    paths.extend(others.iter().map(|other| extract_below(FILE_NAME, other, root.path()).unwrap()));
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), 3, "{paths:?}");
}

#[test]
fn a_bad_copy_is_replaced_and_never_written_into() {
    let root = TempDir::new().unwrap();
    let path = extract_into(&root);
    type Spoil = fn(&Path);
    let spoil: [(&str, Spoil); 4] = [
        ("cut short", |path| fs::write(path, &SHIM[..5]).unwrap()),
        ("changed", |path| fs::write(path, vec![b'x'; SHIM.len()]).unwrap()),
        ("writable by others", |path| fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap()),
        ("a link", |path| {
            fs::rename(path, path.with_extension("old")).unwrap();
            symlink(path.with_extension("old"), path).unwrap();
        }),
    ];
    for (how, spoil) in spoil {
        spoil(&path);
        let inode = fs::symlink_metadata(&path).unwrap().ino();
        assert_eq!(extract_into(&root), path);
        assert!(is_good_copy(&path, SHIM), "{how}");
        assert_ne!(fs::symlink_metadata(&path).unwrap().ino(), inode, "{how}");
    }
}

#[test]
fn a_directory_that_others_control_is_passed_by() {
    let root = TempDir::new().unwrap();
    let path = extract_into(&root);
    let directory = path.parent().unwrap();

    fs::set_permissions(directory, Permissions::from_mode(0o777)).unwrap();
    assert_ne!(extract_into(&root), path, "writable by others");

    fs::rename(directory, root.path().join("elsewhere")).unwrap();
    fs::set_permissions(root.path().join("elsewhere"), Permissions::from_mode(0o755)).unwrap();
    symlink("elsewhere", directory).unwrap();
    assert_ne!(extract_into(&root), path, "a link");

    fs::remove_file(directory).unwrap();
    fs::write(directory, "").unwrap();
    assert_ne!(extract_into(&root), path, "a file");
}

#[test]
fn a_root_that_does_not_do_gives_way_to_the_next() {
    let (open, spaced, good) = (TempDir::new().unwrap(), TempDir::with_prefix("a b").unwrap(), TempDir::new().unwrap());
    fs::set_permissions(open.path(), Permissions::from_mode(0o777)).unwrap();
    let roots = [open.path(), spaced.path(), Path::new("/no/such/root"), Path::new("/proc"), good.path()];
    let mut roots = roots.map(PathBuf::from).to_vec();
    assert!(extract(FILE_NAME, SHIM, &roots).unwrap().starts_with(good.path()));
    roots.pop();
    let error = extract(FILE_NAME, SHIM, &roots).unwrap_err().to_string();
    for cause in ["others may rename", "splits LD_PRELOAD", "No such file", VARIABLE] {
        assert!(error.contains(cause), "{cause:?} should be in {error:?}");
    }
    assert!(!error.contains('\n'));
}

#[test]
fn a_world_writable_root_needs_the_sticky_bit() {
    let root = TempDir::new().unwrap();
    fs::set_permissions(root.path(), Permissions::from_mode(0o1777)).unwrap();
    extract_into(&root);
}

#[test]
fn two_tools_at_once_end_with_one_good_copy() {
    let root = TempDir::new().unwrap();
    // Two tools would not even share the temporary name, which has the process id in it.
    let paths: Vec<_> = std::thread::scope(|scope| {
        let tools: Vec<_> =
            (0..8).map(|_| scope.spawn(|| extract_below(FILE_NAME, SHIM, root.path()).is_ok())).collect();
        tools.into_iter().map(|tool| tool.join().unwrap()).collect()
    });
    assert!(paths.contains(&true));
    assert!(is_good_copy(&extract_into(&root), SHIM));
}

#[test]
fn a_tool_without_a_copy_says_what_to_do() {
    let error = extract(FILE_NAME, b"", &[]).unwrap_err().to_string();
    assert!(error.contains(VARIABLE), "{error}");
}

#[test]
fn copies_beside_the_tool_are_found_in_order() {
    let root = TempDir::new().unwrap();
    let bin = root.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    assert_eq!(find_beside(&bin), None);
    for place in BESIDE.iter().rev() {
        fs::create_dir_all(bin.join(place)).unwrap();
        for name in [RUNTIME_NAME, FILE_NAME] {
            let put = bin.join(place).join(name);
            fs::write(&put, SHIM).unwrap();
            assert_eq!(find_beside(&bin), Some(put.canonicalize().unwrap()));
        }
    }
}

#[test]
fn a_copy_beside_the_tool_that_would_split_the_variable_is_not_used() {
    let root = TempDir::with_prefix("a b").unwrap();
    fs::write(root.path().join(FILE_NAME), SHIM).unwrap();
    assert_eq!(find_beside(root.path()), None);
}

#[test]
fn a_named_shim_is_checked_and_made_absolute() {
    let root = TempDir::new().unwrap();
    let good = root.path().join("mine.so");
    fs::write(&good, SHIM).unwrap();
    assert_eq!(check_named(&good).unwrap(), good);
    assert!(check_named(Path::new("relative.so")).unwrap_err().to_string().contains("=/"));
    for name in ["a b.so", "a:b.so", "$LIB.so"] {
        fs::write(root.path().join(name), SHIM).unwrap();
        let error = check_named(&root.path().join(name)).unwrap_err().to_string();
        assert!(error.contains("LD_PRELOAD"), "{error}");
    }
    fs::write(root.path().join("text"), "hello").unwrap();
    assert!(check_named(&root.path().join("text")).unwrap_err().to_string().contains("not a shared library"));
}
