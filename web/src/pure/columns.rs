//! The columns of the table of nodes: which there are, and which the reader wants.

/// A column that sorts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    State,
    Node,
    Host,
    Configuration,
    Generation,
    Requests,
    Errors,
    P99,
    Cpu,
    Memory,
    Runtime,
    Lease,
    Connections,
    Address,
    Program,
    Manager,
    Joined,
}

impl Column {
    /// All, in the order of the table.
    pub const ALL: [Self; 17] = [
        Self::State,
        Self::Node,
        Self::Host,
        Self::Address,
        Self::Configuration,
        Self::Generation,
        Self::Requests,
        Self::Errors,
        Self::P99,
        Self::Connections,
        Self::Cpu,
        Self::Memory,
        Self::Runtime,
        Self::Program,
        Self::Manager,
        Self::Joined,
        Self::Lease,
    ];

    /// Those that say which row it is: always there.
    pub const FIXED: usize = 3;

    /// Head of the column.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::State => "State",
            Self::Node => "Node",
            Self::Host => "Host",
            Self::Configuration => "Configuration",
            Self::Generation => "Generation",
            Self::Requests => "Requests/s",
            Self::Errors => "Errors",
            Self::P99 => "p99",
            Self::Cpu => "CPU",
            Self::Memory => "Memory",
            Self::Runtime => "Runtime",
            Self::Lease => "Lease left",
            Self::Connections => "Connections",
            Self::Address => "Address",
            Self::Program => "Program",
            Self::Manager => "Session with",
            Self::Joined => "Joined",
        }
    }

    /// The word in classes, test ids and what the browser remembers.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Node => "node",
            Self::Host => "host",
            Self::Configuration => "configuration",
            Self::Generation => "generation",
            Self::Requests => "requests",
            Self::Errors => "errors",
            Self::P99 => "p99",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Runtime => "runtime",
            Self::Lease => "lease",
            Self::Connections => "connections",
            Self::Address => "address",
            Self::Program => "program",
            Self::Manager => "manager",
            Self::Joined => "joined",
        }
    }

    /// Numbers begin with the largest, words with the first.
    #[must_use]
    pub fn descends_first(self) -> bool {
        matches!(
            self,
            Self::State
                | Self::Requests
                | Self::Errors
                | Self::P99
                | Self::Cpu
                | Self::Memory
                | Self::Connections
                | Self::Joined
        )
    }

    /// True for columns of numbers, which stand at the right.
    #[must_use]
    pub fn is_number(self) -> bool {
        matches!(
            self,
            Self::Generation
                | Self::Requests
                | Self::Errors
                | Self::P99
                | Self::Cpu
                | Self::Memory
                | Self::Connections
                | Self::Lease
        )
    }

    fn by_default(self) -> bool {
        !matches!(
            self,
            Self::Connections | Self::Address | Self::Program | Self::Manager | Self::Joined
        )
    }
}

/// What the browser remembers; without it the usual ones.
#[must_use]
pub fn chosen(kept: Option<&str>) -> Vec<Column> {
    let wanted = |at: usize, column: Column| {
        at < Column::FIXED
            || kept.map_or(column.by_default(), |kept| {
                kept.split(',').any(|key| key == column.key())
            })
    };
    let all = Column::ALL.into_iter().enumerate();
    all.filter(|(at, column)| wanted(*at, *column))
        .map(|(_, column)| column)
        .collect()
}

/// The list with one column more or less, in the order of the table.
#[must_use]
pub fn toggled(columns: &[Column], column: Column) -> Vec<Column> {
    let with = |c: &Column| columns.contains(c) != (*c == column);
    Column::ALL.into_iter().filter(with).collect()
}

/// For the browser to remember.
#[must_use]
pub fn kept(columns: &[Column]) -> String {
    let keys: Vec<&str> = columns.iter().map(|c| c.key()).collect();
    keys.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_remembered_and_the_first_columns_always_stay() {
        let usual = chosen(None);
        assert_eq!(usual.len(), 12);
        let fewer = toggled(&usual, Column::Cpu);
        assert!(!fewer.contains(&Column::Cpu));
        let more = toggled(&fewer, Column::Address);
        assert_eq!(more[3], Column::Address);
        assert_eq!(chosen(Some(&kept(&more))), more);
        assert_eq!(chosen(Some("")), Column::ALL[..Column::FIXED]);
        assert_eq!(chosen(Some("nonsense")).len(), Column::FIXED);
    }

    #[test]
    fn no_two_columns_share_a_key() {
        let mut keys = Column::ALL.map(Column::key).to_vec();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), Column::ALL.len());
    }
}
