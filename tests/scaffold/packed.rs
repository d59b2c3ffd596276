//! Agents whose native program is in an npm package. Packages of the tests are local files: npm asks nobody for them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use mtsec_agents::process::children;
use mtsec_agents::recipe::Recipe;
use mtsec_agents::scaffold::{InstallError, Installed, Installer, Progress, Status};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

const PROGRAM: &str = "#!/bin/sh\necho hello\n";

/// A file of a package: name, type, content or what a link leads to.
type Entry<'a> = (&'a str, EntryType, &'a str);

/// A package of these files; names are written as they are, whatever they are.
fn package(folder: &Path, entries: &[Entry]) -> PathBuf {
    let path = folder.join("agent-1.0.tgz");
    let mut builder = Builder::new(GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast()));
    let description = (
        "package/package.json",
        EntryType::Regular,
        r#"{"name": "agent", "version": "1.0.0"}"#,
    );
    for (name, kind, content) in [&[description], entries].concat() {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        let content = if kind == EntryType::Regular {
            content
        } else {
            header.set_link_name(content).unwrap();
            ""
        };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap().flush().unwrap();
    path
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A recipe whose agent is the file `path` of a package.
fn recipe(package: &Path, sha256: Option<&str>, path: &str, of_program: Option<&str>) -> Recipe {
    let text = include_str!("../../scaffolds/aider.yaml");
    let (head, rest) = text.split_once("install:\n").unwrap();
    let (_, tail) = rest.split_once("supports:\n").unwrap();
    let line = |name: &str, value: Option<&str>| value.map_or(String::new(), |value| format!("{name}: {value}"));
    let install = format!(
        "install:\n  package: {package}\n  {sha256}\n  program: bin/agent\n  from:\n    {architecture}:\n      path: {path}\n      {of_program}\n",
        package = package.display(),
        sha256 = line("sha256", sha256),
        architecture = std::env::consts::ARCH,
        of_program = line("sha256", of_program),
    );
    let text = format!("{head}{install}\nsupports:\n{tail}")
        .replace("name: aider", "name: packed")
        .replace("\"0.82.1\"", "\"1.0\"");
    Recipe::parse("packed.yaml", &text).unwrap_or_else(|error| panic!("{error}"))
}

/// The ordinary package and its recipe.
fn ordinary(folder: &Path) -> Recipe {
    let path = package(folder, &[("package/bin/agent", EntryType::Regular, PROGRAM)]);
    let digest = sha256(&fs::read(&path).unwrap());
    recipe(
        &path,
        Some(&digest),
        "package/bin/agent",
        Some(&sha256(PROGRAM.as_bytes())),
    )
}

fn install(cache: &Path, recipe: &Recipe) -> Result<Installed, InstallError> {
    Installer::new(cache).ensure(recipe, &mut |_| {})
}

/// Every file below a folder, relative to it.
fn files(folder: &Path) -> Vec<String> {
    let all = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let mut all: Vec<String> = all
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| entry.path().strip_prefix(folder).unwrap().display().to_string())
        .collect();
    all.sort();
    all
}

#[test]
fn the_program_alone_is_taken_out_and_runs_without_anything_else() {
    let place = tempfile::tempdir().unwrap();
    let cache = place.path().join("cache");
    let recipe = ordinary(place.path());
    assert!(matches!(Installer::new(&cache).status(&recipe), Status::Missing { .. }));
    let installed = install(&cache, &recipe).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(files(&installed.folder), [".complete", ".files", "bin/agent"]);
    assert_eq!(installed.visible, [installed.folder.join("bin")]);
    let said = children::output(&mut std::process::Command::new(&installed.program)).unwrap();
    assert_eq!(said.stdout, b"hello\n");

    // From now on nobody is asked for the package.
    fs::remove_file(place.path().join("agent-1.0.tgz")).unwrap();
    let again = Installer::new(&cache).ensure(&recipe, &mut |progress| panic!("{progress:?}"));
    assert_eq!(again.unwrap(), installed);
}

#[test]
fn a_package_or_program_of_another_checksum_is_not_used() {
    let place = tempfile::tempdir().unwrap();
    let cache = place.path().join("cache");
    let path = package(place.path(), &[("package/bin/agent", EntryType::Regular, PROGRAM)]);
    let good = sha256(&fs::read(&path).unwrap());
    let wrong = "0".repeat(64);
    for (of_package, of_program, what) in [
        (&wrong, None, "package"),
        (&good, Some(wrong.as_str()), "package/bin/agent"),
    ] {
        let recipe = recipe(&path, Some(of_package), "package/bin/agent", of_program);
        let error = install(&cache, &recipe).unwrap_err();
        assert!(
            matches!(&error, InstallError::Checksum { wanted, .. } if *wanted == wrong),
            "{error}"
        );
        assert!(error.to_string().contains(what), "{error}");
        let status = Installer::new(&cache).status(&recipe);
        assert!(matches!(status, Status::Broken { .. }), "{status:?}");
        if of_program.is_none() {
            assert_eq!(files(&cache), ["agents/packed/.1.0.lock"], "something was unpacked");
        }
    }
    assert!(
        install(&cache, &ordinary(place.path())).is_ok(),
        "what was refused is in the way"
    );
}

#[test]
fn nothing_of_a_hostile_package_gets_out_of_the_installation() {
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("outside");
    let target = outside.display().to_string();
    let hostile: [(&[Entry], &str, &str); 5] = [
        (&[], "package/bin/agent", "holds no `package/bin/agent`"),
        (
            &[("package/bin/agent", EntryType::Symlink, &target)],
            "package/bin/agent",
            "no ordinary file",
        ),
        (
            &[("package/bin/agent", EntryType::Link, &target)],
            "package/bin/agent",
            "no ordinary file",
        ),
        (
            &[("package/bin/agent/../agent", EntryType::Regular, "x")],
            "package/bin/agent",
            "holds no",
        ),
        (
            &[("package/bin/agent", EntryType::Directory, "x")],
            "package/bin/agent",
            "no ordinary file",
        ),
    ];
    for (entries, path, said) in hostile {
        let cache = tempfile::tempdir_in(place.path()).unwrap();
        let error = install(cache.path(), &recipe(&package(place.path(), entries), None, path, None)).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(files(cache.path()), ["agents/packed/.1.0.lock"]);
    }
    // A link in front of the program is not followed, and a name that leads out is only a name.
    let entries: [Entry; 4] = [
        ("../../escaped", EntryType::Regular, "x"),
        ("package/bin", EntryType::Symlink, &target),
        ("bin", EntryType::Symlink, &target),
        ("package/bin/agent", EntryType::Regular, PROGRAM),
    ];
    let cache = tempfile::tempdir_in(place.path()).unwrap();
    let path = package(place.path(), &entries);
    match install(cache.path(), &recipe(&path, None, "package/bin/agent", None)) {
        Ok(installed) => assert_eq!(files(&installed.folder), [".complete", ".files", "bin/agent"]),
        // npm may refuse it itself.
        Err(error) => assert!(matches!(error, InstallError::Step { .. }), "{error}"),
    }
    assert!(!outside.exists() && !place.path().join("escaped").exists());
}

#[test]
fn a_package_cut_short_leaves_nothing_that_looks_finished() {
    let place = tempfile::tempdir().unwrap();
    let long: String = (0..200_000u32).map(|number| format!("{number:x}")).collect();
    let path = package(place.path(), &[("package/bin/agent", EntryType::Regular, &long)]);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let cache = place.path().join("cache");
    let recipe = recipe(&path, None, "package/bin/agent", None);
    let error = install(&cache, &recipe).unwrap_err();
    assert!(
        matches!(error, InstallError::Step { .. } | InstallError::Package { .. }),
        "{error}"
    );
    assert!(matches!(Installer::new(&cache).status(&recipe), Status::Broken { .. }));
    fs::write(&path, &whole).unwrap();
    assert!(install(&cache, &recipe).is_ok(), "half an installation is in the way");
}

#[test]
fn two_installations_at_once_become_one() {
    let place = tempfile::tempdir().unwrap();
    let cache = place.path().join("cache");
    let recipe = ordinary(place.path());
    let once = || {
        let mut steps = 0;
        let installed = Installer::new(&cache).ensure(&recipe, &mut |progress| {
            steps += u32::from(matches!(progress, Progress::Step(_)));
        });
        (installed.unwrap_or_else(|error| panic!("{error}")), steps)
    };
    let ((one, one_steps), (two, two_steps)) = std::thread::scope(|scope| {
        let other = scope.spawn(once);
        (once(), other.join().unwrap())
    });
    assert_eq!(one, two);
    assert_eq!((one_steps.min(two_steps), one_steps.max(two_steps)), (0, 3));
}

#[test]
fn a_machine_without_a_program_in_the_package_is_told() {
    let place = tempfile::tempdir().unwrap();
    let text = include_str!("../../scaffolds/aider.yaml");
    let (head, rest) = text.split_once("install:\n").unwrap();
    let (_, tail) = rest.split_once("supports:\n").unwrap();
    let recipe = |program: &str| {
        let install = format!(
            "install:\n  package: x@{{{{ version }}}}\n  program: {program}\n  from:\n    pdp11: {{path: package/x}}\n"
        );
        Recipe::parse("x.yaml", &format!("{head}{install}\nsupports:\n{tail}"))
    };
    let error = install(place.path(), &recipe("bin/x").unwrap()).unwrap_err();
    assert!(error.to_string().contains("pdp11"), "{error}");
    for program in ["../x", "/bin/x", "bin/../../x", ""] {
        let error = recipe(&format!("'{program}'")).unwrap_err().to_string();
        assert!(error.contains("relative path"), "{program}: {error}");
    }
}

#[test]
fn a_program_that_was_changed_is_found_by_verify_and_names_itself() {
    let place = tempfile::tempdir().unwrap();
    let recipe = ordinary(place.path());
    let installer = Installer::new(place.path());
    let installed = install(place.path(), &recipe).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(installed.digest, Some(sha256(PROGRAM.as_bytes())));
    assert!(matches!(installer.verify(&recipe, &mut |_| {}), Status::Ready(_)));
    fs::write(&installed.program, "#!/bin/sh\necho other\n").unwrap();
    let Status::Broken { reason, .. } = installer.verify(&recipe, &mut |_| {}) else {
        panic!("not found")
    };
    assert!(
        reason.contains("bin/agent") && reason.contains("`mtsec-agents agents install packed --force`"),
        "{reason}"
    );
    let error = install(place.path(), &recipe).unwrap_err();
    assert!(matches!(error, InstallError::Changed { .. }), "{error}");
    // Neither a file that was added, nor one that has lost its right to be run.
    installer.replace(&recipe, &mut |_| {}).unwrap();
    fs::write(installed.folder.join("bin/added"), "").unwrap();
    let error = install(place.path(), &recipe).unwrap_err().to_string();
    assert!(error.contains("bin/added changed"), "{error}");
}

#[test]
fn another_version_is_asked_for_by_its_name_and_nothing_is_pinned_of_it() {
    let place = tempfile::tempdir().unwrap();
    let mut recipe = ordinary(place.path());
    // A recipe that names one package and no more.
    let error = recipe.set_version("2.0").unwrap_err().to_string();
    assert!(error.contains("{{ version }}"), "{error}");

    let path = package(place.path(), &[("package/bin/agent", EntryType::Regular, "other\n")]);
    let versions = place.path().join("agent-{{ version }}.0.tgz");
    fs::rename(&path, place.path().join("agent-2.0.0.tgz")).unwrap();
    let wrong = "0".repeat(64);
    let mut recipe = self::recipe(&versions, Some(&wrong), "package/bin/agent", Some(&wrong));
    for bad in ["", "../2", "-x", "2/0", "2 0"] {
        assert!(recipe.set_version(bad).is_err(), "{bad}");
    }
    recipe.set_version("2.0").unwrap();
    assert_eq!(recipe.made_for.as_deref(), Some("1.0"));
    let installed = install(place.path(), &recipe).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        (installed.version.as_str(), installed.digest),
        ("2.0", Some(sha256(b"other\n")))
    );
}
