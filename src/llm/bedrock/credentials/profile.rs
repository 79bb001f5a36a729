//! Keys in `~/.aws/credentials` and `~/.aws/config`. Only keys that stand there are read: a profile that
//! names a role, a process or single sign-on is not followed.

use aws_credential_types::Credentials;

use super::{Chain, Failed, Step, read};

pub(super) async fn credentials(chain: &Chain) -> Result<Step, Failed> {
    let named = chain.variable("AWS_PROFILE");
    let profile = named.as_deref().unwrap_or("default");
    let home = chain.variable("HOME");
    let path = |variable: &str, file: &str| {
        chain.variable(variable).or_else(|| Some(format!("{}/.aws/{file}", home.as_deref()?)))
    };
    let places = [
        (path("AWS_SHARED_CREDENTIALS_FILE", "credentials"), profile.to_owned()),
        (path("AWS_CONFIG_FILE", "config"), format!("profile {profile}")),
    ];
    for (path, section) in places {
        let Some(path) = path else { continue };
        let Some(text) = read(&path).await? else { continue };
        let found = keys(&text, &section).or_else(|| (profile == "default").then(|| keys(&text, profile))?);
        if let Some(credentials) = found {
            return Ok(Step::Found(credentials));
        }
    }
    let reason = format!("no keys of profile {profile:?}");
    // Who names a profile means that one.
    if named.is_some() { Err(Failed::new(reason)) } else { Ok(Step::Absent(reason)) }
}

/// The keys of one section of an INI file; a later line wins.
fn keys(text: &str, section: &str) -> Option<Credentials> {
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut here = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix('[') {
            let name = name.split(']').next().unwrap_or_default();
            here = name.split_whitespace().eq(section.split_whitespace());
        } else if here && !line.starts_with(char::is_whitespace) && !trimmed.starts_with(['#', ';']) {
            let Some((key, value)) = trimmed.split_once('=') else { continue };
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match key.trim().to_ascii_lowercase().as_str() {
                "aws_access_key_id" => id = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    Some(Credentials::new(id?, secret?, token, None, "profile"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\n[default]\naws_access_key_id = ONE\naws_secret_access_key=a=b/c\n\
        s3 =\n  aws_access_key_id = nested\n[ profile  dev ] ; comment\nAWS_ACCESS_KEY_ID=TWO\n\
        aws_secret_access_key = s\naws_session_token = t\n[half]\naws_access_key_id = X\n";

    #[test]
    fn each_section_has_its_own_keys() {
        let default = keys(FILE, "default").unwrap();
        assert_eq!((default.access_key_id(), default.secret_access_key()), ("ONE", "a=b/c"));
        assert_eq!(default.session_token(), None);
        let dev = keys(FILE, "profile dev").unwrap();
        assert_eq!((dev.access_key_id(), dev.session_token()), ("TWO", Some("t")));
        assert!(keys(FILE, "half").is_none());
        assert!(keys(FILE, "dev").is_none());
    }
}
