//! Broken files: each is told by file, line, key, and what was expected. Where one names a file of TLS, `PKI` in it
//! stands for a folder with some.

use std::{fs, path::Path};

use tidegate_tests::{Door, gate::run_to_end};

/// The files, each beside what is said of it. `TIDEGATE_TEST_BLESS=1` writes down what is said now.
#[test]
fn each_broken_file_is_told_what_is_wrong_with_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operations/broken");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    let pki = Door::authority().path("");
    fs::write(pki.join("empty.pem"), "").unwrap();
    let pki = pki.display().to_string();
    let pki = pki.trim_end_matches('/').to_owned();
    assert!(files.len() >= 20, "{}", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let output = run_to_end(&["check"], &text.replace("PKI", &pki), &[]);
        assert_eq!(output.status.code(), Some(78), "{name}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let said = said.replace(&pki, "PKI");
        // The folder is another one each time.
        let (before, rest) = said
            .split_once("tidegate.toml:")
            .expect("the file is named");
        let before = before.trim_start_matches("tidegate: ");
        assert!(before.starts_with('/') && !before.contains('\n'), "{said}");
        let said = format!("tidegate.toml:{rest}");
        let line = rest.split_once(':').unwrap().0;
        line.parse::<u32>().expect("the line is named");
        let expected = path.with_extension("txt");
        if std::env::var_os("TIDEGATE_TEST_BLESS").is_some() {
            fs::write(&expected, &said).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("{name} is told:\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
