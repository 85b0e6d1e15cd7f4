use super::*;

fn load(flags: Partial, env: &[(&str, &str)], file: &str) -> Result<Settings, SettingsError> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("cluster-manager.yml");
    std::fs::write(&path, file).expect("written");
    let env = env.iter().map(|(k, v)| (k.to_string(), v.to_string()));
    Settings::load(flags, env, Some(&path))
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let flags = Partial {
        name: Some("flag".into()),
        ..Partial::default()
    };
    let env = [("KRAKEND_CM_NAME", "env"), ("KRAKEND_CM_GRACE_S", "7")];
    let settings = load(flags, &env, "name: file\ngrace_s: 9\nreap_s: 11").expect("settings");
    assert_eq!(settings.name, "flag");
    assert_eq!((settings.grace_ms, settings.reap_ms), (7_000, 11_000));
}

#[test]
fn an_unknown_key_is_refused_by_name_with_the_known_ones() {
    let error = load(Partial::default(), &[], "nam: x").expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("`nam`") && text.contains("`name`"), "{text}");
    let env = [("KRAKEND_CM_GRACE", "7")];
    let text = load(Partial::default(), &env, "")
        .expect_err("refused")
        .to_string();
    assert!(
        text.contains("KRAKEND_CM_GRACE") && text.contains("grace_s"),
        "{text}"
    );
}

#[test]
fn three_expected_managers_need_three_peers() {
    let text = load(
        Partial::default(),
        &[],
        "bootstrap_expect: 3\npeers: ['a:7001']",
    )
    .expect_err("refused")
    .to_string();
    assert!(text.contains("exactly that many"), "{text}");
}

#[test]
fn backups_need_a_directory_and_a_sensible_time() {
    let settings = load(Partial::default(), &[], "backup_dir: /b\nbackup_every: 15m");
    let backups = settings.expect("settings").backups.expect("backups");
    assert_eq!((backups.every_ms, backups.keep), (900_000, 24));
    for (text, key) in [
        ("backup_every: 1h", "backup_dir"),
        ("backup_dir: /b\nbackup_every: 1", "backup_every"),
        ("backup_dir: /b\nbackup_every: 0s", "backup_every"),
        ("backup_dir: /b\nbackup_keep: 0", "backup_keep"),
    ] {
        let error = load(Partial::default(), &[], text).expect_err(text);
        assert!(error.to_string().contains(key), "{error}");
    }
}

#[test]
fn an_address_without_a_port_is_refused() {
    let text = load(Partial::default(), &[], "listen_http: localhost")
        .expect_err("refused")
        .to_string();
    assert!(
        text.contains("listen_http") && text.contains("host:port"),
        "{text}"
    );
}
