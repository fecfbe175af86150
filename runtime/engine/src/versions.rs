//! The versions of one task queue: which modules it has had, which one new runs get, and what each change makes of it.
//!
//! Nothing here reads a clock or a store: a change is made on a copy, written, and only then takes the place of what was.

use mainspring_core::{Rejection, Time};
use mainspring_sandbox::Digest;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    EngineError, limits,
    rows::{DeploymentRow, VersionRow},
};

/// A module on a task queue. It keeps its number when it is activated again.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// From 1, in the order in which the task queue came to know them.
    pub number: u32,
    pub digest: Digest,
    pub created: Change,
    /// When it was activated last; none where it never was.
    pub activated: Option<Change>,
    pub activated_by: Activation,
    /// When it was last replaced, or taken off the task queue; none while it is active.
    pub deactivated: Option<Time>,
}

/// When something was changed, and who asked for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    pub time: Time,
    pub identity: String,
}

/// What made a version the active one. The numbers are stored, and are those of the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    #[default]
    None = 0,
    /// It was uploaded and activated in one.
    Deploy = 1,
    Activate = 2,
    Rollback = 3,
    /// Its ramp reached 100 percent.
    Promotion = 4,
}

impl Activation {
    fn from_number(number: i32) -> Activation {
        match number {
            1 => Activation::Deploy,
            2 => Activation::Activate,
            3 => Activation::Rollback,
            4 => Activation::Promotion,
            _ => Activation::None,
        }
    }
}

/// A part of new runs gets another version than the active one.
#[derive(Clone, Debug, PartialEq)]
pub struct Ramp {
    pub number: u32,
    pub share: Share,
    pub changed: Change,
}

/// A part of all workflow ids, in hundredths of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    pub const ALL: Share = Share(10_000);

    /// From a percentage, to the nearest hundredth.
    pub fn from_percentage(percentage: f64) -> Result<Share, Rejection> {
        if !(0.0..=100.0).contains(&percentage) {
            return Err(Rejection::InvalidArgument(format!("a ramp of {percentage} %: it is from 0 to 100")));
        }
        // Within 0 and 10,000.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let share = (percentage * 100.0).round() as u32;
        if share == 0 && percentage > 0.0 {
            return Err(Rejection::InvalidArgument(format!("a ramp of {percentage} %: the least is 0.01")));
        }
        Ok(Share(share))
    }

    pub fn percentage(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether this workflow id is in the part. One that is stays in it when the part grows, and every start of the id
    /// finds the same. Part of what is promised: see docs/deployments.md.
    pub fn holds(self, namespace: Uuid, workflow_id: &str) -> bool {
        position(namespace, workflow_id) < self.0
    }
}

/// Where a workflow id stands among all of them: 0 to 9,999, evenly spread. The shard is chosen by other bytes of the
/// same hash, so each shard has its part of a ramp.
fn position(namespace: Uuid, workflow_id: &str) -> u32 {
    let mut hash = Sha256::new();
    hash.update(namespace.as_bytes());
    hash.update(workflow_id.as_bytes());
    let hash = hash.finalize();
    let number = u64::from_be_bytes(std::array::from_fn(|index| hash[8 + index]));
    u32::try_from(number % u64::from(Share::ALL.0)).unwrap_or(0)
}

/// What a rollback has come to.
#[derive(Clone, Debug, PartialEq)]
pub enum RolledBack {
    /// The ramp was given up; the active version is the one that it was.
    RampEnded { number: u32 },
    /// Another version is active again.
    To { number: u32 },
}

/// The versions of a task queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Versions {
    /// By number, the lowest first.
    list: Vec<Version>,
    active: Option<u32>,
    ramp: Option<Ramp>,
    /// The versions that were active before, the latest last: where rollbacks go to.
    previous: Vec<u32>,
    last_number: u32,
}

/// Why a task queue needs a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Active,
    Ramping,
    /// A rollback goes to it.
    Previous,
}

impl Versions {
    pub fn list(&self) -> &[Version] {
        &self.list
    }

    pub fn active(&self) -> Option<&Version> {
        self.active.and_then(|number| self.version(number))
    }

    pub fn ramp(&self) -> Option<&Ramp> {
        self.ramp.as_ref()
    }

    /// Where a rollback goes to, when no ramp is under way.
    pub fn previous(&self) -> Option<&Version> {
        self.previous.last().and_then(|number| self.version(*number))
    }

    pub fn version(&self, number: u32) -> Option<&Version> {
        self.list.iter().find(|version| version.number == number)
    }

    pub fn of_digest(&self, digest: &Digest) -> Option<&Version> {
        self.list.iter().find(|version| version.digest == *digest)
    }

    /// The module that a new run gets.
    pub fn choose(&self, namespace: Uuid, workflow_id: &str) -> Option<Digest> {
        let ramping = self.ramp.as_ref().filter(|ramp| ramp.share.holds(namespace, workflow_id));
        let number = ramping.map(|ramp| ramp.number).or(self.active)?;
        self.version(number).map(|version| version.digest)
    }

    /// Why new runs, or a rollback, need the module.
    pub fn needs(&self, digest: &Digest) -> Option<(&Version, Need)> {
        let version = self.of_digest(digest)?;
        let need = match version.number {
            number if self.active == Some(number) => Need::Active,
            number if self.ramp.as_ref().is_some_and(|ramp| ramp.number == number) => Need::Ramping,
            // What was taken off its task queue may be deleted: only then is there a choice.
            number if self.active.is_some() && self.previous.last() == Some(&number) => Need::Previous,
            _ => return None,
        };
        Some((version, need))
    }

    /// The module becomes a version, if it is none yet. Returns its number.
    pub fn add(&mut self, digest: Digest, change: &Change) -> u32 {
        if let Some(known) = self.of_digest(&digest) {
            return known.number;
        }
        self.last_number += 1;
        self.list.push(Version {
            number: self.last_number,
            digest,
            created: change.clone(),
            activated: None,
            activated_by: Activation::None,
            deactivated: None,
        });
        self.last_number
    }

    /// New runs get the version from now on; a ramp ends. The version must be one of the list.
    pub fn activate(&mut self, number: u32, by: Activation, change: &Change) {
        self.ramp = None;
        if self.active != Some(number) {
            self.previous.extend(self.active);
            let excess = self.previous.len().saturating_sub(limits::VERSIONS_KEPT);
            self.previous.drain(..excess);
            self.make_active(number, by, change);
        }
        self.forget_old();
    }

    fn make_active(&mut self, number: u32, by: Activation, change: &Change) {
        self.deactivate(change.time);
        self.active = Some(number);
        if let Some(version) = self.list.iter_mut().find(|version| version.number == number) {
            version.activated = Some(change.clone());
            version.activated_by = by;
            version.deactivated = None;
        }
    }

    fn deactivate(&mut self, at: Time) {
        let active = self.active.take();
        if let Some(version) = self.list.iter_mut().find(|version| Some(version.number) == active) {
            version.deactivated = Some(at);
        }
    }

    /// New runs get nothing from now on. A rollback undoes it.
    pub fn take_off(&mut self, at: Time) {
        self.ramp = None;
        self.previous.extend(self.active);
        self.deactivate(at);
    }

    /// Undoes the last step: ends the ramp, or activates the version that was active before. Another rollback goes one
    /// step further back.
    pub fn roll_back(&mut self, change: &Change) -> Result<RolledBack, Rejection> {
        if let Some(ramp) = self.ramp.take() {
            return Ok(RolledBack::RampEnded { number: ramp.number });
        }
        let Some(number) = self.previous.pop() else {
            let message = "There is nothing to roll back to: no other version was active before.";
            return Err(Rejection::FailedPrecondition(message.into()));
        };
        self.make_active(number, Activation::Rollback, change);
        Ok(RolledBack::To { number })
    }

    /// This part of new runs gets the version: none ends the ramp, all activates the version.
    pub fn set_ramp(&mut self, number: u32, share: Share, change: &Change) -> Result<(), Rejection> {
        let refuse = |message: &str| Err(Rejection::FailedPrecondition(message.into()));
        if share == Share::ALL {
            self.activate(number, Activation::Promotion, change);
            return Ok(());
        }
        if share.is_none() {
            match &self.ramp {
                Some(ramp) if ramp.number == number => self.ramp = None,
                Some(ramp) => {
                    return refuse(&format!("Version {number} is not ramping: version {} is.", ramp.number));
                }
                None => return refuse("No version is ramping."),
            }
            return Ok(());
        }
        match self.active {
            None => return refuse("No version is active that the rest of new runs could get: activate one."),
            Some(active) if active == number => return refuse(&format!("Version {number} is active already.")),
            Some(_) => {}
        }
        self.ramp = Some(Ramp { number, share, changed: change.clone() });
        self.forget_old();
        Ok(())
    }

    /// The module is no more: its versions can be activated no longer.
    pub fn forget_module(&mut self, digest: &Digest) {
        let Some(number) = self.of_digest(digest).map(|version| version.number) else { return };
        self.list.retain(|version| version.number != number);
        self.previous.retain(|previous| *previous != number);
        self.previous.dedup();
        // A rollback that leads to what is active leads nowhere.
        while self.active.is_some() && self.previous.last().copied() == self.active {
            self.previous.pop();
        }
    }

    /// The oldest versions leave the list when it grows too long, but for those that are needed.
    fn forget_old(&mut self) {
        while self.list.len() > limits::VERSIONS_KEPT {
            let Some(old) = self.list.iter().find(|version| self.needs(&version.digest).is_none()) else { return };
            let number = old.number;
            self.list.retain(|version| version.number != number);
            self.previous.retain(|previous| *previous != number);
        }
    }

    pub fn to_row(&self) -> DeploymentRow {
        let active = self.active();
        DeploymentRow {
            digest: active.map_or(Vec::new(), |version| version.digest.as_bytes().to_vec()),
            deployed: active.and_then(|version| version.activated.as_ref()).map_or(0, |change| change.time.0),
            versions: self.list.iter().map(Version::to_row).collect(),
            active: self.active.unwrap_or(0),
            ramping: self.ramp.as_ref().map_or(0, |ramp| ramp.number),
            ramp: self.ramp.as_ref().map_or(0, |ramp| ramp.share.0),
            ramp_changed: self.ramp.as_ref().map_or(0, |ramp| ramp.changed.time.0),
            ramp_identity: self.ramp.as_ref().map_or(String::new(), |ramp| ramp.changed.identity.clone()),
            previous: self.previous.clone(),
            last_number: self.last_number,
        }
    }

    /// Reads a row. One of before there were versions has a digest and no list: it becomes version 1.
    pub fn from_row(row: DeploymentRow) -> Result<Versions, EngineError> {
        if row.last_number == 0 {
            let mut versions = Versions::default();
            let change = Change { time: Time(row.deployed), identity: String::new() };
            let number = versions.add(digest(&row.digest)?, &change);
            versions.activate(number, Activation::Deploy, &change);
            return Ok(versions);
        }
        let list: Vec<Version> = row.versions.into_iter().map(Version::from_row).collect::<Result<_, _>>()?;
        let ramp = Ramp {
            number: row.ramping,
            share: Share(row.ramp),
            changed: Change { time: Time(row.ramp_changed), identity: row.ramp_identity },
        };
        let versions = Versions {
            list,
            active: Some(row.active).filter(|number| *number != 0),
            ramp: Some(ramp).filter(|ramp| ramp.number != 0),
            previous: row.previous,
            last_number: row.last_number,
        };
        let named = versions.active.iter().chain(versions.ramp.iter().map(|ramp| &ramp.number));
        if let Some(unknown) = named.chain(&versions.previous).find(|number| versions.version(**number).is_none()) {
            return Err(EngineError::Damaged(format!("a deployment names version {unknown}, which it does not have")));
        }
        Ok(versions)
    }
}

impl Version {
    fn to_row(&self) -> VersionRow {
        VersionRow {
            number: self.number,
            digest: self.digest.as_bytes().to_vec(),
            created: self.created.time.0,
            created_identity: self.created.identity.clone(),
            activated: self.activated.as_ref().map_or(0, |change| change.time.0),
            activated_identity: self.activated.as_ref().map_or(String::new(), |change| change.identity.clone()),
            activated_by: self.activated_by as i32,
            deactivated: self.deactivated.map_or(0, |at| at.0),
        }
    }

    fn from_row(row: VersionRow) -> Result<Version, EngineError> {
        let activated = Change { time: Time(row.activated), identity: row.activated_identity };
        Ok(Version {
            number: row.number,
            digest: digest(&row.digest)?,
            created: Change { time: Time(row.created), identity: row.created_identity },
            activated: Some(activated).filter(|change| change.time.0 != 0),
            activated_by: Activation::from_number(row.activated_by),
            deactivated: Some(Time(row.deactivated)).filter(|at| at.0 != 0),
        })
    }
}

/// Reads a digest of a row.
pub fn digest(bytes: &[u8]) -> Result<Digest, EngineError> {
    let bytes: [u8; 32] =
        bytes.try_into().map_err(|_| EngineError::Damaged(format!("a digest of {} bytes", bytes.len())))?;
    Ok(Digest::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(at: i64) -> Change {
        Change { time: Time(at), identity: format!("at {at}") }
    }

    fn module(number: u8) -> Digest {
        Digest::from_bytes([number; 32])
    }

    /// Versions 1 to `count`, each activated after the other.
    fn rolled_forward(count: u8) -> Versions {
        let mut versions = Versions::default();
        for number in 1..=count {
            let added = versions.add(module(number), &change(i64::from(number)));
            versions.activate(added, Activation::Activate, &change(i64::from(number)));
        }
        versions
    }

    fn active(versions: &Versions) -> Option<u32> {
        versions.active().map(|version| version.number)
    }

    #[test]
    fn a_module_keeps_its_number_when_it_is_activated_again() {
        let mut versions = rolled_forward(2);
        let number = versions.add(module(1), &change(9));
        versions.activate(number, Activation::Activate, &change(9));
        assert_eq!((number, active(&versions), versions.list().len()), (1, Some(1), 2));
        assert_eq!(versions.version(1).unwrap().created, change(1));
        assert_eq!(versions.version(1).unwrap().activated, Some(change(9)));
        assert_eq!(versions.version(2).unwrap().deactivated, Some(Time(9)));
    }

    #[test]
    fn each_rollback_goes_one_step_further_back() {
        let mut versions = rolled_forward(3);
        assert_eq!(versions.roll_back(&change(7)).unwrap(), RolledBack::To { number: 2 });
        assert_eq!(versions.version(2).unwrap().activated_by, Activation::Rollback);
        assert_eq!(versions.roll_back(&change(8)).unwrap(), RolledBack::To { number: 1 });
        let refused = versions.roll_back(&change(9)).unwrap_err();
        assert!(matches!(refused, Rejection::FailedPrecondition(_)), "{refused:?}");
        assert_eq!(active(&versions), Some(1));
    }

    #[test]
    fn a_rollback_ends_a_ramp_first_and_undoes_an_undeployment() {
        let mut versions = rolled_forward(2);
        let third = versions.add(module(3), &change(3));
        versions.set_ramp(third, Share(100), &change(4)).unwrap();
        assert_eq!(versions.roll_back(&change(5)).unwrap(), RolledBack::RampEnded { number: 3 });
        assert_eq!((active(&versions), versions.ramp()), (Some(2), None));
        versions.take_off(Time(6));
        assert_eq!((active(&versions), versions.choose(Uuid::nil(), "a")), (None, None));
        assert_eq!(versions.roll_back(&change(7)).unwrap(), RolledBack::To { number: 2 });
        assert_eq!(versions.roll_back(&change(8)).unwrap(), RolledBack::To { number: 1 });
    }

    #[test]
    fn a_ramp_needs_an_active_version_and_another_one() {
        let mut versions = Versions::default();
        let first = versions.add(module(1), &change(1));
        assert!(versions.set_ramp(first, Share(100), &change(1)).is_err());
        versions.activate(first, Activation::Activate, &change(1));
        assert!(versions.set_ramp(first, Share(100), &change(1)).is_err());
        assert!(versions.set_ramp(first, Share(0), &change(1)).is_err());
        let second = versions.add(module(2), &change(2));
        versions.set_ramp(second, Share(100), &change(2)).unwrap();
        assert!(versions.set_ramp(first, Share(0), &change(1)).is_err());
        versions.set_ramp(second, Share(0), &change(3)).unwrap();
        assert_eq!(versions.ramp(), None);
        versions.set_ramp(second, Share::ALL, &change(4)).unwrap();
        assert_eq!((active(&versions), versions.ramp()), (Some(second), None));
        assert_eq!(versions.active().unwrap().activated_by, Activation::Promotion);
    }

    #[test]
    fn percentages_have_two_places() {
        for (percentage, share) in [(0.0, 0), (0.01, 1), (0.1, 10), (33.333, 3_333), (100.0, 10_000)] {
            assert_eq!(Share::from_percentage(percentage), Ok(Share(share)), "{percentage}");
        }
        for wrong in [-1.0, 100.1, f64::NAN, f64::INFINITY, 0.001] {
            assert!(Share::from_percentage(wrong).is_err(), "{wrong}");
        }
        assert!((Share(3_333).percentage() - 33.33).abs() < 1e-9);
    }

    #[test]
    fn the_place_of_a_workflow_id_never_changes() {
        // What docs/deployments.md promises: somebody may have computed it.
        let positions = [1, 2, 3].map(|number| position(Uuid::from_u128(7), &format!("order-{number}")));
        assert_eq!(positions, POSITIONS);
    }

    const POSITIONS: [u32; 3] = [7_050, 9_402, 1_932];

    #[test]
    fn a_part_has_about_its_share_of_all_ids_and_grows_without_losing_any() {
        let ids: Vec<String> = (0..20_000).map(|number| format!("order-{number}")).collect();
        let within = |share: Share| ids.iter().filter(|id| share.holds(Uuid::from_u128(7), id)).collect::<Vec<_>>();
        let mut smaller = within(Share(0));
        assert!(smaller.is_empty());
        for percent in [1, 5, 10, 50, 90, 100] {
            let larger = within(Share(percent * 100));
            let expected = ids.len() * percent as usize / 100;
            // Five standard deviations of 20,000 throws of a coin are 354.
            assert!(larger.len().abs_diff(expected) < 354, "{percent} %: {}", larger.len());
            assert!(smaller.iter().all(|id| larger.contains(id)));
            smaller = larger;
        }
        assert_eq!(smaller.len(), ids.len());
    }

    #[test]
    fn what_is_active_ramping_or_next_to_roll_back_to_is_needed() {
        let mut versions = rolled_forward(4);
        let fifth = versions.add(module(5), &change(5));
        versions.set_ramp(fifth, Share(1), &change(5)).unwrap();
        let needs = |versions: &Versions, number| versions.needs(&module(number)).map(|(_, need)| need);
        let found: Vec<_> = (1..=5).map(|number| needs(&versions, number)).collect();
        assert_eq!(found, [None, None, Some(Need::Previous), Some(Need::Active), Some(Need::Ramping)]);
        versions.take_off(Time(6));
        assert!((1..=5).all(|number| needs(&versions, number).is_none()));
    }

    #[test]
    fn a_rollback_passes_over_what_was_deleted() {
        let mut versions = rolled_forward(2);
        // 1, 2, 1, 3: without 2, the version before 3 is 1, once.
        versions.activate(1, Activation::Activate, &change(3));
        let third = versions.add(module(3), &change(4));
        versions.activate(third, Activation::Activate, &change(4));
        versions.forget_module(&module(2));
        assert_eq!(versions.roll_back(&change(5)).unwrap(), RolledBack::To { number: 1 });
        assert!(versions.roll_back(&change(6)).is_err());
        assert_eq!(versions.list().len(), 2);
    }

    #[test]
    fn the_list_has_an_end_and_keeps_what_is_needed() {
        let mut versions = Versions::default();
        let mut digests = (0..=u32::MAX).map(|number| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            Digest::from_bytes(bytes)
        });
        let mut next = |versions: &mut Versions| versions.add(digests.next().unwrap(), &change(1));
        let first = next(&mut versions);
        versions.activate(first, Activation::Activate, &change(1));
        for _ in 0..3 * limits::VERSIONS_KEPT {
            let number = next(&mut versions);
            versions.set_ramp(number, Share(1), &change(1)).unwrap();
        }
        assert_eq!(versions.list().len(), limits::VERSIONS_KEPT);
        assert_eq!(active(&versions), Some(first));
        let row = versions.to_row();
        assert_eq!(Versions::from_row(row).unwrap(), versions);
    }

    #[test]
    fn a_row_comes_back_and_one_of_before_versions_becomes_version_1() {
        let mut versions = rolled_forward(3);
        versions.set_ramp(1, Share(2_500), &change(8)).unwrap();
        assert_eq!(Versions::from_row(versions.to_row()).unwrap(), versions);
        versions.take_off(Time(9));
        assert_eq!(Versions::from_row(versions.to_row()).unwrap(), versions);

        let old = DeploymentRow { digest: module(4).as_bytes().to_vec(), deployed: 5, ..DeploymentRow::default() };
        let read = Versions::from_row(old).unwrap();
        let version = read.active().unwrap();
        assert_eq!((version.number, version.digest, version.created.time), (1, module(4), Time(5)));
        assert!(Versions::from_row(DeploymentRow { active: 7, ..versions.to_row() }).is_err());
    }
}
