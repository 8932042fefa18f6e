/*
 * trade.c
 *		Posts the rows that a statement inserted into the trade table.
 *
 * The whole statement is read, the traders it touches are locked in one
 * sorted pass, the trades are applied in the order given, in memory, and each
 * position and balance is written once.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "account_state.h"
#include "execution.h"
#include "funding.h"
#include "idempotency.h"
#include "isolated.h"
#include "late_fill.h"
#include "limits.h"
#include "margin.h"
#include "posting.h"
#include "takeover_result.h"
#include "trade.h"
#include "trade_policy.h"
#include "trade_row.h"
#include "trading_fee.h"

PG_FUNCTION_INFO_V1(risk_post_trades);

typedef struct TradedInstrument
{
	int32		instrument_id;	/* key */
	ContractKind kind;
	Numeric		multiplier;
	char	   *settle_asset;
	bool		enforces_limits;
	char	   *state;
	LedgerAccount *clearing;
	LedgerAccount *fee;
	LedgerAccount *fund;		/* NULL: it gets no part of a fee */

	TimestampTz last_funding_at;	/* in any book; DT_NOBEGIN: never */
	TimestampTz late_since;		/* the earliest trade before that; else
								 * DT_NOEND, and the rest is not set */
	LedgerAccount *funding;
	PastFundings *fundings;		/* after late_since */
} TradedInstrument;

typedef struct PositionKey
{
	int64		account_id;
	int32		instrument_id;
	int32		padding;		/* zero, hashed with the rest */
} PositionKey;

typedef struct TradedPosition
{
	PositionKey key;
	int64		trades;
	Numeric		qty;
	Numeric		cost;
	Numeric		qty_before;		/* the statement */
	int64		risk_trade_id;	/* the last one that a limit may refuse, or 0 */
	bool		changed;		/* and not written yet */
	bool		isolated;		/* mode that the trader chose */
	bool		was_taken_over; /* at any time */
} TradedPosition;

/* The trades of one statement in one book. */
typedef struct TradePosting
{
	Wiring	   *wiring;
	int32		book_id;
	Posting    *posting;
	HTAB	   *instruments;
	HTAB	   *positions;
	HTAB	   *executions;
	IsolatedMargin margin;
	Residue    *residues;		/* room for two of each trade */
	int			nresidues;
	FundingPayments payments;	/* of late trades */
	List	   *policies;		/* see trade_policy() */
	List	   *late_fills;		/* of LateFill */
	TrialPosition trial_position;	/* of a trial, which has no other */
} TradePosting;

static const LedgerStatement read_instruments = {
	"SELECT i.instrument_id, i.kind, i.multiplier, i.settle_asset, i.last_funding_at,"
	" i.limit_mode = 'refuse', i.state"
	" FROM {instrument} i WHERE i.instrument_id = ANY ($1)",
	1, {INT4ARRAYOID}
};

static const LedgerStatement read_positions = {
	"SELECT u.account_id, u.instrument_id, coalesce(p.trades, 0), coalesce(p.qty, 0), coalesce(p.cost, 0),"
	" EXISTS (SELECT FROM {margin_setting} s"
	"  WHERE s.book_id = $1 AND s.account_id = u.account_id"
	"   AND s.instrument_id = u.instrument_id AND s.mode = 'isolated' OFFSET 0), coalesce(p.was_taken_over, false)"
	" FROM unnest($2, $3) AS u(account_id, instrument_id)"
	" LEFT JOIN LATERAL (SELECT p.* FROM {position} p"
	"  WHERE p.book_id = $1 AND p.account_id = u.account_id"
	"   AND p.instrument_id = u.instrument_id OFFSET 0) AS p ON true",
	3, {INT4OID, INT8ARRAYOID, INT4ARRAYOID}
};

static const LedgerStatement write_positions = {
	"INSERT INTO {position} (book_id, account_id, instrument_id, trades, qty, cost)"
	" SELECT $1, unnest($2), unnest($3), unnest($4), unnest($5), unnest($6)"
	" ON CONFLICT (book_id, account_id, instrument_id) DO UPDATE"
	" SET trades = excluded.trades, qty = excluded.qty, cost = excluded.cost",
	6, {INT4OID, INT8ARRAYOID, INT4ARRAYOID, INT8ARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID}
};

static HTAB *
statement_hash(const char *name, Size keysize, Size entrysize)
{
	HASHCTL		ctl = {.keysize = keysize, .entrysize = entrysize, .hcxt = CurrentMemoryContext};

	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static int
compare_int32(const void *a, const void *b)
{
	int32		left = *(const int32 *) a;
	int32		right = *(const int32 *) b;

	return (left > right) - (left < right);
}

/* The instruments of the statement, with the accounts that their trades post to. */
static void
open_instruments(TradePosting *tp, TradeRow **trades, int n)
{
	int32	   *ids = palloc(sizeof(int32) * n);
	Datum	   *elements = palloc(sizeof(Datum) * n);
	Datum		values[1];
	int			unique = 0;
	LedgerAccount **system;
	HASH_SEQ_STATUS scan;
	TradedInstrument *instrument;
	int			nsystem = 0;

	for (int i = 0; i < n; i++)
		ids[i] = trades[i]->instrument_id;
	qsort(ids, n, sizeof(int32), compare_int32);
	for (int i = 0; i < n; i++)
		if (i == 0 || ids[i] != ids[i - 1])
			elements[unique++] = Int32GetDatum(ids[i]);
	values[0] = array_argument(elements, NULL, unique, INT4OID);
	wiring_read(tp->wiring, &read_instruments, values, LEDGER_LATEST);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		int32		id = result_int32(row, 1);
		bool		never_funded;
		Datum		last_funding_at = result_datum(row, 5, &never_funded);

		instrument = hash_search(tp->instruments, &id, HASH_ENTER, NULL);
		instrument->kind = contract_kind(result_text(row, 2));
		instrument->multiplier = result_numeric(row, 3);
		instrument->settle_asset = result_text(row, 4);
		instrument->last_funding_at = never_funded ? DT_NOBEGIN : DatumGetTimestampTz(last_funding_at);
		instrument->late_since = DT_NOEND;
		instrument->enforces_limits = result_bool(row, 6);
		instrument->state = result_text(row, 7);
		instrument->fund = NULL;
	}
	for (int i = 0; i < n; i++)
	{
		instrument = hash_search(tp->instruments, &trades[i]->instrument_id, HASH_FIND, NULL);
		if (instrument != NULL && trades[i]->executed_at < instrument->last_funding_at)
			instrument->late_since = Min(instrument->late_since, trades[i]->executed_at);
		if (instrument != NULL && instrument->fund == NULL &&
			decimal_sign(trading_fee_to_fund(tp->wiring, &tp->policies,
											 posting_account(tp->posting, trades[i]->account_id), trades[i]->fee)) > 0)
			instrument->fund = posting_system_account(tp->posting, ACCOUNT_INSURANCE_FUND, instrument->settle_asset);
	}

	system = palloc(sizeof(LedgerAccount *) * Max(unique * 4, 1));
	hash_seq_init(&scan, tp->instruments);
	while ((instrument = hash_seq_search(&scan)) != NULL)
	{
		instrument->clearing = posting_system_account(tp->posting, ACCOUNT_CLEARING, instrument->settle_asset);
		instrument->fee = posting_system_account(tp->posting, ACCOUNT_FEE, instrument->settle_asset);
		system[nsystem++] = instrument->clearing;
		system[nsystem++] = instrument->fee;
		if (instrument->fund != NULL)
			system[nsystem++] = instrument->fund;
		if (instrument->late_since == DT_NOEND)
			continue;
		instrument->funding = posting_system_account(tp->posting, ACCOUNT_FUNDING, instrument->settle_asset);
		instrument->fundings = past_fundings(tp->wiring, tp->book_id, instrument->instrument_id,
											 instrument->late_since);
		system[nsystem++] = instrument->funding;
	}
	posting_take_slots(tp->posting, system, nsystem);
}

/* The positions that the trades change, those that are not there yet at zero. */
static void
open_positions(TradePosting *tp, TradeRow **trades, int n)
{
	Datum	   *accounts = palloc(sizeof(Datum) * n);
	Datum	   *instruments = palloc(sizeof(Datum) * n);
	Datum		values[3] = {Int32GetDatum(tp->book_id)};
	int			unique = 0;

	for (int i = 0; i < n; i++)
	{
		PositionKey key = {trades[i]->account_id, trades[i]->instrument_id, 0};
		bool		found;

		hash_search(tp->positions, &key, HASH_ENTER, &found);
		if (found)
			continue;
		accounts[unique] = Int64GetDatum(key.account_id);
		instruments[unique++] = Int32GetDatum(key.instrument_id);
	}
	values[1] = array_argument(accounts, NULL, unique, INT8OID);
	values[2] = array_argument(instruments, NULL, unique, INT4OID);
	wiring_read(tp->wiring, &read_positions, values, LEDGER_LATEST);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		PositionKey key = {result_int64(row, 1), result_int32(row, 2), 0};
		TradedPosition *position = hash_search(tp->positions, &key, HASH_FIND, NULL);

		position->trades = result_int64(row, 3);
		position->qty = result_numeric(row, 4);
		position->cost = result_numeric(row, 5);
		position->qty_before = position->qty;
		position->risk_trade_id = 0;
		position->changed = false;
		position->isolated = result_bool(row, 6);
		position->was_taken_over = result_bool(row, 7);
	}
}

/* Check one row against its account and instrument, before anything is changed. */
static void
check_trade(TradePosting *tp, TradeRow *trade)
{
	LedgerAccount *account = posting_account(tp->posting, trade->account_id);
	TradedInstrument *instrument = hash_search(tp->instruments, &trade->instrument_id, HASH_FIND, NULL);

	if (instrument == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("trade " INT64_FORMAT ": unknown instrument", trade->trade_id),
				 errdetail("There is no instrument %d.", trade->instrument_id),
				 errhint("Insert it into the table instrument first.")));
	check_period("trade", trade->trade_id, trade->period);
	check_number("trade", trade->trade_id, "qty", trade->qty, TRADE_SCALE, NUMBER_POSITIVE);
	check_number("trade", trade->trade_id, "price", trade->price, TRADE_SCALE,
				 strcmp(trade->kind, "settlement") == 0 ? NUMBER_NOT_NEGATIVE : NUMBER_POSITIVE);
	check_number("trade", trade->trade_id, "fee", trade->fee, account->scale, NUMBER_ANY_SIGN);
	if (strcmp(account->asset_code, instrument->settle_asset) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trade " INT64_FORMAT ": account " INT64_FORMAT " holds another asset",
						trade->trade_id, trade->account_id),
				 errdetail("The account holds %s, instrument %d settles in %s.", account->asset_code,
						   trade->instrument_id, instrument->settle_asset),
				 errhint("Trade it on an account that holds %s.", instrument->settle_asset)));
	if (account->kind != ACCOUNT_TRADER && account->kind != ACCOUNT_LIQUIDITY &&
		account->kind != ACCOUNT_INTERBOOK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trade " INT64_FORMAT ": account " INT64_FORMAT " cannot hold positions",
						trade->trade_id, trade->account_id),
				 errdetail("It is a %s account.", account_kind_name(account->kind)),
				 errhint("Trades are booked on trader, liquidity and interbook accounts.")));
	isolated_check_trade(account, trade->trade_id, trade->instrument_id);
	account_state_check_open(account, trade->trade_id);
	if (strcmp(trade->kind, "trade") != 0 && strcmp(trade->kind, "liquidation") != 0 &&
		!wiring_is_writing())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trade " INT64_FORMAT ": kind %s is reserved", trade->trade_id, trade->kind),
				 errdetail("Such rows are made by posting only."),
				 errhint("Use trade or liquidation.")));
	if (trade->executed_at < instrument->last_funding_at && instrument->fundings->refuses &&
		strcmp(trade->kind, "trade") == 0)
		refuse_late_trade(instrument->fundings, trade->trade_id, trade->executed_at);
}

/*
 * What the quantity of a late trade would have paid or received at each
 * funding since it was executed.
 */
static void
apply_past_fundings(TradePosting *tp, TradeRow *trade, LedgerAccount *account,
					TradedInstrument *instrument, Numeric qty)
{
	for (int i = 0; i < instrument->fundings->n; i++)
	{
		PastFunding *funding = &instrument->fundings->fundings[i];
		Numeric		amount;

		if (funding->funding_at <= trade->executed_at)
			continue;
		amount = position_funding(instrument->kind, qty, funding->mark_price,
								  instrument->multiplier, funding->rate, account->scale);
		funding_pay(tp->posting, &tp->payments, funding->funding_id, funding->funding_at,
					account, instrument->funding, trade->trade_id, qty, amount);
	}
}

static void
note_residue(TradePosting *tp, int64 account_id, int64 trade_id, int64 execution_id, int32 instrument_id,
			 Numeric amount)
{
	Residue    *residue = &tp->residues[tp->nresidues++];

	residue->account_id = account_id;
	residue->trade_id = trade_id;
	residue->execution_id = execution_id;
	residue->instrument_id = instrument_id;
	residue->amount = amount;
}

static Numeric
long_side(Numeric qty)
{
	return decimal_max(decimal_from_int64(0), qty);
}

/*
 * What a trial has made of its position stands for the row.  Of the other side
 * of the trade, nobody knows what it holds: it is taken as one that had no
 * position, so that the open interest is the highest that can come of it.
 */
static void
try_position(TradePosting *tp, const TradedPosition *position)
{
	Numeric		traded = decimal_subtract(position->qty, position->qty_before);

	tp->trial_position = (TrialPosition)
	{
		.account_id = position->key.account_id, .instrument_id = position->key.instrument_id,
			.qty = position->qty, .cost = position->cost,
			.open_interest_change = decimal_add(decimal_subtract(long_side(position->qty), long_side(position->qty_before)),
												long_side(decimal_negate(traded)))
	};
	tp->wiring->trial_position = &tp->trial_position;
}

/* Write what the trades have made of the positions so far. */
static void
write_changed_positions(TradePosting *tp)
{
	HASH_SEQ_STATUS scan;
	TradedPosition *position;
	Datum	   *columns[5];
	Datum		values[6] = {Int32GetDatum(tp->book_id)};
	int			n = 0;
	static const Oid types[5] = {INT8OID, INT4OID, INT8OID, NUMERICOID, NUMERICOID};

	for (int c = 0; c < 5; c++)
		columns[c] = palloc(sizeof(Datum) * hash_get_num_entries(tp->positions));
	hash_seq_init(&scan, tp->positions);
	while ((position = hash_seq_search(&scan)) != NULL)
	{
		if (!position->changed)
			continue;
		position->changed = false;
		if (tp->wiring->is_trial)
		{
			try_position(tp, position);
			continue;
		}
		columns[0][n] = Int64GetDatum(position->key.account_id);
		columns[1][n] = Int32GetDatum(position->key.instrument_id);
		columns[2][n] = Int64GetDatum(position->trades);
		columns[3][n] = NumericGetDatum(position->qty);
		columns[4][n++] = NumericGetDatum(position->cost);
	}
	if (n == 0)
		return;
	for (int c = 0; c < 5; c++)
		values[c + 1] = array_argument(columns[c], NULL, n, types[c]);
	wiring_write(tp->wiring, &write_positions, values);
}

/* Margin for the part of a trade that opens, of that value. */
static void
open_isolated(TradePosting *tp, TradeRow *trade, TradedInstrument *instrument, IsolatedTrade *isolated,
			  Numeric value)
{
	isolated->opened_value = value;
	isolated->notional = contract_notional(instrument->kind, isolated->qty, trade->price, instrument->multiplier);
	if (isolated->parent->in_group || !isolated_knows(&tp->margin, isolated->parent->account_id))
		write_changed_positions(tp);
	isolated_open(&tp->margin, isolated);
}

/* Book one trade, in memory but for what the margin of a child account asks for. */
static void
apply_trade(TradePosting *tp, TradeRow *trade)
{
	LedgerAccount *account = posting_account(tp->posting, trade->account_id);
	TradedInstrument *instrument = hash_search(tp->instruments, &trade->instrument_id, HASH_FIND, NULL);
	PositionKey key = {trade->account_id, trade->instrument_id, 0};
	TradedPosition *position;
	PositionChange change;
	Numeric		qty = trade->buys ? trade->qty : decimal_negate(trade->qty);
	LedgerAccount *parent = NULL;
	StatedTrade stated;
	IsolatedTrade isolated;
	bool		adds_risk;

	/* other trades leave the margin where it is */
	if (account->parent_id != 0 && strcmp(trade->kind, "trade") == 0)
		parent = posting_account(tp->posting, account->parent_id);
	position = hash_search(tp->positions, &key, HASH_FIND, NULL);
	position_apply_trade(instrument->kind, position->qty, position->cost, qty, trade->price,
						 instrument->multiplier, account->scale, &change);

	adds_risk = change.adds_risk &&
		!late_fill_note(tp->wiring, tp->book_id, &tp->late_fills,
						&(Fill) {trade->trade_id, account, trade->kind, trade->liquidation_id, trade->instrument_id,
						trade->executed_at, position->was_taken_over, position->qty, change.qty, trade->price});
	if (adds_risk)
		isolated_check_side(account, trade->trade_id, trade->instrument_id, change.qty);
	stated = (StatedTrade)
	{
		trade->trade_id, trade->instrument_id, trade->executed_at,
			adds_risk && strcmp(trade->kind, "trade") == 0, position->qty, change.qty
	};
	instrument_state_admit(instrument->state, account, &stated);
	if (strcmp(trade->kind, "trade") == 0)
	{
		account_state_admit(tp->wiring, tp->book_id, account, &stated);
		/* what a child closes is no trade of its parent */
		if (parent != NULL && adds_risk)
			account_state_admit(tp->wiring, tp->book_id, parent, &stated);
		if (position->isolated && adds_risk)
			isolated_check_mode(account, trade->trade_id, trade->instrument_id);
	}

	if (adds_risk && account->kind == ACCOUNT_TRADER && strcmp(trade->kind, "trade") == 0)
		position->risk_trade_id = trade->trade_id;
	isolated = (IsolatedTrade)
	{
		.child = account,
			.parent = parent,
			.trade_id = trade->trade_id,
			.executed_at = trade->executed_at,
			.fee = trade->fee,
			.instrument_id = trade->instrument_id,
			.qty_before = position->qty,
			.qty = change.qty
	};
	position->trades++;
	position->qty = change.qty;
	position->cost = change.cost;
	position->changed = true;
	posting_move_position(account, trade->instrument_id);
	isolated_forget(&tp->margin, account->account_id);

	if (change.realized != NULL && decimal_sign(change.realized) != 0)
	{
		const char *kind = strcmp(trade->kind, "bust") == 0 ? "bust_pnl" : "realized_pnl";

		posting_post(tp->posting, account, change.realized, kind, trade->trade_id, trade->executed_at);
		posting_post(tp->posting, instrument->clearing, decimal_negate(change.realized), kind,
					 trade->trade_id, trade->executed_at);
		if (account->kind == ACCOUNT_LIQUIDITY && strcmp(trade->kind, "trade") == 0)
			takeover_result_post(tp->posting, account, change.realized, trade->trade_id, trade->executed_at);
	}
	if (change.residue != NULL)
		note_residue(tp, trade->account_id, trade->trade_id, 0, trade->instrument_id, change.residue);
	if (trade->executed_at < instrument->last_funding_at)
		apply_past_fundings(tp, trade, account, instrument, qty);
	if (parent != NULL && change.realized == NULL && adds_risk)
		open_isolated(tp, trade, instrument, &isolated, contract_notional(instrument->kind, qty, trade->price,
																		  instrument->multiplier));
	trading_fee_post(tp->wiring, tp->posting, &tp->policies,
					 &(TradingFee) {trade->trade_id, trade->executed_at, trade->fee, account, instrument->fee, instrument->fund});
	if (parent != NULL && change.realized != NULL)
	{
		write_changed_positions(tp);
		isolated_close(&tp->margin, &isolated);
		/* a flip has paid its fee by what it closed */
		isolated.fee = decimal_from_int64(0);
		if (adds_risk)
			open_isolated(tp, trade, instrument, &isolated, decimal_absolute(change.cost));
	}

	/* what posting itself inserts nets by construction */
	if (strcmp(trade->kind, "mirror") != 0 && strcmp(trade->kind, "takeover") != 0)
		executions_note(tp->executions, &(ExecutionRow) {
			.execution_id = trade->execution_id, .instrument_id = trade->instrument_id, .kind = instrument->kind,
			.clearing_id = instrument->clearing->account_id, .scale = account->scale, .qty = qty,
			.value = contract_value(instrument->kind, qty, trade->price, instrument->multiplier, account->scale),
			.executed_at = trade->executed_at
		});
}

/* Whether a trade of the statement has added risk that its account's policy wants covered. */
static bool
has_to_be_covered(TradePosting *tp, const TradedPosition *position)
{
	return position->risk_trade_id != 0 &&
		trade_policy(tp->wiring, &tp->policies, posting_account(tp->posting, position->key.account_id))->refuse_uncovered;
}

/*
 * Positions in instruments whose limits are enforced, and those that have to
 * be covered, are judged when the transaction commits, by what it has made of
 * all of them.
 */
static void
write_risk(TradePosting *tp)
{
	HASH_SEQ_STATUS scan;
	TradedPosition *position;
	int			size = hash_get_num_entries(tp->positions);
	Datum	   *columns[4];
	bool	   *no_trade = palloc(sizeof(bool) * size);
	Datum		values[5] = {Int32GetDatum(tp->book_id)};
	int			n = 0;
	static const Oid types[4] = {INT8OID, INT4OID, NUMERICOID, INT8OID};

	for (int c = 0; c < 4; c++)
		columns[c] = palloc(sizeof(Datum) * size);
	hash_seq_init(&scan, tp->positions);
	while ((position = hash_seq_search(&scan)) != NULL)
	{
		TradedInstrument *instrument = hash_search(tp->instruments, &position->key.instrument_id, HASH_FIND, NULL);

		if (!instrument->enforces_limits && !has_to_be_covered(tp, position))
			continue;
		columns[0][n] = Int64GetDatum(position->key.account_id);
		columns[1][n] = Int32GetDatum(position->key.instrument_id);
		columns[2][n] = NumericGetDatum(position->qty_before);
		no_trade[n] = position->risk_trade_id == 0;
		columns[3][n++] = Int64GetDatum(position->risk_trade_id);
	}
	if (n == 0)
		return;
	for (int c = 0; c < 4; c++)
		values[c + 1] = array_argument(columns[c], c == 3 ? no_trade : NULL, n, types[c]);
	limits_note(tp->wiring, values);
}

/* Accounts of the venue that these trades are booked on pass the gate. */
static void
open_traded_system_accounts(TradePosting *tp, TradeRow **trades, int n)
{
	LedgerAccount **gated = palloc(sizeof(LedgerAccount *) * n * 2);
	int			ngated = 0;

	for (int i = 0; i < n; i++)
	{
		LedgerAccount *account = posting_account(tp->posting, trades[i]->account_id);
		bool		listed = !account_kind_is_gated(account->kind);

		for (int g = 0; g < ngated && !listed; g++)
			listed = gated[g] == account;
		if (listed)
			continue;
		gated[ngated++] = account;
		/* for the result; one of each asset, as there is one liquidity account */
		if (account->kind == ACCOUNT_LIQUIDITY && !wiring_is_writing())
			gated[ngated++] = posting_system_account(tp->posting, ACCOUNT_INSURANCE_FUND, account->asset_code);
	}
	if (ngated > 0)
		posting_pass_gate(tp->posting, gated, ngated);
}

/* What the parents have to keep whose margin the trades may move. */
static void
read_requirements(TradePosting *tp, TradeRow **trades, int n)
{
	int64	   *ids = palloc(sizeof(int64) * n);
	int			nids = 0;

	for (int i = 0; i < n; i++)
	{
		LedgerAccount *account = posting_account(tp->posting, trades[i]->account_id);

		if (account->parent_id != 0)
			ids[nids++] = account->parent_id;
	}
	if (nids > 0)
		isolated_read(&tp->margin, ids, nids);
}

static TradePosting
begin_trades(Wiring *wiring, int32 book_id, int n)
{
	return (TradePosting)
	{
		.wiring = wiring, .book_id = book_id,
			.posting = posting_begin(wiring, book_id),
			.instruments = statement_hash("traded instruments", sizeof(int32), sizeof(TradedInstrument)),
			.positions = statement_hash("traded positions", sizeof(PositionKey), sizeof(TradedPosition)),
			.executions = executions_begin(),
			.residues = palloc(sizeof(Residue) * n * 2)
	};
}

/* Open all that the trades touch, and book them in memory, in the order given. */
static void
apply_trades(TradePosting *tp, TradeRow **trades, int n)
{
	int64	   *account_ids = palloc(sizeof(int64) * n);
	bool		moves_margin = false;

	for (int i = 0; i < n; i++)
	{
		account_ids[i] = trades[i]->account_id;
		moves_margin |= strcmp(trades[i]->kind, "trade") == 0;
	}
	/* what posting itself inserts comes after the gate, where no trader is locked any more: it moves no margin */
	if (wiring_is_writing())
		posting_open(tp->posting, account_ids, n);
	else
		posting_open_with_backing(tp->posting, account_ids, n);
	for (int i = 0; i < n; i++)
		if (posting_account(tp->posting, trades[i]->account_id) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
					 errmsg("trade " INT64_FORMAT ": unknown account", trades[i]->trade_id),
					 errdetail("Book %d has no account " INT64_FORMAT ".", tp->book_id, trades[i]->account_id),
					 errhint("Insert it into the table account first.")));
	liquidation_fills_check(tp->wiring, tp->book_id, trades, n);
	open_instruments(tp, trades, n);
	for (int i = 0; i < n; i++)
		check_trade(tp, trades[i]);
	open_traded_system_accounts(tp, trades, n);
	open_positions(tp, trades, n);
	isolated_begin(&tp->margin, tp->wiring, tp->book_id, tp->posting);
	if (moves_margin)
		read_requirements(tp, trades, n);

	for (int i = 0; i < n; i++)
		apply_trade(tp, trades[i]);
}

static void
post_trades_of_book(Wiring *wiring, int32 book_id, void **rows, int n)
{
	TradePosting tp = begin_trades(wiring, book_id, n);

	idempotency_take(wiring, book_id, &keyed_trades, rows, n);
	apply_trades(&tp, (TradeRow **) rows, n);

	write_changed_positions(&tp);
	tp.nresidues += executions_close(tp.executions, tp.residues + tp.nresidues);
	funding_payments_write(wiring, book_id, &tp.payments);
	write_residues(wiring, book_id, tp.residues, tp.nresidues);
	posting_write(tp.posting);

	/*
	 * Last: with SET CONSTRAINTS IMMEDIATE the rows are judged at once, which
	 * may post more trades, and what is held in memory here must be written.
	 */
	executions_write(wiring, book_id, tp.executions);
	write_risk(&tp);
	late_fills_write(wiring, book_id, tp.late_fills);
}

/*
 * trade_try
 *		What booking a trade of this moment would do; nothing is written.  What
 *		would be refused raises the same errors.  The wiring is of a trial.
 */
TradeOutcome
trade_try(Wiring *wiring, int32 book_id, const OrderedTrade *order)
{
	TradePosting tp = begin_trades(wiring, book_id, 1);
	TimestampTz now = GetCurrentTimestamp();
	TradeRow	trade = {
		/* it has no number yet */
		.trade_id = -1,
		.book_id = book_id, .account_id = order->account_id, .instrument_id = order->instrument_id,
		.executed_at = now, .buys = order->buys, .qty = order->qty, .price = order->price, .fee = order->fee,
		.kind = "trade", .period = period_of(now)
	};
	TradeRow   *trades = &trade;
	PositionKey key = {order->account_id, order->instrument_id, 0};
	TradedPosition *position;
	LedgerAccount *account;
	TradeOutcome outcome;

	apply_trades(&tp, &trades, 1);
	position = hash_search(tp.positions, &key, HASH_FIND, NULL);
	account = posting_account(tp.posting, order->account_id);
	try_position(&tp, position);
	outcome = (TradeOutcome)
	{
		.qty_before = position->qty_before, .qty = position->qty, .cost = position->cost,
			.adds_risk = position->risk_trade_id != 0,
			.open_interest_change = tp.trial_position.open_interest_change,
			.realized_pnl = posting_sum(tp.posting, account, "realized_pnl"),
			.margin_moved = posting_sum(tp.posting, account, "isolated_margin"),
			.balance_change = posting_sum(tp.posting, account, NULL)
	};
	wiring->trial_position = NULL;
	return outcome;
}

/* The funding locks of all that the statement trades, before any other lock. */
static void
lock_against_fundings(TradeRow *trades, int n)
{
	FundedInstrument *traded = palloc_extended(sizeof(FundedInstrument) * Max(n, 1), MCXT_ALLOC_HUGE);

	for (int i = 0; i < n; i++)
		traded[i] = (FundedInstrument) {trades[i].book_id, trades[i].instrument_id};
	funding_lock(traded, n, ShareLock);
}

/*
 * risk.post_trades()
 *		Trigger on trade, AFTER INSERT FOR EACH STATEMENT.
 */
Datum
risk_post_trades(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = statement_trigger(fcinfo, "risk.post_trades");
	Wiring	   *wiring = wiring_enter(trigger->tg_relation, LEDGER_TRADE);
	int			n;
	TradeRow   *trades = transition_rows(trigger, &trade_reader, &n, NULL);

	/* what posting itself inserts is of this moment, or its transaction has the locks */
	if (!wiring_is_writing())
		lock_against_fundings(trades, n);
	post_by_book(wiring, &trade_reader, trades, n, post_trades_of_book);
	wiring_leave(wiring);
	return PointerGetDatum(NULL);
}
