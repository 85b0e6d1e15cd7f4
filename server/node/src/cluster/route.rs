use krakend_gossip::Hint;

/// Redirects that are followed at once; then a pause, so that two managers who point at each other cost nothing.
const MAX_REDIRECTS: u32 = 4;
/// Addresses that are remembered at most.
const MAX_MANAGERS: usize = 32;

/// Which manager to try next. Pure: addresses in, an address out.
#[derive(Clone, Debug, Default)]
pub struct Route {
    seeds: Vec<String>,
    managers: Vec<String>,
    redirect: Option<String>,
    redirects: u32,
    /// Term of the gossip's leader that was tried last, so that a stale hint is tried once and not for ever.
    tried_term: Option<u64>,
    turn: usize,
}

impl Route {
    pub fn new(seeds: &[String], managers: &[String]) -> Self {
        let mut route = Self {
            seeds: seeds.to_vec(),
            ..Self::default()
        };
        route.learn(managers);
        route
    }

    /// A newer list of managers.
    pub fn learn(&mut self, managers: &[String]) {
        if !managers.is_empty() {
            self.managers = managers.iter().take(MAX_MANAGERS).cloned().collect();
        }
    }

    pub fn managers(&self) -> &[String] {
        &self.managers
    }

    /// The manager to try now: where the last one pointed, else the leader that gossip names, else the next in turn.
    pub fn next(&mut self, hint: &Hint) -> Option<String> {
        self.learn(&hint.managers);
        if let Some(redirect) = self.redirect.take() {
            return Some(redirect);
        }
        if let Some(leader) = &hint.leader
            && self.tried_term.is_none_or(|tried| tried < leader.term)
        {
            self.tried_term = Some(leader.term);
            return Some(leader.node_addr.clone());
        }
        let mut all: Vec<&String> = Vec::new();
        for address in self.managers.iter().chain(&self.seeds) {
            if !all.contains(&address) {
                all.push(address);
            }
        }
        let chosen = (*all.get(self.turn % all.len().max(1))?).clone();
        self.turn = self.turn.wrapping_add(1);
        // When a round is over, the hint may be right by now.
        if self.turn.is_multiple_of(all.len()) {
            self.tried_term = None;
        }
        Some(chosen)
    }

    /// A manager pointed elsewhere. True when the next attempt may follow at once.
    pub fn redirected(&mut self, leader: &str) -> bool {
        self.redirects += 1;
        if leader.is_empty() || self.redirects > MAX_REDIRECTS {
            self.redirects = 0;
            return false;
        }
        self.redirect = Some(leader.to_owned());
        true
    }

    /// A manager welcomed the node: if it is lost, its term's leader is tried once more.
    pub fn welcomed(&mut self) {
        self.redirects = 0;
        self.tried_term = None;
    }
}

/// Whether gossip names a newer leader than the one this session is with.
pub fn should_move(session_term: u64, session_address: &str, hint: &Hint) -> bool {
    hint.leader
        .as_ref()
        .is_some_and(|leader| leader.term > session_term && leader.node_addr != session_address)
}

#[cfg(test)]
mod tests {
    use krakend_gossip::LeaderHint;
    use uuid::Uuid;

    use super::*;

    fn hint(term: u64, leader: &str) -> Hint {
        Hint {
            leader: Some(LeaderHint {
                id: Uuid::nil(),
                term,
                node_addr: leader.into(),
            }),
            ..Hint::default()
        }
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn managers_and_seeds_are_tried_in_turn_each_once() {
        let mut route = Route::new(&strings(&["s:1", "m:1"]), &strings(&["m:1", "m:2"]));
        let tried: Vec<_> = (0..4)
            .filter_map(|_| route.next(&Hint::default()))
            .collect();
        assert_eq!(tried, ["m:1", "m:2", "s:1", "m:1"]);
    }

    #[test]
    fn a_redirect_goes_first_then_the_leader_of_the_gossip_once() {
        let mut route = Route::new(&strings(&["s:1"]), &[]);
        assert!(route.redirected("r:1"));
        let hint = hint(3, "l:1");
        assert_eq!(route.next(&hint).as_deref(), Some("r:1"));
        assert_eq!(route.next(&hint).as_deref(), Some("l:1"));
        assert_eq!(route.next(&hint).as_deref(), Some("s:1"));
    }

    #[test]
    fn redirects_to_nobody_and_in_circles_end_in_a_pause() {
        let mut route = Route::new(&strings(&["s:1"]), &[]);
        assert!(!route.redirected(""));
        let followed = (0..9).take_while(|_| route.redirected("r:1")).count();
        assert_eq!(followed, 4);
    }

    #[test]
    fn without_any_address_there_is_nobody_to_try() {
        assert_eq!(Route::default().next(&Hint::default()), None);
    }

    #[test]
    fn only_a_newer_leader_elsewhere_moves_a_session() {
        assert!(should_move(3, "a:1", &hint(4, "b:1")));
        assert!(!should_move(3, "a:1", &hint(3, "b:1")), "the same term");
        assert!(!should_move(3, "a:1", &hint(4, "a:1")), "the same manager");
        assert!(!should_move(3, "a:1", &Hint::default()));
    }
}
