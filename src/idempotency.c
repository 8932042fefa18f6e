/*
 * idempotency.c
 *		Keys that make a row of a table be posted once.
 *
 * A key stands for the first row that was committed with it.  With the key is
 * kept a digest of what the caller chose of that row, so that a second row can
 * be told to be the same or another.  What the database set, such as the time
 * of posting, is not in the digest: it differs whenever somebody tries again.
 *
 * Keys come before any lock, in their own order: two statements with the same
 * key meet here, and the second holds nothing that the first may want.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "decimal.h"
#include "idempotency.h"

static const LedgerStatement insert_keys = {
	"INSERT INTO {idempotency} (book_id, kind, idempotency_key, id, digest)"
	" SELECT $1, $2, u.idempotency_key, u.id, u.digest"
	" FROM unnest($3, $4, $5) AS u(idempotency_key, id, digest)"
	" ORDER BY u.idempotency_key, u.id"
	" ON CONFLICT DO NOTHING",
	5, {INT4OID, TEXTOID, TEXTARRAYOID, INT8ARRAYOID, BYTEAARRAYOID}
};

static const LedgerStatement read_keys = {
	"SELECT u.place::int, i.id, i.kind, i.digest = u.digest"
	" FROM unnest($2, $3) WITH ORDINALITY AS u(idempotency_key, digest, place), LATERAL ("
	"  SELECT i.* FROM {idempotency} i"
	"  WHERE i.book_id = $1 AND i.idempotency_key = u.idempotency_key OFFSET 0) AS i",
	3, {INT4OID, TEXTARRAYOID, BYTEAARRAYOID}
};

static const LedgerStatement delete_keys = {
	"DELETE FROM {idempotency} i USING unnest($2) AS u(idempotency_key)"
	" WHERE i.book_id = $1 AND i.idempotency_key = u.idempotency_key",
	2, {INT4OID, TEXTARRAYOID}
};

static bool forgetting = false;

/* canonical_int64: a field of a row */
const char *
canonical_int64(int64 value)
{
	return psprintf(INT64_FORMAT, value);
}

/* canonical_number: a field of a row; numbers that are equal are the same text */
const char *
canonical_number(Numeric value)
{
	if (!decimal_is_finite(value))
		return decimal_to_cstring(value);
	return decimal_to_cstring(decimal_round(value, decimal_scale(value), DECIMAL_DOWN));
}

/* canonical_instant: a field, as to_char() writes it; the tables have a CHECK for the years */
const char *
canonical_instant(TimestampTz instant)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(instant, NULL, &tm, &fsec, NULL, NULL) != 0)
		return "out of range";
	return psprintf("%04d-%02d-%02d %02d:%02d:%02d.%06d", tm.tm_year, tm.tm_mon, tm.tm_mday,
					tm.tm_hour, tm.tm_min, tm.tm_sec, (int) fsec);
}

static void
hash_field(pg_cryptohash_ctx *hash, const char *field)
{
	uint32		length = pg_hton32(field == NULL ? PG_UINT32_MAX : strlen(field));

	if (pg_cryptohash_update(hash, (const uint8 *) &length, sizeof(length)) < 0 ||
		(field != NULL && pg_cryptohash_update(hash, (const uint8 *) field, strlen(field)) < 0))
		elog(ERROR, "could not compute a SHA-256 digest");
}

/*
 * SHA-256 over the kind and the fields, each after its length in bytes, so
 * that no two different rows are the same sequence of bytes.
 */
static Datum
row_digest(const KeyedTable *table, const KeyedRow *row)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	bytea	   *digest = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	SET_VARSIZE(digest, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	if (hash == NULL || pg_cryptohash_init(hash) < 0)
		elog(ERROR, "could not compute a SHA-256 digest");
	hash_field(hash, table->kind);
	for (int c = 0; c < MAX_KEYED_COLUMNS && table->columns[c] != NULL; c++)
		hash_field(hash, row->fields[c]);
	if (pg_cryptohash_final(hash, (uint8 *) VARDATA(digest), PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not compute a SHA-256 digest");
	pg_cryptohash_free(hash);
	return PointerGetDatum(digest);
}

/*
 * idempotency_try
 *		Let the keys of these rows stand for them, as far as they do not stand
 *		for others yet, and say of each row what its key stands for.
 */
void
idempotency_try(Wiring *wiring, int32 book_id, const KeyedTable *table, KeyedRow *rows, int n)
{
	Datum	   *keys = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	Datum	   *ids = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	Datum	   *digests = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	Datum		values[5] = {Int32GetDatum(book_id), CStringGetTextDatum(table->kind)};

	for (int i = 0; i < n; i++)
	{
		keys[i] = CStringGetTextDatum(rows[i].key);
		ids[i] = Int64GetDatum(rows[i].id);
		digests[i] = row_digest(table, &rows[i]);
		rows[i].original = rows[i].id;
		rows[i].original_kind = table->kind;
		rows[i].same = true;
	}
	values[2] = array_argument(keys, NULL, n, TEXTOID);
	values[3] = array_argument(ids, NULL, n, INT8OID);
	values[4] = array_argument(digests, NULL, n, BYTEAOID);
	wiring_write(wiring, &insert_keys, values);
	if (SPI_processed == (uint64) n)
		return;

	/* who began before a key was used could not read what it stands for */
	values[1] = values[2];
	values[2] = values[4];
	wiring_read(wiring, &read_keys, values, LEDGER_AS_TRANSACTION);
	if (SPI_processed != (uint64) n)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errdetail("An idempotency key was used after the transaction began."),
				 errhint("Try the transaction again.")));
	for (int row = 0; row < n; row++)
	{
		KeyedRow   *keyed = &rows[result_int32(row, 1) - 1];

		keyed->original = result_int64(row, 2);
		keyed->original_kind = result_text(row, 3);
		keyed->same = result_bool(row, 4);
	}
}

/* What a row that is not the original has of other content. */
static char *
difference(Wiring *wiring, int32 book_id, const KeyedTable *table, const KeyedRow *row)
{
	Datum		values[2] = {Int32GetDatum(book_id), Int64GetDatum(row->original)};

	if (strcmp(row->original_kind, table->kind) == 0)
		wiring_read(wiring, table->read_row, values, LEDGER_LATEST);
	else
		SPI_processed = 0;
	for (int c = 0; SPI_processed > 0 && c < MAX_KEYED_COLUMNS && table->columns[c] != NULL; c++)
	{
		char	   *was = result_text(0, c + 1);

		if ((was == NULL) != (row->fields[c] == NULL) ||
			(was != NULL && strcmp(was, row->fields[c]) != 0))
			return psprintf("It stands for %s " INT64_FORMAT " with %s %s; here it is %s.",
							row->original_kind, row->original, table->columns[c],
							was == NULL ? "NULL" : was, row->fields[c] == NULL ? "NULL" : row->fields[c]);
	}
	return psprintf("It stands for %s " INT64_FORMAT ".", row->original_kind, row->original);
}

/* idempotency_report: 23505 for a row whose key stands for another one */
void
idempotency_report(Wiring *wiring, int32 book_id, const KeyedTable *table, const KeyedRow *row)
{
	if (row->same)
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("%s " INT64_FORMAT ": idempotency key \"%s\" is used", table->kind, row->id, row->key),
				 errdetail("It stands for %s " INT64_FORMAT ", which is the same.",
						   row->original_kind, row->original),
				 errhint("The posting functions, such as risk.deposit(), return the original instead."),
				 errtableconstraint(wiring->relation, "idempotency_key")));
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("%s " INT64_FORMAT ": idempotency key \"%s\" is used with other content",
					table->kind, row->id, row->key),
			 errdetail("%s", difference(wiring, book_id, table, row)),
			 errhint("A key stands for one row for good; give a new one its own."),
			 errtableconstraint(wiring->relation, "idempotency_content")));
}

/*
 * idempotency_forget
 *		Take back the keys that these rows took a moment ago, in this
 *		transaction, because the rows are not to be: nobody else has seen them.
 */
void
idempotency_forget(Wiring *wiring, int32 book_id, KeyedRow *rows, int n)
{
	Datum	   *keys = palloc_extended(sizeof(Datum) * Max(n, 1), MCXT_ALLOC_HUGE);
	Datum		values[2] = {Int32GetDatum(book_id)};

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
		keys[i] = CStringGetTextDatum(rows[i].key);
	values[1] = array_argument(keys, NULL, n, TEXTOID);
	forgetting = true;
	PG_TRY();
	{
		wiring_write(wiring, &delete_keys, values);
	}
	PG_FINALLY();
	{
		forgetting = false;
	}
	PG_END_TRY();
}

/* idempotency_is_forgetting: whether idempotency_forget() is deleting keys */
bool
idempotency_is_forgetting(void)
{
	return forgetting;
}

/*
 * idempotency_take
 *		Let the keys of those rows that have one stand for them.  23505 for the
 *		first whose key stands for another row: constraint idempotency_key when
 *		that one has the same content, else idempotency_content.
 */
void
idempotency_take(Wiring *wiring, int32 book_id, const KeyedTable *table, void **rows, int n)
{
	KeyedRow   *keyed = NULL;
	int			nkeyed = 0;
	int			size = 0;

	for (int i = 0; i < n; i++)
	{
		KeyedRow	row = table->keyed(rows[i]);

		if (row.key == NULL)
			continue;
		if (nkeyed == size)
		{
			size = Max(16, size * 2);
			keyed = keyed == NULL ? palloc(sizeof(KeyedRow) * size) : repalloc_huge(keyed, sizeof(KeyedRow) * size);
		}
		keyed[nkeyed++] = row;
	}
	if (nkeyed == 0)
		return;
	idempotency_try(wiring, book_id, table, keyed, nkeyed);
	for (int i = 0; i < nkeyed; i++)
		if (keyed[i].original != keyed[i].id || !keyed[i].same)
			idempotency_report(wiring, book_id, table, &keyed[i]);
}
