/*
 * deleveraging.c
 *		The stage `adl`: what the liquidity account took over from a bankrupt
 *		account is closed against the highest ranked of the other side, at the
 *		bankruptcy price of that account.  Likewise what it cannot carry, at the
 *		price at which it took that over: nobody else gains or loses by it.
 *
 * Counterparties are chosen twice: once without a lock, to know whom to lock,
 * and then among those that are locked, on the latest state.  The first choice
 * takes more than are needed, since the second may pass some over.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "margin.h"
#include "settle.h"
#include "takeover.h"
#include "valuation.h"

/* By how much the first choice exceeds what has to be placed: this many times, and so many accounts more. */
#define SPARE_QTY		2
#define SPARE_ACCOUNTS	10

/* What the liquidity account took over and has not placed yet. */
typedef struct TakenPosition
{
	int64		takeover_id;
	int32		instrument_id;
	int64		liquidity_account;
	ContractKind kind;
	Numeric		multiplier;
	Numeric		qty;			/* still to be placed, signed as the bankrupt held it */
	Numeric		price;			/* at which it was taken over */
	Numeric		closing_price;	/* the bankruptcy price of a shortfall, else that of the takeover */
	Numeric		mark_price;
	int			scale;			/* digits of the quantity that was taken over */
} TakenPosition;

/* A position of the other side. */
typedef struct Counterparty
{
	int64		account_id;
	Numeric		qty;
	Numeric		cost;
	Numeric		maintenance;	/* of the position */
	Numeric		account_maintenance;
	Numeric		equity;
	Numeric		score;			/* or NULL */
	Numeric		closed;			/* of its quantity, > 0 */
} Counterparty;

/* What several shortfalls have to place on the same side of an instrument. */
typedef struct QueueNeed
{
	int32		instrument_id;
	int			side;
	Numeric		qty;
} QueueNeed;

/* What of takeover t is not placed, and still held as position p; signed as t, zero when p is on the other side. */
#define QTY_TO_PLACE \
	"sign(t.qty) * greatest(least(abs(t.qty) - coalesce((SELECT sum(d.qty) FROM {deleveraging} d" \
	"  WHERE d.book_id = $1 AND d.takeover_id = t.takeover_id), 0), sign(t.qty) * p.qty), 0)"

static const LedgerStatement read_takeovers = {
	"SELECT t.takeover_id, t.instrument_id, t.liquidity_account, i.kind, i.multiplier, " QTY_TO_PLACE ","
	"  t.price, trim_scale(t.bankruptcy_price), m.price, scale(trim_scale(t.qty))"
	" FROM {takeover} t"
	" JOIN {instrument} i ON i.instrument_id = t.instrument_id"
	" JOIN {mark_price} m ON m.instrument_id = t.instrument_id"
	" JOIN {position} p ON p.book_id = $1 AND p.account_id = t.liquidity_account AND p.instrument_id = t.instrument_id"
	" WHERE t.book_id = $1 AND (t.shortfall_id = $2 AND t.bankruptcy_price IS NOT NULL OR t.takeover_id = $3)"
	"  AND i.state <> 'settled'"
	" ORDER BY t.takeover_id",
	3, {INT4OID, INT8OID, INT8OID}
};

/* What was more than the liquidity account can carry, as far as it still holds it, and the rules of whose it was. */
static const LedgerStatement read_excess = {
	"SELECT t.takeover_id, t.account_id, t.liquidity_account, t.instrument_id, q.qty,"
	" a.owner_id, a.asset_code, s.scale::int, y.adl_formula, y.adl_guard, y.adl_max_distance"
	" FROM {takeover} t"
	" JOIN {position} p ON p.book_id = $1 AND p.account_id = t.liquidity_account AND p.instrument_id = t.instrument_id"
	" JOIN {account} a ON a.book_id = $1 AND a.account_id = t.account_id"
	" JOIN {asset} s ON s.asset_code = a.asset_code"
	" CROSS JOIN LATERAL (SELECT y.* FROM {policy} y WHERE y.policy_code = a.policy_code"
	"  AND y.effective_at <= clock_timestamp() ORDER BY y.version DESC LIMIT 1) y"
	" CROSS JOIN LATERAL (SELECT " QTY_TO_PLACE " AS qty) q"
	" WHERE t.book_id = $1 AND t.for_adl AND q.qty <> 0"
	" ORDER BY t.takeover_id",
	1, {INT4OID}
};

/*
 * The other side in the order of its ranks, but for the owner of the bankrupt
 * account, its parent and its children.  NULL in the last argument: all of it.
 */
static const LedgerStatement read_queue = {
	"SELECT q.account_id, q.qty, q.cost, q.maintenance_margin, q.account_maintenance, q.equity, q.score"
	" FROM (SELECT p.*, CASE $4 WHEN 'bitmex' THEN p.bitmex WHEN 'coinex' THEN p.coinex ELSE p.pnl_equity END AS score"
	"   FROM {schema}.adl_position p"
	"   WHERE (p.book_id::bigint << 32) + p.instrument_id = ($1::bigint << 32) + $2 AND p.side = $3"
	"    AND ($7 IS NULL OR p.account_id = ANY ($7)) AND (p.owner_id = $6) IS NOT TRUE) AS q"
	" WHERE NOT EXISTS (SELECT FROM {account} a, {account} b"
	"  WHERE a.book_id = $1 AND a.account_id = q.account_id AND b.book_id = $1 AND b.account_id = $5"
	"   AND coalesce(a.parent_id, a.account_id) = coalesce(b.parent_id, b.account_id))"
	" ORDER BY q.score DESC NULLS LAST, q.account_id",
	7, {INT4OID, INT4OID, TEXTOID, TEXTOID, INT8OID, TEXTOID, INT8ARRAYOID}
};

/* Executed now, both sides at the same time: after any funding that has been posted.  With an event for each. */
static const LedgerStatement insert_deleveragings = {
	"WITH closed AS ("
	" INSERT INTO {trade} (executed_at, book_id, account_id, instrument_id, execution_id, side, qty, price, kind)"
	" SELECT (SELECT clock_timestamp()), $1, CASE WHEN l.counterparty THEN t.account_id ELSE $4 END, $5, t.execution_id,"
	"  CASE WHEN l.counterparty = $13 THEN 'sell' ELSE 'buy' END, t.qty, $7, 'adl'"
	" FROM (SELECT u.*, -nextval('{schema}.trade_execution_id_seq') AS execution_id"
	"  FROM unnest($9, $11) AS u(account_id, qty)) AS t,"
	" (VALUES (true), (false)) AS l(counterparty)"
	" RETURNING execution_id, account_id, trade_id),"
	" made AS (INSERT INTO {deleveraging} (book_id, takeover_id, shortfall_id, account_id, liquidity_account, instrument_id,"
	"  rank, execution_id, trade_id, liquidity_trade_id, formula, score, qty, price, mark_price, gain)"
	" SELECT $1, $2, nullif($3, 0), u.account_id, $4, $5, u.place, c.execution_id, c.trade_id, l.trade_id, $6, u.score,"
	"  u.qty, $7, $8, trim_scale(u.gain)"
	" FROM unnest($9, $10, $11, $12) WITH ORDINALITY AS u(account_id, score, qty, gain, place)"
	" JOIN closed c ON c.account_id = u.account_id"
	" JOIN closed l ON l.execution_id = c.execution_id AND l.account_id = $4"
	" ORDER BY u.place RETURNING *)"
	" INSERT INTO {event} (book_id, account_id, kind, payload)"
	" SELECT d.book_id, d.account_id, 'deleveraging', jsonb_build_object('deleveraging_id', d.deleveraging_id,"
	"  'instrument_id', d.instrument_id, 'rank', d.rank, 'formula', d.formula, 'score', d.score, 'qty', d.qty,"
	"  'price', d.price, 'mark_price', d.mark_price, 'trade_id', d.trade_id, 'shortfall_id', d.shortfall_id)"
	" FROM made d ORDER BY d.deleveraging_id",
	13, {INT4OID, INT8OID, INT8OID, INT8OID, INT4OID, TEXTOID, NUMERICOID, NUMERICOID,
		INT8ARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, BOOLOID}
};

/* What all of it has brought so far, and what of that is on suspense. */
static const LedgerStatement read_gains = {
	"SELECT (SELECT sum(d.gain) FROM {takeover} t, LATERAL (SELECT d.* FROM {deleveraging} d"
	"   WHERE d.book_id = $1 AND d.takeover_id = t.takeover_id) AS d"
	"  WHERE t.book_id = $1 AND t.shortfall_id = $2),"
	" (SELECT sum(y.amount) FROM {shortfall_payment} y"
	"  WHERE y.book_id = $1 AND y.shortfall_id = $2 AND y.stage = 'adl')",
	2, {INT4OID, INT8OID}
};

static TakenPosition *
takeovers_of(Settling *settling, OpenShortfall *shortfall, int *n)
{
	Datum		values[3] = {
		Int32GetDatum(settling->book_id), Int64GetDatum(shortfall->shortfall_id), Int64GetDatum(shortfall->takeover_id)
	};
	TakenPosition   *takeovers;

	wiring_read(settling->wiring, &read_takeovers, values, LEDGER_LATEST);
	takeovers = palloc(sizeof(TakenPosition) * Max(SPI_processed, 1));
	*n = 0;
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		TakenPosition   *takeover = &takeovers[*n];

		takeover->takeover_id = result_int64(row, 1);
		takeover->instrument_id = result_int32(row, 2);
		takeover->liquidity_account = result_int64(row, 3);
		takeover->kind = contract_kind(result_text(row, 4));
		takeover->multiplier = result_numeric(row, 5);
		takeover->qty = result_numeric(row, 6);
		takeover->price = result_numeric(row, 7);
		takeover->closing_price = shortfall->takeover_id != 0 ? takeover->price : result_numeric(row, 8);
		takeover->mark_price = result_numeric(row, 9);
		takeover->scale = result_int32(row, 10);
		/* as many digits as the price of a trade can have, not to the loss of who waits for the gain */
		if (decimal_scale(takeover->closing_price) > TRADE_SCALE)
			takeover->closing_price = decimal_round(takeover->closing_price, TRADE_SCALE,
													decimal_sign(takeover->qty) > 0 ? DECIMAL_UP : DECIMAL_DOWN);
		(*n)++;
	}
	return takeovers;
}

/*
 * deleveraging_read_excess
 *		Behind the shortfalls of a book, what its liquidity accounts took over
 *		and cannot carry as things are now, what was taken last first.
 */
void
deleveraging_read_excess(Settling *settling)
{
	Datum		values[1] = {Int32GetDatum(settling->book_id)};
	Takeover   *takeovers;
	OpenShortfall *excess;
	int			n;

	wiring_read(settling->wiring, &read_excess, values, LEDGER_LATEST);
	n = SPI_processed;
	if (n == 0)
		return;
	takeovers = palloc0(sizeof(Takeover) * n);
	excess = palloc0(sizeof(OpenShortfall) * n);
	for (int row = 0; row < n; row++)
	{
		takeovers[row].liquidity_account = result_int64(row, 3);
		takeovers[row].instrument_id = result_int32(row, 4);
		takeovers[row].qty = result_numeric(row, 5);
		excess[row].takeover_id = result_int64(row, 1);
		excess[row].account_id = result_int64(row, 2);
		excess[row].remaining = decimal_from_int64(0);
		excess[row].owner_id = result_text(row, 6);
		excess[row].asset_code = result_text(row, 7);
		excess[row].scale = result_int32(row, 8);
		excess[row].adl_formula = result_text(row, 9);
		excess[row].adl_guard = result_text(row, 10);
		excess[row].adl_max_distance = result_numeric(row, 11);
		excess[row].stages = "";
	}
	takeover_judge_capacity(settling->wiring, settling->book_id, takeovers, n);
	settling->shortfalls = repalloc(settling->shortfalls, sizeof(OpenShortfall) * (settling->n + n));
	for (int row = n - 1; row >= 0; row--)
		if (takeovers[row].for_adl)
			settling->shortfalls[settling->n++] = excess[row];
}

/* What closing a quantity, signed, gains against another price. */
static Numeric
gain_against(const TakenPosition *takeover, Numeric qty, Numeric price, int scale)
{
	return decimal_subtract(contract_value(takeover->kind, qty, takeover->closing_price,
										   takeover->multiplier, scale),
							contract_value(takeover->kind, qty, price, takeover->multiplier, scale));
}

/* Whether the price is worse than the mark for the other side by more than the policy allows. */
static bool
is_too_far(const OpenShortfall *shortfall, const TakenPosition *takeover)
{
	Numeric		distance = decimal_subtract(takeover->closing_price, takeover->mark_price);

	if (shortfall->adl_max_distance == NULL)
		return false;
	if (decimal_sign(takeover->qty) < 0)
		distance = decimal_negate(distance);
	return decimal_compare(distance, decimal_multiply(takeover->mark_price, shortfall->adl_max_distance)) > 0;
}

/*
 * How much has to be placed: all of it, or what brings in as much as is still
 * missing, rounded up to the digits that the quantity has.  Zero where nothing
 * is to be placed, or nothing would come of it.
 */
static Numeric
qty_to_place(const OpenShortfall *shortfall, const TakenPosition *takeover, Numeric missing)
{
	Numeric		qty = decimal_absolute(takeover->qty);
	Numeric		gain;
	Numeric		enough;

	if (decimal_sign(takeover->closing_price) <= 0 || is_too_far(shortfall, takeover))
		return decimal_from_int64(0);
	if (shortfall->takeover_id != 0)
		return qty;
	gain = gain_against(takeover, takeover->qty, takeover->price, shortfall->scale);
	if (decimal_sign(takeover->qty) == 0 || decimal_sign(gain) <= 0 || decimal_sign(missing) <= 0)
		return decimal_from_int64(0);
	enough = decimal_divide_rounded(decimal_multiply(qty, missing), gain, takeover->scale, DECIMAL_UP);
	return decimal_min(qty, enough);
}

/* The other side, in order; ids: an array of those to look at, or the null pointer for all. */
static Counterparty *
read_other_side(Settling *settling, OpenShortfall *shortfall, TakenPosition *takeover, Datum ids, int *n)
{
	Datum		values[7] = {
		Int32GetDatum(settling->book_id), Int32GetDatum(takeover->instrument_id),
		CStringGetTextDatum(decimal_sign(takeover->qty) > 0 ? "short" : "long"),
		CStringGetTextDatum(shortfall->adl_formula), Int64GetDatum(shortfall->account_id),
		shortfall->owner_id == NULL ? (Datum) 0 : CStringGetTextDatum(shortfall->owner_id), ids
	};
	Counterparty *found;

	wiring_read(settling->wiring, &read_queue, values, LEDGER_LATEST);
	*n = SPI_processed;
	found = palloc_extended(sizeof(Counterparty) * Max(*n, 1), MCXT_ALLOC_HUGE);
	for (int row = 0; row < *n; row++)
	{
		found[row].account_id = result_int64(row, 1);
		found[row].qty = result_numeric(row, 2);
		found[row].cost = result_numeric(row, 3);
		found[row].maintenance = result_numeric(row, 4);
		found[row].account_maintenance = result_numeric(row, 5);
		found[row].equity = result_numeric(row, 6);
		found[row].score = result_numeric(row, 7);
	}
	return found;
}

/*
 * Whether the policy passes a counterparty over.  closed is the quantity, > 0.
 * Of the maintenance margin of a position that is closed in part as large a
 * part is taken to stay: with tiers whose rates grow, not less than stays.
 */
static bool
is_guarded(const OpenShortfall *shortfall, const TakenPosition *takeover, const Counterparty *counterparty,
		   Numeric closed)
{
	Numeric		signed_qty = decimal_sign(counterparty->qty) > 0 ? closed : decimal_negate(closed);
	Numeric		held = decimal_absolute(counterparty->qty);
	Numeric		equity;

	if (strcmp(shortfall->adl_guard, "profit") == 0)
		return decimal_sign(position_unrealized_pnl(takeover->kind, counterparty->qty, counterparty->cost,
													takeover->closing_price, takeover->multiplier)) < 0;
	equity = decimal_add(counterparty->equity,
						 gain_against(takeover, signed_qty, takeover->mark_price, shortfall->scale));
	if (strcmp(shortfall->adl_guard, "maintenance") == 0)
		return decimal_sign(decimal_add(decimal_multiply(decimal_subtract(equity, counterparty->account_maintenance), held),
										decimal_multiply(counterparty->maintenance, closed))) < 0;
	return decimal_sign(equity) < 0;
}

/*
 * Go down the queue until a quantity is placed; who is taken comes to the
 * front of the array, in order.  Returns how many; left becomes what could not
 * be placed, and end how far down it went.
 */
static int
choose(const OpenShortfall *shortfall, const TakenPosition *takeover, Counterparty *queue, int n, Numeric *left, int *end)
{
	int			chosen = 0;
	int			i;

	for (i = 0; i < n && decimal_sign(*left) > 0; i++)
	{
		Numeric		closed = decimal_min(*left, decimal_absolute(queue[i].qty));

		if (is_guarded(shortfall, takeover, &queue[i], closed))
			continue;
		*left = decimal_subtract(*left, closed);
		queue[chosen] = queue[i];
		queue[chosen++].closed = closed;
	}
	*end = i;
	return chosen;
}

/* Add to what has to be placed on one side of an instrument; returns the sum. */
static Numeric
add_need(Settling *settling, const TakenPosition *takeover, Numeric qty)
{
	QueueNeed  *need;
	ListCell   *lc;

	foreach(lc, settling->needs)
	{
		need = lfirst(lc);
		if (need->instrument_id != takeover->instrument_id || need->side != decimal_sign(takeover->qty))
			continue;
		need->qty = decimal_add(need->qty, qty);
		return need->qty;
	}
	need = palloc(sizeof(QueueNeed));
	*need = (QueueNeed) {takeover->instrument_id, decimal_sign(takeover->qty), qty};
	settling->needs = lappend(settling->needs, need);
	return qty;
}

/* A quantity with the sign of what was taken over. */
static Numeric
as_taken_over(const TakenPosition *takeover, Numeric qty)
{
	return decimal_sign(takeover->qty) > 0 ? qty : decimal_negate(qty);
}

/*
 * deleveraging_prepare
 *		Before the locks: note who may be closed against.  False when that
 *		will not place everything, so that stages after this one have to pay.
 */
bool
deleveraging_prepare(Settling *settling, OpenShortfall *shortfall)
{
	int			n;
	TakenPosition   *takeovers = takeovers_of(settling, shortfall, &n);
	Numeric		missing = shortfall->remaining;
	bool		suffices = true;

	for (int t = 0; t < n; t++)
	{
		Numeric		qty = qty_to_place(shortfall, &takeovers[t], missing);
		Numeric		needed;
		Numeric		left;
		Counterparty *queue;
		int			nqueue;
		int			chosen;
		int			end;

		if (decimal_sign(qty) <= 0)
			continue;
		needed = add_need(settling, &takeovers[t], qty);
		left = decimal_multiply(needed, decimal_from_int64(SPARE_QTY));
		queue = read_other_side(settling, shortfall, &takeovers[t], (Datum) 0, &nqueue);
		chosen = choose(shortfall, &takeovers[t], queue, nqueue, &left, &end);
		for (int i = 0; i < chosen; i++)
			settling_lock_later(settling, queue[i].account_id);
		for (int i = end; i < nqueue && i < end + SPARE_ACCOUNTS; i++)
			settling_lock_later(settling, queue[i].account_id);
		if (end + SPARE_ACCOUNTS < nqueue)
			shortfall->queue_goes_on = true;
		if (decimal_compare(left, needed) > 0)
			suffices = false;
		missing = decimal_subtract(missing, gain_against(&takeovers[t], as_taken_over(&takeovers[t], qty),
														 takeovers[t].price, shortfall->scale));
	}
	return suffices && decimal_sign(missing) <= 0;
}

/* Close a takeover against those that were chosen. */
static void
write_deleveragings(Settling *settling, OpenShortfall *shortfall, TakenPosition *takeover, Counterparty *chosen, int n)
{
	Datum	   *columns[4];
	bool	   *no_score = palloc(sizeof(bool) * n);
	Datum		values[13] = {
		Int32GetDatum(settling->book_id), Int64GetDatum(takeover->takeover_id),
		Int64GetDatum(shortfall->shortfall_id), Int64GetDatum(takeover->liquidity_account),
		Int32GetDatum(takeover->instrument_id), CStringGetTextDatum(shortfall->adl_formula),
		NumericGetDatum(takeover->closing_price), NumericGetDatum(takeover->mark_price)
	};
	static const Oid types[4] = {INT8OID, NUMERICOID, NUMERICOID, NUMERICOID};

	for (int c = 0; c < 4; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		Numeric		gain = gain_against(takeover, as_taken_over(takeover, chosen[i].closed), takeover->price,
										shortfall->scale);

		columns[0][i] = Int64GetDatum(chosen[i].account_id);
		no_score[i] = chosen[i].score == NULL;
		columns[1][i] = no_score[i] ? (Datum) 0 : NumericGetDatum(chosen[i].score);
		columns[2][i] = NumericGetDatum(chosen[i].closed);
		columns[3][i] = NumericGetDatum(gain);
		settling_tell(settling, &(SettledRow)
					  {
						  .book_id = settling->book_id, .shortfall_id = shortfall->shortfall_id, .stage = "adl",
							  .account_id = chosen[i].account_id, .instrument_id = takeover->instrument_id,
							  .qty = chosen[i].closed, .price = takeover->closing_price
					  });
	}
	for (int c = 0; c < 4; c++)
		values[c + 8] = array_argument(columns[c], c == 1 ? no_score : NULL, n, types[c]);
	values[12] = BoolGetDatum(decimal_sign(takeover->qty) < 0);
	wiring_write(settling->wiring, &insert_deleveragings, values);
}

/*
 * deleveraging_run
 *		After the locks: close what can be closed.  Returns what the liquidity
 *		account owes suspense for it: all gains so far, rounded down, less what
 *		it has paid, and no more than is missing.
 */
Numeric
deleveraging_run(Settling *settling, OpenShortfall *shortfall)
{
	Datum		values[2] = {Int32GetDatum(settling->book_id), Int64GetDatum(shortfall->shortfall_id)};
	int			n;
	TakenPosition   *takeovers = takeovers_of(settling, shortfall, &n);
	Numeric		missing = shortfall->remaining;
	Numeric		gains;
	Numeric		paid;
	Datum	   *elements = palloc(sizeof(Datum) * Max(settling->ntraders, 1));
	Datum		ids;

	for (int i = 0; i < settling->ntraders; i++)
		elements[i] = Int64GetDatum(settling->traders[i]);
	ids = array_argument(elements, NULL, settling->ntraders, INT8OID);

	for (int t = 0; t < n; t++)
	{
		Numeric		left = qty_to_place(shortfall, &takeovers[t], missing);
		Numeric		qty = left;
		Counterparty *queue;
		int			nqueue;
		int			chosen;
		int			end;

		if (decimal_sign(left) <= 0)
			continue;
		queue = read_other_side(settling, shortfall, &takeovers[t], ids, &nqueue);
		chosen = choose(shortfall, &takeovers[t], queue, nqueue, &left, &end);
		if (decimal_sign(left) > 0 && shortfall->queue_goes_on)
			shortfall->unfinished = true;
		if (chosen == 0)
			continue;
		write_deleveragings(settling, shortfall, &takeovers[t], queue, chosen);
		missing = decimal_subtract(missing, gain_against(&takeovers[t],
														 as_taken_over(&takeovers[t], decimal_subtract(qty, left)),
														 takeovers[t].price, shortfall->scale));
	}

	if (shortfall->takeover_id != 0)
		return decimal_from_int64(0);
	wiring_read(settling->wiring, &read_gains, values, LEDGER_LATEST);
	gains = result_numeric(0, 1);
	paid = result_numeric(0, 2);
	if (gains == NULL)
		return decimal_from_int64(0);
	gains = decimal_round(gains, shortfall->scale, DECIMAL_DOWN);
	if (paid != NULL)
		gains = decimal_subtract(gains, paid);
	return decimal_min(gains, shortfall->remaining);
}
