//! Roles and permissions, as Temporal's claim mapper spells them: `namespace:role`.

use std::{collections::BTreeMap, fmt, str::FromStr};

use mainspring_core::validate;

use crate::limits;

/// In place of a namespace, all of them and the server itself.
pub(crate) const SYSTEM: &str = "temporal-system";

/// What somebody may do in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Looks at everything, and changes nothing.
    Read,
    /// Starts, signals, cancels; and all that `Read` and `Worker` may.
    Write,
    /// Polls tasks and answers them; sees no more than a worker must.
    Worker,
    /// Deploys modules, makes keys; and all that the others may.
    Admin,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Read, Role::Write, Role::Worker, Role::Admin];

    fn name(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Write => "write",
            Role::Worker => "worker",
            Role::Admin => "admin",
        }
    }

    /// Whether who has this role may do what needs that one.
    fn covers(self, needed: Role) -> bool {
        match self {
            Role::Admin => true,
            Role::Write => needed != Role::Admin,
            Role::Read | Role::Worker => needed == self,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A role in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Permission {
    pub namespace: String,
    pub role: Role,
}

impl FromStr for Permission {
    type Err = String;

    fn from_str(text: &str) -> Result<Permission, String> {
        let wrong = || {
            format!(
                "the permission {text:?} is not NAMESPACE:ROLE, where the role is read, write, worker or admin, and the \
                 namespace {SYSTEM} stands for all"
            )
        };
        let (namespace, name) = text.rsplit_once(':').ok_or_else(wrong)?;
        // Temporal's own documentation says both "read" and "reader".
        let role = match name {
            "read" | "reader" => Role::Read,
            "write" | "writer" => Role::Write,
            "worker" => Role::Worker,
            "admin" => Role::Admin,
            _ => return Err(wrong()),
        };
        validate::name("namespace", namespace).map_err(|error| format!("{}: {error}", wrong()))?;
        Ok(Permission { namespace: namespace.to_owned(), role })
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.namespace, self.role)
    }
}

/// All that somebody may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permissions {
    roles: BTreeMap<String, Vec<Role>>,
}

impl Permissions {
    /// Everything.
    pub fn all() -> Permissions {
        [Permission { namespace: SYSTEM.to_owned(), role: Role::Admin }].into_iter().collect()
    }

    /// # Errors
    /// When one of them is not `NAMESPACE:ROLE`, or they are too many. The message names it.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Permissions, String> {
        if texts.len() > limits::PERMISSIONS {
            return Err(format!("there are {} permissions; the limit is {}", texts.len(), limits::PERMISSIONS));
        }
        texts.iter().map(|text| text.as_ref().parse::<Permission>()).collect()
    }

    /// Whether a role, or one that covers it, is there for a namespace.
    pub fn allow(&self, namespace: &str, needed: Role) -> bool {
        [namespace, SYSTEM]
            .iter()
            .filter_map(|name| self.roles.get(*name))
            .any(|roles| roles.iter().any(|role| role.covers(needed)))
    }

    /// Whether anything is allowed in a namespace.
    pub fn touch(&self, namespace: &str) -> bool {
        Role::ALL.iter().any(|role| self.allow(namespace, *role))
    }

    pub fn iter(&self) -> impl Iterator<Item = Permission> {
        self.roles.iter().flat_map(|(namespace, roles)| {
            roles.iter().map(|role| Permission { namespace: namespace.clone(), role: *role })
        })
    }

    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }

    pub fn to_texts(&self) -> Vec<String> {
        self.iter().map(|permission| permission.to_string()).collect()
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Permissions {
        let mut all = Permissions::default();
        for Permission { namespace, role } in permissions {
            let roles = all.roles.entry(namespace).or_default();
            if !roles.contains(&role) {
                roles.push(role);
                roles.sort_unstable();
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_covers_what_it_says() {
        let covered = |role: Role| Role::ALL.into_iter().filter(|needed| role.covers(*needed)).collect::<Vec<_>>();
        assert_eq!(covered(Role::Read), [Role::Read]);
        assert_eq!(covered(Role::Write), [Role::Read, Role::Write, Role::Worker]);
        assert_eq!(covered(Role::Worker), [Role::Worker]);
        assert_eq!(covered(Role::Admin), Role::ALL);
    }

    #[test]
    fn a_permission_holds_in_its_namespace_only_unless_it_is_the_systems() {
        let one = Permissions::parse(&["orders:write"]).unwrap();
        assert!(one.allow("orders", Role::Read) && !one.allow("orders", Role::Admin));
        assert!(!one.allow("payments", Role::Read) && !one.touch("payments") && !one.allow(SYSTEM, Role::Read));
        let all = Permissions::parse(&["temporal-system:read"]).unwrap();
        assert!(all.allow("payments", Role::Read) && !all.allow("payments", Role::Write));
        assert!(Permissions::all().allow(SYSTEM, Role::Admin));
    }

    #[test]
    fn what_is_no_permission_is_named() {
        for wrong in ["", "orders", "orders:", ":read", "orders:owner", "orders:READ"] {
            let error = Permissions::parse(&["orders:read", wrong]).unwrap_err();
            assert!(error.contains(&format!("{wrong:?}")), "{error}");
        }
        // A namespace may have a colon; the role is what follows the last one.
        let odd = "a:b:read".parse::<Permission>().unwrap();
        assert_eq!((odd.namespace.as_str(), odd.role), ("a:b", Role::Read));
        assert!(Permissions::parse(&vec!["a:read"; limits::PERMISSIONS + 1]).unwrap_err().contains("limit"));
    }

    #[test]
    fn permissions_come_back_as_they_went() {
        let texts = ["a:read", "a:worker", "b:admin"];
        assert_eq!(Permissions::parse(&texts).unwrap().to_texts(), texts);
        assert_eq!(Permissions::parse(&["a:reader", "a:read"]).unwrap().to_texts(), ["a:read"]);
    }
}
