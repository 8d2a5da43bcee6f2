"""The tables of a score store, and the statements that write them.

`score(arch, seed, proxy, value, status)`, `run(arch, seed, seconds, detail, finished_at)` (UTC), `meta(kind,
key, value)` and `environment_change(opened_at, key, old, new)`. Values are float64, bit for bit; NULL stands for NaN.
Where an architecture's name does not say what is built, `meta` keeps the fingerprint of what it was (kind "network").
The column `value` has no declared type on purpose: SQLite's REAL would turn -0.0 into 0.0
(https://sqlite.org/datatype3.html).
"""

TABLES = (
    "CREATE TABLE meta(kind TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY(kind, key)) WITHOUT ROWID",
    "CREATE TABLE environment_change(opened_at TEXT NOT NULL, key TEXT NOT NULL, old TEXT, new TEXT)",
    """CREATE TABLE score(arch TEXT, seed INTEGER, proxy TEXT, value CHECK(typeof(value) IN ('real', 'null')),
       status TEXT NOT NULL, PRIMARY KEY(arch, seed, proxy)) WITHOUT ROWID""",
    """CREATE TABLE run(arch TEXT, seed INTEGER, seconds REAL NOT NULL, detail TEXT NOT NULL, finished_at TEXT NOT NULL,
       PRIMARY KEY(arch, seed)) WITHOUT ROWID""",
)
UPSERT = """INSERT INTO score VALUES (?, ?, ?, ?, ?) ON CONFLICT(arch, seed, proxy) DO UPDATE
    SET value = excluded.value, status = excluded.status WHERE excluded.status <> 'failed' OR score.status = 'failed'"""
RUN = """INSERT INTO run VALUES (?, ?, ?, ?, ?) ON CONFLICT(arch, seed) DO UPDATE SET
    seconds = run.seconds + excluded.seconds, finished_at = excluded.finished_at,
    detail = CASE WHEN run.detail IN ('', excluded.detail) THEN excluded.detail
                  WHEN excluded.detail = '' THEN run.detail ELSE run.detail || '; ' || excluded.detail END"""
MERGED_RUN = """INSERT INTO run VALUES (?, ?, ?, ?, ?) ON CONFLICT(arch, seed) DO UPDATE SET
    seconds = excluded.seconds, detail = excluded.detail, finished_at = excluded.finished_at
    WHERE excluded.detail = ''"""

ANY_GOOD = "SELECT 1 FROM score WHERE arch = ? AND status <> 'failed' LIMIT 1"

CHANGE = """INSERT INTO environment_change SELECT ?, ?, ?, ? WHERE NOT EXISTS
    (SELECT 1 FROM environment_change WHERE opened_at IS ? AND key IS ? AND old IS ? AND new IS ?)"""
