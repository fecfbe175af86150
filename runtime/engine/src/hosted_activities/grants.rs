//! What clients change of a deployment's grants.

use mainspring_core::{Rejection, limits::activity::SCRATCH_BYTES_LEAST};
use mainspring_sandbox::{Grants, HostRule, SecretGrant, SecretValue};

use super::HostGrant;
use crate::limits;

/// A change: what is revoked goes first, then what is new replaces what it is called like.
#[derive(Clone, Debug, Default)]
pub struct GrantChange {
    pub revoke_all: bool,
    pub revoke_hosts: Vec<String>,
    pub revoke_environment: Vec<String>,
    pub revoke_secrets: Vec<String>,
    pub hosts: Vec<HostGrant>,
    pub environment: Vec<(String, String)>,
    pub secrets: Vec<NewSecret>,
    pub revoke_scratch: bool,
    /// Of a scratch directory for each attempt, in bytes; 0 changes nothing.
    pub scratch_bytes: u64,
}

#[derive(Clone, Debug)]
pub struct NewSecret {
    pub name: String,
    pub value: SecretValue,
    /// Where it may be sent; at least one.
    pub hosts: Vec<HostGrant>,
}

impl GrantChange {
    /// `scratch_bytes_max` is the most that may be granted here.
    pub(super) fn apply(self, before: &Grants, scratch_bytes_max: u64) -> Result<Grants, Rejection> {
        let mut grants = if self.revoke_all { Grants::default() } else { before.clone() };
        for host in &self.revoke_hosts {
            let rule = rule(host)?;
            take_out(&mut grants.hosts, "host", host, |known| known.to_string() == rule.to_string())?;
        }
        for name in &self.revoke_environment {
            take_out(&mut grants.environment, "value", name, |(known, _)| known == name)?;
        }
        for name in &self.revoke_secrets {
            take_out(&mut grants.secrets, "secret", name, |known| known.name == *name)?;
        }
        if self.revoke_scratch {
            if grants.scratch_bytes == 0 {
                return Err(Rejection::not_found("a scratch directory was not granted"));
            }
            grants.scratch_bytes = 0;
        }
        for host in self.hosts {
            let rule = rule(&host.host)?.with_private(host.private);
            grants.hosts.retain(|known| known.to_string() != rule.to_string());
            grants.hosts.push(rule);
        }
        for (name, value) in self.environment {
            check_name("value", &name)?;
            if value.contains('\0') {
                return Err(Rejection::invalid(format!("the value {name:?} has a character that none can have: \\0")));
            }
            grants.environment.retain(|(known, _)| *known != name);
            grants.environment.push((name, value));
        }
        grants.environment.sort();
        for secret in self.secrets {
            let secret = new_secret(secret)?;
            grants.secrets.retain(|known| known.name != secret.name);
            grants.secrets.push(secret);
        }
        grants.secrets.sort_by(|left, right| left.name.cmp(&right.name));
        if self.scratch_bytes > 0 {
            check_scratch(self.scratch_bytes, scratch_bytes_max)?;
            grants.scratch_bytes = self.scratch_bytes;
        }
        check_sizes(&grants)?;
        Ok(grants)
    }
}

fn take_out<T>(from: &mut Vec<T>, what: &str, name: &str, is_it: impl Fn(&T) -> bool) -> Result<(), Rejection> {
    let before = from.len();
    from.retain(|known| !is_it(known));
    match from.len() == before {
        true => Err(Rejection::not_found(format!("the {what} {name:?} was not granted"))),
        false => Ok(()),
    }
}

fn rule(text: &str) -> Result<HostRule, Rejection> {
    text.parse().map_err(|error: mainspring_sandbox::HostRuleError| Rejection::invalid(error.to_string()))
}

fn new_secret(secret: NewSecret) -> Result<SecretGrant, Rejection> {
    let NewSecret { name, value, hosts } = secret;
    check_name("secret", &name)?;
    let is_header = value.reveal().bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    if value.reveal().is_empty() || value.reveal().len() > limits::SECRET_BYTES || !is_header {
        return Err(Rejection::invalid(format!(
            "the secret {name:?} has 1 to {} printable ASCII characters, as it goes into a header",
            limits::SECRET_BYTES
        )));
    }
    if hosts.is_empty() || hosts.len() > limits::GRANTS {
        return Err(Rejection::invalid(format!(
            "the secret {name:?} names the hosts that it may be sent to: 1 to {}",
            limits::GRANTS
        )));
    }
    let hosts = hosts.iter().map(|host| Ok(rule(&host.host)?.with_private(host.private)));
    Ok(SecretGrant { name, value, hosts: hosts.collect::<Result<_, Rejection>>()? })
}

fn check_name(what: &str, name: &str) -> Result<(), Rejection> {
    let fits =
        |(index, byte): (usize, u8)| byte.is_ascii_alphabetic() || byte == b'_' || (index > 0 && byte.is_ascii_digit());
    match !name.is_empty() && name.len() <= limits::GRANT_NAME_BYTES && name.bytes().enumerate().all(fits) {
        true => Ok(()),
        false => Err(Rejection::invalid(format!(
            "{name:?} is no name for a {what}: it is up to {} letters, digits and _, and begins with no digit",
            limits::GRANT_NAME_BYTES
        ))),
    }
}

fn check_scratch(bytes: u64, most: u64) -> Result<(), Rejection> {
    match bytes {
        _ if most < SCRATCH_BYTES_LEAST => Err(Rejection::invalid(
            "this server has no scratch directories: activities.scratch_bytes is too small for one",
        )),
        _ if (SCRATCH_BYTES_LEAST..=most).contains(&bytes) => Ok(()),
        _ => Err(Rejection::invalid(format!(
            "a scratch directory of {bytes} bytes cannot be granted: it is one of {SCRATCH_BYTES_LEAST} to {most} bytes \
             (activities.scratch_bytes)"
        ))),
    }
}

fn check_sizes(grants: &Grants) -> Result<(), Rejection> {
    for (what, count) in
        [("hosts", grants.hosts.len()), ("values", grants.environment.len()), ("secrets", grants.secrets.len())]
    {
        if count > limits::GRANTS {
            return Err(Rejection::invalid(format!("{count} {what} are too many; the limit is {}", limits::GRANTS)));
        }
    }
    let bytes: usize = grants.environment.iter().map(|(name, value)| name.len() + value.len()).sum();
    match bytes > limits::ENVIRONMENT_BYTES {
        true => Err(Rejection::invalid(format!(
            "the values have {bytes} bytes in all; the limit is {}",
            limits::ENVIRONMENT_BYTES
        ))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 256 << 20;

    fn host(host: &str, private: bool) -> HostGrant {
        HostGrant { host: host.into(), private }
    }

    fn secret(name: &str, value: &str, hosts: &[&str]) -> NewSecret {
        let hosts = hosts.iter().map(|name| host(name, false)).collect();
        NewSecret { name: name.into(), value: SecretValue::new(value.into()), hosts }
    }

    #[test]
    fn what_is_granted_again_replaces_what_was() {
        let first = GrantChange {
            hosts: vec![host("https://a.example", false), host("http://b.example", false)],
            environment: vec![("B".into(), "1".into()), ("A".into(), "1".into())],
            secrets: vec![secret("KEY", "one", &["https://a.example"])],
            scratch_bytes: 1 << 20,
            ..GrantChange::default()
        };
        let before = first.apply(&Grants::default(), MOST).unwrap();
        let second = GrantChange {
            hosts: vec![host("https://A.example:443/", true)],
            environment: vec![("A".into(), "2".into())],
            secrets: vec![secret("KEY", "two", &["https://a.example"])],
            revoke_hosts: vec!["http://b.example".into()],
            ..GrantChange::default()
        };
        let after = second.apply(&before, MOST).unwrap();
        assert_eq!(after.scratch_bytes, 1 << 20);
        assert_eq!(after.hosts.len(), 1);
        assert!(after.hosts[0].private);
        assert_eq!(after.environment, [("A".into(), "2".into()), ("B".into(), "1".into())]);
        assert_eq!(after.secrets[0].value.reveal(), "two");
        let nothing = GrantChange { revoke_all: true, ..GrantChange::default() };
        assert_eq!(nothing.apply(&after, MOST).unwrap(), Grants::default());
    }

    #[test]
    fn a_scratch_directory_is_granted_anew_and_taken_back() {
        let granted = |bytes| GrantChange { scratch_bytes: bytes, ..GrantChange::default() };
        let small = granted(1 << 20).apply(&Grants::default(), MOST).unwrap();
        let large = granted(2 << 20).apply(&small, MOST).unwrap();
        assert_eq!((small.scratch_bytes, large.scratch_bytes), (1 << 20, 2 << 20));
        let revoked = GrantChange { revoke_scratch: true, ..GrantChange::default() };
        assert_eq!(revoked.apply(&large, MOST).unwrap(), Grants::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |change: GrantChange| change.apply(&Grants::default(), MOST).unwrap_err();
        let none = GrantChange::default;
        refused(GrantChange { hosts: vec![host("example.com", false)], ..none() });
        refused(GrantChange { environment: vec![("1A".into(), String::new())], ..none() });
        refused(GrantChange { environment: vec![("A".into(), "x".repeat(limits::ENVIRONMENT_BYTES))], ..none() });
        refused(GrantChange { secrets: vec![secret("KEY", "", &["https://a.example"])], ..none() });
        refused(GrantChange { secrets: vec![secret("KEY", "a\nb", &["https://a.example"])], ..none() });
        refused(GrantChange { secrets: vec![secret("KEY", "value", &[])], ..none() });
        refused(GrantChange { revoke_secrets: vec!["KEY".into()], ..none() });
        refused(GrantChange { scratch_bytes: MOST + 1, ..none() });
        refused(GrantChange { scratch_bytes: SCRATCH_BYTES_LEAST - 1, ..none() });
        refused(GrantChange { revoke_scratch: true, ..none() });
        let many = (0..=limits::GRANTS).map(|number| host(&format!("https://{number}.example"), false)).collect();
        refused(GrantChange { hosts: many, ..none() });
    }
}
