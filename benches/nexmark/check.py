"""Compares what came out of a query with what DuckDB answers from the events themselves.

usage: check.py EVENTS OUTPUTS QUERY...

EVENTS is a folder with person.csv, auction.csv and bid.csv. OUTPUTS holds for each query a folder `qN` of files with one
row in each line. `sql/qN.sql` says what the columns are, what is expected and, for a query that tells each change, what the
output comes to. Rows are compared as multisets: no order is promised.
"""

import pathlib
import sys
import time

import duckdb

TABLES = {
    "person": "id BIGINT, name VARCHAR, email VARCHAR, card VARCHAR, city VARCHAR, state VARCHAR, time BIGINT, extra VARCHAR",
    "auction": "id BIGINT, item VARCHAR, description VARCHAR, initial_bid BIGINT, reserve BIGINT, time BIGINT,"
    " expires BIGINT, seller BIGINT, category BIGINT, extra VARCHAR",
    "bid": "auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, time BIGINT, extra VARCHAR",
}
ROWS_SHOWN = 5


def read(columns, files, header):
    """A table function that reads files with these columns."""
    types = ", ".join(f"'{name}': '{kind}'" for name, kind in split(columns))
    return f"read_csv({files!r}, delim='|', header={header}, quote='', escape='', columns={{{types}}})"


def split(columns):
    """The names and types of columns."""
    return [column.strip().rsplit(" ", 1) for column in columns.split(",")]


def parse(path):
    """The columns of a query, what its output comes to, and what is expected."""
    head, expected = path.read_text().split("-- expected:\n")
    columns, _, output = head.partition("-- output:\n")
    columns = columns.strip().removeprefix("-- columns:")
    return columns, output.strip().rstrip(";") or "select * from output", expected.strip().rstrip(";")


def check(db, query, outputs):
    """How many rows there are, and how many are missing and too many."""
    columns, output, expected = parse(pathlib.Path(__file__).parent / "sql" / f"{query}.sql")
    files = [str(path) for path in sorted((outputs / query).glob("part-*")) if path.stat().st_size]
    names = ", ".join(f"null::{kind} as {name}" for name, kind in split(columns))
    rows = f"select * from {read(columns, files, False)}" if files else f"select {names} where false"
    db.execute(f"create or replace temp table output as {rows}")
    db.execute(f"create or replace temp table actual as {output}")
    db.execute(f"create or replace temp table expected as {expected}")
    n = db.execute("select count(*) from expected").fetchone()[0]
    missing = db.execute("select * from expected except all select * from actual").fetchall()
    surplus = db.execute("select * from actual except all select * from expected").fetchall()
    return n, missing, surplus


def main():
    events, outputs, queries = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    db = duckdb.connect()
    for name, columns in TABLES.items():
        db.execute(f"create table {name} as select * from {read(columns, str(events / f'{name}.csv'), True)}")
    n_wrong = 0
    for query in queries:
        began = time.monotonic()
        n, missing, surplus = check(db, query, outputs)
        is_right = not missing and not surplus and n > 0
        n_wrong += not is_right
        verdict = "as expected" if is_right else f"WRONG: {len(missing)} missing, {len(surplus)} too many"
        print(f"{query}: {n} rows, {verdict} ({time.monotonic() - began:.1f} s)", flush=True)
        for what, rows in [("missing", missing), ("too many", surplus)]:
            for row in rows[:ROWS_SHOWN]:
                print(f"  {what}: {row}")
    sys.exit(1 if n_wrong else 0)


if __name__ == "__main__":
    main()
