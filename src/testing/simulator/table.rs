//! Things in the order in which they came, each found by its id.

use std::collections::{BTreeMap, HashMap};

/// Rows with numbers that are never given twice.
pub(super) struct Table<T> {
    next: u64,
    rows: BTreeMap<u64, (String, T)>,
    numbers: HashMap<String, u64>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { next: 0, rows: BTreeMap::new(), numbers: HashMap::new() }
    }
}

impl<T> Table<T> {
    /// Appends a row and returns its number. Ids are random: none is there already.
    pub(super) fn push(&mut self, id: String, row: T) -> u64 {
        let number = self.next;
        self.next += 1;
        self.numbers.insert(id.clone(), number);
        self.rows.insert(number, (id, row));
        number
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.rows.get(self.numbers.get(id)?).map(|(_, row)| row)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.rows.get_mut(self.numbers.get(id)?).map(|(_, row)| row)
    }

    pub(super) fn at_mut(&mut self, number: u64) -> Option<&mut T> {
        self.rows.get_mut(&number).map(|(_, row)| row)
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<T> {
        let number = self.numbers.remove(id)?;
        self.rows.remove(&number).map(|(_, row)| row)
    }

    /// Removes the oldest row of those that may go.
    pub(super) fn remove_oldest(&mut self, may_go: impl Fn(&T) -> bool) {
        let oldest = self.rows.values().find(|(_, row)| may_go(row)).map(|(id, _)| id.clone());
        if let Some(id) = oldest {
            self.remove(&id);
        }
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.rows.values().map(|(_, row)| row)
    }

    /// Oldest first.
    pub(super) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.rows.values_mut().map(|(_, row)| row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_numbers_survive_what_is_removed_before_them() {
        let mut table = Table::default();
        let numbers = ["a", "b", "c", "d"].map(|id| table.push(id.to_owned(), id.to_uppercase()));
        assert_eq!(table.remove("b").as_deref(), Some("B"));
        assert_eq!(table.remove("b"), None);
        table.remove_oldest(|row| row != "A");
        assert_eq!(table.iter().collect::<Vec<_>>(), ["A", "D"], "C went, and A might not");
        assert_eq!((table.get("c"), table.get("d").map(String::as_str)), (None, Some("D")));

        let again = table.push("b".to_owned(), "B again".to_owned());
        assert!(again > numbers[3], "a number is not given twice");
        table.at_mut(numbers[3]).unwrap().push('!');
        table.get_mut("a").unwrap().push('?');
        assert_eq!(table.at_mut(numbers[1]), None);
        for row in table.iter_mut() {
            row.insert(0, '.');
        }
        assert_eq!(table.iter().rev().collect::<Vec<_>>(), [".B again", ".D!", ".A?"]);
        assert_eq!((table.len(), table.numbers.len()), (3, 3), "what is removed leaves nothing behind");
    }
}
