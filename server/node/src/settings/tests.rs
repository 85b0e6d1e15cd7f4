use super::{KEYS, Partial, Settings, SettingsError};

fn load(flags: Partial, env: &[(&str, &str)], file: &str) -> Result<Settings, SettingsError> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("service.yml");
    std::fs::write(&path, file).expect("written");
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Settings::load(flags, env, Some(&path))
}

fn refusal(env: &[(&str, &str)], file: &str) -> String {
    match load(Partial::default(), env, file) {
        Ok(_) => panic!("these settings must be refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let flags = Partial {
        name: Some("flag".into()),
        ..Partial::default()
    };
    let env = [
        ("KRAKEND_NODE_NAME", "env"),
        ("KRAKEND_NODE_SHUTDOWN_GRACE_S", "7"),
    ];
    let file = "name: file\nshutdown_grace_s: 9\nsample_period_s: 5";
    let settings = load(flags, &env, file).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(settings.name, "flag");
    assert_eq!(settings.shutdown_grace.as_secs(), 7);
    assert_eq!(settings.sample_period.as_secs(), 5);
}

#[test]
fn one_seed_and_a_list_of_seeds_are_both_taken() {
    let seeds = |file| load(Partial::default(), &[], file).map(|settings| settings.seeds);
    assert_eq!(
        seeds("seed: 192.168.1.100:7000").ok(),
        Some(vec!["192.168.1.100:7000".into()])
    );
    assert_eq!(
        seeds("seed: [a:1, 'b:2']").ok(),
        Some(vec!["a:1".into(), "b:2".into()])
    );
    assert_eq!(seeds("").ok(), Some(vec![]));
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    let text = refusal(&[], "sed: a:7000");
    assert!(text.contains("`sed`; did you mean `seed`?"), "{text}");
    let text = refusal(&[("KRAKEND_NODE_SEDE", "a:7000")], "");
    assert!(
        text.contains("KRAKEND_NODE_SEDE") && text.contains("`seed`"),
        "{text}"
    );
    let text = refusal(&[], "replicas: 3");
    assert!(text.contains("known keys: seed, data_dir"), "{text}");
}

/// `deploy/service.yml` as it is, and with every key that is commented out in it.
#[test]
fn the_annotated_example_is_true_and_names_every_key_and_its_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/service.yml");
    let example = std::fs::read_to_string(path).expect("the example");
    let as_it_is = load(Partial::default(), &[], &example).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        as_it_is.seeds,
        ["192.168.1.100:7000"],
        "as the documents of 2017"
    );
    let uncommented = |line: &str| {
        let key = line.strip_prefix('#').and_then(|it| it.split_once(':'));
        match key {
            Some((key, _)) if KEYS.contains(&key) => line[1..].to_owned(),
            _ => line.to_owned(),
        }
    };
    let lines: Vec<String> = example.lines().map(uncommented).collect();
    for key in KEYS {
        let begins = |line: &&String| line.starts_with(&format!("{key}:"));
        assert_eq!(lines.iter().filter(begins).count(), 1, "{key}");
    }
    let all = load(Partial::default(), &[], &lines.join("\n")).unwrap_or_else(|e| panic!("{e}"));
    let usual = load(Partial::default(), &[], "seed: s:1").unwrap_or_else(|e| panic!("{e}"));
    // What has a default is shown with it.
    assert_eq!(all.data_dir, usual.data_dir);
    assert_eq!(all.join_token_file, usual.join_token_file);
    assert_eq!(all.gossip_listen, usual.gossip_listen);
    assert_eq!(all.api_listen, usual.api_listen);
    assert_eq!(all.gateway, usual.gateway);
    assert_eq!(all.sample_period, usual.sample_period);
    assert_eq!(all.shutdown_grace, usual.shutdown_grace);
    assert_eq!(all.retry_max, usual.retry_max);
    assert_eq!(all.log_format, usual.log_format);
    assert_eq!(all.log_level, usual.log_level);
}

#[test]
fn a_join_token_in_the_settings_file_is_refused_and_not_repeated() {
    let text = refusal(&[], "join_token: very-secret");
    assert!(
        text.contains("join_token_file") && !text.contains("very-secret"),
        "{text}"
    );
}

#[test]
fn values_that_cannot_hold_say_what_to_write() {
    let text = refusal(&[], "seed: localhost");
    assert!(
        text.contains("seed") && text.contains("host:port"),
        "{text}"
    );
    let text = refusal(&[], "sample_period_s: 7");
    assert!(text.contains("divide a minute"), "{text}");
}
