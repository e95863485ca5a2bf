//! What the handlers did, as they wrote it down themselves. Nothing here is unique, so that a double shows.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::journal::{self, Incarnation, Lines, Micros};

/// An effect has two parts, so that half of one shows, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    Half,
    Whole,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Effect {
    pub(super) id: String,
    pub(super) part: Part,
    pub(super) incarnation: Incarnation,
    pub(super) at: Micros,
}

impl Effect {
    pub(super) fn now(id: &str, part: Part, incarnation: Incarnation) -> Self {
        Self { id: id.to_owned(), part, incarnation, at: journal::now() }
    }
}

/// The table of effects. Nothing of it is unique.
pub(super) const TABLE: &str =
    "CREATE TABLE hostile_effects (id text, part text, incarnation bigint, at bigint)";

impl Effect {
    /// Writes it down in a transaction.
    pub(super) async fn insert<DB: sqlx::Database>(
        self,
        connection: &mut DB::Connection,
    ) -> Result<(), sqlx::Error>
    where
        for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
        DB::Arguments: sqlx::IntoArguments<DB>,
        for<'q> String: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
        for<'q> i64: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    {
        let part = match self.part {
            Part::Half => "half",
            Part::Whole => "whole",
        };
        let insert =
            sqlx::query("INSERT INTO hostile_effects (id, part, incarnation, at) VALUES ($1, $2, $3, $4)")
                .bind(self.id)
                .bind(part.to_owned())
                .bind(self.incarnation.cast_signed())
                .bind(self.at.cast_signed());
        insert.execute(connection).await.map(drop)
    }

    /// All that a table holds.
    pub(super) async fn all<DB: sqlx::Database>(pool: &sqlx::Pool<DB>) -> Vec<Self>
    where
        for<'c> &'c sqlx::Pool<DB>: sqlx::Executor<'c, Database = DB>,
        DB::Arguments: sqlx::IntoArguments<DB>,
        (String, String, i64, i64): for<'r> sqlx::FromRow<'r, DB::Row>,
    {
        let all = sqlx::query_as("SELECT id, part, incarnation, at FROM hostile_effects");
        let all: Vec<(String, String, i64, i64)> = all.fetch_all(pool).await.unwrap();
        let effect = |(id, part, incarnation, at): (_, String, i64, i64)| {
            let part = if part == "half" { Part::Half } else { Part::Whole };
            Self { id, part, incarnation: incarnation.cast_unsigned(), at: at.cast_unsigned() }
        };
        all.into_iter().map(effect).collect()
    }
}

/// A file of effects that are on the disk when their handler returns.
#[derive(Clone, Debug)]
pub(super) struct Ledger(Lines);

impl Ledger {
    pub(super) fn open(path: &Path) -> Self {
        Self(Lines::open(path))
    }

    pub(super) fn half(&self, id: &str, incarnation: Incarnation) {
        self.0.append(&Effect::now(id, Part::Half, incarnation));
    }

    pub(super) fn whole(&self, id: &str, incarnation: Incarnation) {
        self.0.append(&Effect::now(id, Part::Whole, incarnation));
        self.0.sync();
    }

    pub(super) fn read(path: &Path) -> Vec<Effect> {
        journal::read(path)
    }
}
