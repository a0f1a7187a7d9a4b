//! Pipelines' names as names of directories.

/// Longest name of a directory, in bytes. Longer names have no directory: file systems end at 255 bytes, and directories that are
/// being removed have a longer name.
const DIRECTORY_BYTES: usize = 240;

/// The directory of this pipeline; none if the name is empty or too long.
///
/// Letters, digits, `-` and `_` stay, any other byte becomes `%XX`: so a name can't leave the directory, and none begins
/// with the dot that marks what is being removed.
pub(crate) fn directory(pipeline: &str) -> Option<String> {
    let mut directory = String::with_capacity(pipeline.len());
    for byte in pipeline.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => directory.push(char::from(byte)),
            _ => directory.push_str(&format!("%{byte:02X}")),
        }
    }
    (!directory.is_empty() && directory.len() <= DIRECTORY_BYTES).then_some(directory)
}

/// The pipeline whose directory this is; none for a directory that isn't a pipeline's.
pub(crate) fn pipeline(directory_name: &str) -> Option<String> {
    let mut name = Vec::with_capacity(directory_name.len());
    let mut rest = directory_name.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            name.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            name.push(*byte);
        }
    }
    let name = String::from_utf8(name).ok()?;
    (directory(&name).as_deref() == Some(directory_name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_comes_back_from_its_directory_which_is_one_plain_file_name(name in "\\PC{1,20}") {
            let made = directory(&name).unwrap();
            prop_assert!(made.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_%".contains(&byte)));
            prop_assert_eq!(pipeline(&made), Some(name));
        }

        #[test]
        fn two_directories_never_mean_one_pipeline(directory_name in "[a-z%0-9A-F.]{0,12}") {
            if let Some(name) = pipeline(&directory_name) {
                prop_assert_eq!(directory(&name), Some(directory_name));
            }
        }
    }

    #[test]
    fn names_that_no_file_system_takes_have_no_directory() {
        assert_eq!(directory(""), None);
        assert_eq!(directory(&"é".repeat(100)), None);
    }
}
