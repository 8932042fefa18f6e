/*
 * limits.c
 *		The check at commit: no trade adds risk beyond a limit, where the
 *		instrument says that such trades are refused, or beyond what its account
 *		can cover, where the policy does.
 *
 * Three limits: of an owner over all accounts, of the open interest of an
 * instrument, and the cap of the last margin tier for one position.  The first
 * two are sums over accounts that other transactions may be trading on, so
 * they are read behind the gate of the book: of two transactions that add
 * risk, the second waits for the first to end and sees what it did.  One that
 * does not add risk passes no gate; it can only make the sums smaller.
 *
 * What counts is what the transaction has made of its positions in all, and,
 * for what it covers, of its balances and order reserves.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"

#include "limits.h"
#include "margin.h"
#include "posting.h"

PG_FUNCTION_INFO_V1(risk_enforce_limits);

/* A position that the transaction changed, in an instrument with limits. */
typedef struct ChangedPosition
{
	int64		account_id;
	int32		instrument_id;
	int64		trade_id;		/* that added risk and may be refused, or 0 */
	Numeric		qty_before;
	Numeric		qty;
	Numeric		notional;		/* at the mark, or at its cost */
	Numeric		notional_cap;	/* of the last tier, or NULL */
	char	   *owner_id;		/* or NULL */
	Numeric		owner_qty;		/* of the owner, on the side of the position */
	Numeric		owner_notional;
	Numeric		max_qty;		/* of the owner, or NULL */
	Numeric		max_notional;
	Numeric		open_interest;	/* of the instrument; NULL: without limit */
	Numeric		open_interest_limit;
} ChangedPosition;

/* The transaction that noted positions last, so that others need not look for theirs. */
static TransactionId noting_transaction = InvalidTransactionId;

static const LedgerStatement note_risk = {
	"INSERT INTO {added_risk} AS r (book_id, account_id, instrument_id, qty_before, trade_id)"
	" SELECT $1, * FROM unnest($2, $3, $4, $5)"
	" ON CONFLICT (book_id, account_id, instrument_id)"
	" DO UPDATE SET trade_id = coalesce(excluded.trade_id, r.trade_id)",
	5, {INT4OID, INT8ARRAYOID, INT4ARRAYOID, NUMERICARRAYOID, INT8ARRAYOID}
};

static const LedgerStatement take_notes = {
	"WITH taken AS (DELETE FROM {added_risk} r WHERE r.book_id = $1"
	"  RETURNING r.account_id, r.instrument_id, r.qty_before, r.trade_id)"
	" SELECT t.account_id, t.instrument_id, t.qty_before, t.trade_id,"
	"  (SELECT i.limit_mode = 'refuse' FROM {instrument} i WHERE i.instrument_id = t.instrument_id)"
	" FROM taken t ORDER BY t.account_id, t.instrument_id",
	1, {INT4OID}
};

static const LedgerStatement is_noted = {
	"SELECT FROM {added_risk} r WHERE r.book_id = $1 AND r.account_id = $2 AND r.instrument_id = $3",
	3, {INT4OID, INT8OID, INT4OID}
};

/* what a position is part of; positions come from the table, or, in a trial, with one replaced */
#define STORED_POSITION(account) \
	"SELECT p.qty, p.cost FROM {position} p" \
	"  WHERE p.book_id = $1 AND p.account_id = " account ".account_id AND p.instrument_id = u.instrument_id"
#define TRIED_POSITION(account) \
	STORED_POSITION(account) " AND p.account_id <> u.account_id" \
	"  UNION ALL SELECT $4, $5 WHERE " account ".account_id = u.account_id"

#define READ_TOTALS(POSITION, open_interest_change) \
	"SELECT coalesce(p.qty, 0), coalesce(p.cost, 0), i.kind, i.multiplier, m.price, a.owner_id," \
	" coalesce(w.qty, p.qty, 0), coalesce(w.cost, p.cost, 0), l.max_qty, l.max_notional," \
	" (SELECT t.notional_cap FROM {margin_tier} t WHERE t.instrument_id = u.instrument_id" \
	"   ORDER BY t.notional_floor DESC LIMIT 1)," \
	" i.open_interest_limit," \
	" CASE WHEN i.open_interest_limit IS NOT NULL THEN coalesce(" \
	"  (SELECT sum(o.qty) FROM {position} o" \
	"    WHERE (o.book_id::bigint << 32) + o.instrument_id = ($1::bigint << 32) + u.instrument_id" \
	"      AND o.qty > 0), 0)" open_interest_change " END" \
	" FROM unnest($2, $3) WITH ORDINALITY AS u(account_id, instrument_id, place)" \
	" CROSS JOIN LATERAL (SELECT a.* FROM {account} a" \
	"  WHERE a.book_id = $1 AND a.account_id = u.account_id OFFSET 0) AS a" \
	" CROSS JOIN LATERAL (SELECT i.* FROM {instrument} i" \
	"  WHERE i.instrument_id = u.instrument_id OFFSET 0) AS i" \
	" LEFT JOIN LATERAL (" POSITION("u") " OFFSET 0) AS p ON true" \
	" LEFT JOIN LATERAL (SELECT m.* FROM {mark_price} m" \
	"  WHERE m.instrument_id = u.instrument_id OFFSET 0) AS m ON true" \
	" LEFT JOIN LATERAL (SELECT sum(o.qty) AS qty, sum(o.cost) AS cost" \
	"  FROM {account} b, LATERAL (" POSITION("b") " OFFSET 0) AS o" \
	"  WHERE b.book_id = $1 AND b.owner_id = a.owner_id AND b.kind = 'trader'" \
	"   AND sign(o.qty) = sign(p.qty)) AS w ON true" \
	" LEFT JOIN LATERAL (SELECT n.max_qty, n.max_notional FROM (" \
	"  SELECT n.* FROM {position_limit} n WHERE n.instrument_id = u.instrument_id AND n.owner_id = a.owner_id" \
	"  UNION ALL" \
	"  SELECT n.* FROM {position_limit} n WHERE n.instrument_id = u.instrument_id AND n.owner_id IS NULL) AS n" \
	"  ORDER BY n.owner_id NULLS LAST LIMIT 1) AS l ON true" \
	" ORDER BY u.place"

static const LedgerStatement read_totals = {
	READ_TOTALS(STORED_POSITION, ""),
	3, {INT4OID, INT8ARRAYOID, INT4ARRAYOID}
};

static const LedgerStatement read_totals_of_trial = {
	READ_TOTALS(TRIED_POSITION, " + $6"),
	6, {INT4OID, INT8ARRAYOID, INT4ARRAYOID, NUMERICOID, NUMERICOID, NUMERICOID}
};

/* Accounts whose policy refuses what they cannot cover, and that cannot. */
static const LedgerStatement read_uncovered = {
	"SELECT u.account_id, u.trade_id, r.free_collateral, r.equity, r.liquidation_requirement"
	" FROM (SELECT u.account_id, max(u.trade_id) AS trade_id"
	"  FROM unnest($2, $3) AS u(account_id, trade_id), LATERAL ("
	"   SELECT a.* FROM {account} a WHERE a.book_id = $1 AND a.account_id = u.account_id OFFSET 0) AS a"
	"  WHERE (SELECT y.refuse_uncovered FROM {policy} y"
	"   WHERE y.policy_code = a.policy_code AND y.effective_at <= clock_timestamp() ORDER BY y.version DESC LIMIT 1)"
	"  GROUP BY u.account_id OFFSET 0) AS u, LATERAL ("
	"  SELECT r.free_collateral, r.equity, r.liquidation_requirement, r.liquidatable FROM {schema}.account_risk r"
	"  WHERE r.book_id = $1 AND r.account_id = u.account_id OFFSET 0) AS r"
	" WHERE r.free_collateral < 0 OR r.liquidatable ORDER BY u.account_id LIMIT 1",
	3, {INT4OID, INT8ARRAYOID, INT8ARRAYOID}
};

static Numeric
zero(void)
{
	return decimal_from_int64(0);
}

/* What a quantity counts for on one side. */
static Numeric
on_side(Numeric qty, int side)
{
	return decimal_max(zero(), side > 0 ? qty : decimal_negate(qty));
}

/* How much larger the transaction made a position on one side; below zero: smaller. */
static Numeric
growth(const ChangedPosition *position, int side)
{
	return decimal_subtract(on_side(position->qty, side), on_side(position->qty_before, side));
}

static bool
is_same_owner(const ChangedPosition *a, const ChangedPosition *b)
{
	if (a->owner_id == NULL || b->owner_id == NULL)
		return a->account_id == b->account_id;
	return strcmp(a->owner_id, b->owner_id) == 0;
}

/* The growth of all positions of the instrument, of one owner or of everybody. */
static bool
has_grown(const ChangedPosition *positions, int n, const ChangedPosition *of, int side, bool of_owner)
{
	Numeric		sum = zero();

	for (int i = 0; i < n; i++)
		if (positions[i].instrument_id == of->instrument_id &&
			(!of_owner || is_same_owner(&positions[i], of)))
			sum = decimal_add(sum, growth(&positions[i], side));
	return decimal_sign(sum) > 0;
}

static bool
is_beyond(Numeric value, Numeric limit)
{
	return limit != NULL && decimal_compare(value, limit) > 0;
}

static void
refuse(int32 book_id, const ChangedPosition *position, const char *constraint, const char *what,
	   Numeric value, Numeric limit, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("trade " INT64_FORMAT ": account " INT64_FORMAT " of book %d may not add to instrument %d",
					position->trade_id, position->account_id, book_id, position->instrument_id),
			 errdetail("%s would be %s, the limit is %s.", what,
					   decimal_to_cstring(value), decimal_to_cstring(limit)),
			 errhint("%s", hint),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint)));
}

/* Judge one position that a trade made larger. */
static void
check_limits(int32 book_id, const ChangedPosition *positions, int n, const ChangedPosition *position)
{
	int			side = decimal_sign(position->qty);
	static const char *const hint = "Trade less, raise the limit, or set limit_mode of the instrument to report.";

	if (side != 0 && decimal_sign(growth(position, side)) > 0)
	{
		if (is_beyond(position->notional, position->notional_cap))
			refuse(book_id, position, "notional_cap", "The notional of the position",
				   position->notional, position->notional_cap, hint);
		if (has_grown(positions, n, position, side, true))
		{
			if (is_beyond(position->owner_qty, position->max_qty))
				refuse(book_id, position, "max_qty",
					   side > 0 ? "What the owner holds long" : "What the owner holds short",
					   position->owner_qty, position->max_qty, hint);
			if (is_beyond(position->owner_notional, position->max_notional))
				refuse(book_id, position, "max_notional",
					   side > 0 ? "The notional that the owner holds long" : "The notional that the owner holds short",
					   position->owner_notional, position->max_notional, hint);
		}
	}
	if (position->open_interest != NULL &&
		is_beyond(position->open_interest, position->open_interest_limit) &&
		has_grown(positions, n, position, 1, false))
		refuse(book_id, position, "open_interest_limit", "The open interest",
			   position->open_interest, position->open_interest_limit, hint);
}

/* Read what the n positions are part of; in a trial there is one of an account, and trial is it. */
static void
read_position_totals(Wiring *wiring, int32 book_id, ChangedPosition *positions, int n, const TrialPosition *trial)
{
	Datum		values[6] = {Int32GetDatum(book_id)};
	Datum	   *account_ids = palloc(sizeof(Datum) * n);
	Datum	   *instrument_ids = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
	{
		account_ids[i] = Int64GetDatum(positions[i].account_id);
		instrument_ids[i] = Int32GetDatum(positions[i].instrument_id);
	}
	values[1] = array_argument(account_ids, NULL, n, INT8OID);
	values[2] = array_argument(instrument_ids, NULL, n, INT4OID);
	if (trial != NULL)
	{
		values[3] = NumericGetDatum(trial->qty);
		values[4] = NumericGetDatum(trial->cost);
		values[5] = NumericGetDatum(trial->open_interest_change);
	}
	wiring_read(wiring, trial == NULL ? &read_totals : &read_totals_of_trial, values, LEDGER_LATEST);
	if (SPI_processed != (uint64) n)
		elog(ERROR, "%d positions were changed, " UINT64_FORMAT " are there", n, SPI_processed);
	for (int i = 0; i < n; i++)
	{
		ChangedPosition *position = &positions[i];
		ContractKind kind = contract_kind(result_text(i, 3));
		Numeric		multiplier = result_numeric(i, 4);
		Numeric		mark_price = result_numeric(i, 5);

		position->qty = result_numeric(i, 1);
		position->owner_id = result_text(i, 6);
		position->owner_qty = decimal_absolute(result_numeric(i, 7));
		if (mark_price == NULL)
		{
			position->notional = decimal_absolute(result_numeric(i, 2));
			position->owner_notional = decimal_absolute(result_numeric(i, 8));
		}
		else
		{
			position->notional = contract_notional(kind, position->qty, mark_price, multiplier);
			position->owner_notional = contract_notional(kind, position->owner_qty, mark_price, multiplier);
		}
		position->max_qty = result_numeric(i, 9);
		position->max_notional = result_numeric(i, 10);
		position->notional_cap = result_numeric(i, 11);
		position->open_interest_limit = result_numeric(i, 12);
		position->open_interest = result_numeric(i, 13);
	}
}

/*
 * Raise 23514 where trades that added risk leave an account without the
 * collateral for it.  Its balance is locked, and those of its margin group.
 */
static void
check_cover(Wiring *wiring, int32 book_id, const ChangedPosition *positions, int n)
{
	Datum	   *account_ids = palloc(sizeof(Datum) * n);
	Datum	   *trade_ids = palloc(sizeof(Datum) * n);
	Datum		values[3] = {Int32GetDatum(book_id)};
	int			nadded = 0;

	for (int i = 0; i < n; i++)
		if (positions[i].trade_id != 0)
		{
			account_ids[nadded] = Int64GetDatum(positions[i].account_id);
			trade_ids[nadded++] = Int64GetDatum(positions[i].trade_id);
		}
	values[1] = array_argument(account_ids, NULL, nadded, INT8OID);
	values[2] = array_argument(trade_ids, NULL, nadded, INT8OID);
	wiring_read(wiring, &read_uncovered, values, LEDGER_LATEST);
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("trade " INT64_FORMAT ": account " INT64_FORMAT " of book %d cannot cover it",
						result_int64(0, 2), result_int64(0, 1), book_id),
				 errdetail("Its free collateral would be %s, its equity %s, what is required of it %s.",
						   decimal_to_cstring(result_numeric(0, 3)), decimal_to_cstring(result_numeric(0, 4)),
						   decimal_to_cstring(result_numeric(0, 5))),
				 errhint("Trade less or deposit more; its policy refuses trades that are not covered (refuse_uncovered)."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "refuse_uncovered")));
}

/*
 * limits_note
 *		Note positions until the transaction commits.  values: the book; arrays
 *		of the accounts, the instruments, the positions before, and the trades
 *		that added risk to them, NULL where none did.
 */
void
limits_note(Wiring *wiring, Datum *values)
{
	wiring_write(wiring, &note_risk, values);
	noting_transaction = GetTopTransactionId();
}

/* limits_judge: all that the transaction has noted of a book */
void
limits_judge(Wiring *wiring, int32 book_id)
{
	Datum		values[1] = {Int32GetDatum(book_id)};
	ChangedPosition *positions;
	ChangedPosition *limited;
	int			n;
	int			nlimited = 0;
	bool		added_risk = false;
	bool		added_limited = false;

	if (!is_this_transaction(noting_transaction))
		return;
	wiring_write(wiring, &take_notes, values);
	n = SPI_processed;
	positions = palloc0(sizeof(ChangedPosition) * Max(n, 1));
	limited = palloc(sizeof(ChangedPosition) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		bool		isnull;

		positions[i].account_id = result_int64(i, 1);
		positions[i].instrument_id = result_int32(i, 2);
		positions[i].qty_before = result_numeric(i, 3);
		positions[i].trade_id = DatumGetInt64(result_datum(i, 4, &isnull));
		if (isnull)
			positions[i].trade_id = 0;
		added_risk |= positions[i].trade_id != 0;
		if (result_bool(i, 5))
		{
			added_limited |= positions[i].trade_id != 0;
			limited[nlimited++] = positions[i];
		}
	}
	if (added_limited)
	{
		posting_pass_gate(posting_begin(wiring, book_id), NULL, 0);
		read_position_totals(wiring, book_id, limited, nlimited, NULL);
		for (int i = 0; i < nlimited; i++)
			if (limited[i].trade_id != 0)
				check_limits(book_id, limited, nlimited, &limited[i]);
	}
	if (added_risk)
		check_cover(wiring, book_id, positions, n);
}

/*
 * limits_try
 *		Raise what a trade that takes a position from qty_before to where trial
 *		says would raise at commit, if limits were refused.  The other side is
 *		one that had no position.  The wiring is of a trial.
 */
void
limits_try(Wiring *wiring, int32 book_id, const TrialPosition *trial, Numeric qty_before)
{
	ChangedPosition positions[2] = {
		{.account_id = trial->account_id, .instrument_id = trial->instrument_id, .trade_id = -1, .qty_before = qty_before},
		{.instrument_id = trial->instrument_id, .qty_before = zero(), .qty = decimal_subtract(qty_before, trial->qty)}
	};

	read_position_totals(wiring, book_id, positions, 1, trial);
	check_limits(book_id, positions, 2, positions);
}

/*
 * risk.enforce_limits()
 *		Deferred constraint trigger on added_risk, FOR EACH ROW.
 *
 * The first event of a transaction judges all that it noted in the book; the
 * others find nothing left.
 */
Datum
risk_enforce_limits(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = row_trigger(fcinfo, "risk.enforce_limits");
	Wiring	   *wiring = wiring_enter(trigger->tg_relation, LEDGER_ADDED_RISK);
	Datum		values[3] = {row_column(trigger, "book_id"), row_column(trigger, "account_id"),
	row_column(trigger, "instrument_id")};

	wiring_read(wiring, &is_noted, values, LEDGER_LATEST);
	if (SPI_processed > 0)
		limits_judge(wiring, DatumGetInt32(values[0]));
	wiring_leave(wiring);
	return PointerGetDatum(NULL);
}
