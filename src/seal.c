/*
 * seal.c
 *		A digest of rows, for the evidence that they are as they were.
 *
 * Two aggregates over the same state.  risk.rows_digest() is the SHA-256 of
 * the rows as COPY BINARY writes them, one after the other: the number of
 * columns, then each column with its length before it and -1 for NULL.  Who
 * has the rows can compute it with other tools.  risk.rows_marks() is a
 * CRC-32C of each row; marks prove nothing, but where a digest differs they
 * tell which row it is.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "port/pg_crc32c.h"
#include "utils/builtins.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(risk_add_row);
PG_FUNCTION_INFO_V1(risk_rows_digest);
PG_FUNCTION_INFO_V1(risk_rows_marks);

typedef struct RowsDigest
{
	pg_cryptohash_ctx *hash;	/* NULL: finished */
	uint8		result[PG_SHA256_DIGEST_LENGTH];	/* then */
	StringInfoData row;			/* the row at hand, encoded */
	StringInfoData marks;
} RowsDigest;

/* For an aggregate that is given up half way. */
static void
release_hash(Datum argument)
{
	RowsDigest *digest = (RowsDigest *) DatumGetPointer(argument);

	pg_cryptohash_free(digest->hash);
	digest->hash = NULL;
}

static RowsDigest *
begin_digest(FunctionCallInfo fcinfo, MemoryContext context)
{
	RowsDigest *digest = MemoryContextAllocZero(context, sizeof(RowsDigest));
	MemoryContext caller = MemoryContextSwitchTo(context);

	initStringInfo(&digest->row);
	initStringInfo(&digest->marks);
	digest->hash = pg_cryptohash_create(PG_SHA256);
	AggRegisterCallback(fcinfo, release_hash, PointerGetDatum(digest));
	MemoryContextSwitchTo(caller);
	if (pg_cryptohash_init(digest->hash) < 0)
		elog(ERROR, "could not begin a digest: %s", pg_cryptohash_error(digest->hash));
	return digest;
}

static void
append_bytes(StringInfo row, const char *bytes, int length)
{
	pq_sendint32(row, length);
	appendBinaryStringInfo(row, bytes, length);
}

static void
append_column(StringInfo row, Datum value, Oid type)
{
	switch (type)
	{
		case INT4OID:
		case DATEOID:
			pq_sendint32(row, 4);
			pq_sendint32(row, DatumGetInt32(value));
			break;
		case INT8OID:
		case TIMESTAMPTZOID:
			pq_sendint32(row, 8);
			pq_sendint64(row, DatumGetInt64(value));
			break;
		case NUMERICOID:
		case BYTEAOID:
			{
				bytea	   *bytes = type == BYTEAOID ? DatumGetByteaPP(value) :
					DatumGetByteaPP(DirectFunctionCall1(numeric_send, value));

				append_bytes(row, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
				break;
			}
		case TEXTOID:
			{
				/* in one encoding, whatever that of the database or the client */
				text	   *stored = DatumGetTextPP(value);
				int			length = VARSIZE_ANY_EXHDR(stored);
				char	   *utf8 = pg_server_to_any(VARDATA_ANY(stored), length, PG_UTF8);

				append_bytes(row, utf8, utf8 == VARDATA_ANY(stored) ? length : (int) strlen(utf8));
				break;
			}
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("a digest cannot have a column of type %s", format_type_be(type)),
					 errhint("Cast it to integer, bigint, numeric, text, bytea, date or timestamptz.")));
	}
}

/* risk.add_row(state, columns ...): one row more */
Datum
risk_add_row(PG_FUNCTION_ARGS)
{
	RowsDigest *digest;
	MemoryContext context;
	pg_crc32c	mark;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "risk.add_row() called outside of an aggregate");
	digest = PG_ARGISNULL(0) ? begin_digest(fcinfo, context) : (RowsDigest *) PG_GETARG_POINTER(0);

	resetStringInfo(&digest->row);
	pq_sendint16(&digest->row, PG_NARGS() - 1);
	for (int i = 1; i < PG_NARGS(); i++)
	{
		if (PG_ARGISNULL(i))
			pq_sendint32(&digest->row, -1);
		else
			append_column(&digest->row, PG_GETARG_DATUM(i), get_fn_expr_argtype(fcinfo->flinfo, i));
	}

	if (pg_cryptohash_update(digest->hash, (uint8 *) digest->row.data, digest->row.len) < 0)
		elog(ERROR, "could not compute a digest: %s", pg_cryptohash_error(digest->hash));
	INIT_CRC32C(mark);
	COMP_CRC32C(mark, digest->row.data, digest->row.len);
	FIN_CRC32C(mark);
	pq_sendint32(&digest->marks, mark);
	PG_RETURN_POINTER(digest);
}

static bytea *
make_bytea(const void *bytes, int length)
{
	bytea	   *result = palloc(VARHDRSZ + length);

	SET_VARSIZE(result, VARHDRSZ + length);
	memcpy(VARDATA(result), bytes, length);
	return result;
}

/* risk.finish_digest(state); NULL when there was no row */
Datum
risk_rows_digest(PG_FUNCTION_ARGS)
{
	RowsDigest *digest;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "risk.finish_digest() called outside of an aggregate");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	digest = (RowsDigest *) PG_GETARG_POINTER(0);
	/* a hashed aggregate that is scanned again asks again */
	if (digest->hash != NULL)
	{
		if (pg_cryptohash_final(digest->hash, digest->result, sizeof(digest->result)) < 0)
			elog(ERROR, "could not finish a digest: %s", pg_cryptohash_error(digest->hash));
		release_hash(PointerGetDatum(digest));
	}
	PG_RETURN_BYTEA_P(make_bytea(digest->result, sizeof(digest->result)));
}

/* risk.finish_marks(state); NULL when there was no row */
Datum
risk_rows_marks(PG_FUNCTION_ARGS)
{
	RowsDigest *digest;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "risk.finish_marks() called outside of an aggregate");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	digest = (RowsDigest *) PG_GETARG_POINTER(0);
	PG_RETURN_BYTEA_P(make_bytea(digest->marks.data, digest->marks.len));
}
