/*
 * waterfall.c
 *		Who pays for balances below their floor, when the transaction commits.
 *
 * All accounts that the transaction left below their floor are settled in one
 * pass, traders by account_id first, then the venue's own, in the stages of
 * the policy of each.  The gate of the book is passed before anything is read, so one waterfall of a book
 * runs at a time, and the accounts themselves have been locked since they were
 * posted to.
 *
 * The stage `own` comes first under every policy: nobody else pays while the
 * equity of the account is at or above its floor.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "collateral.h"
#include "margin.h"
#include "posting.h"
#include "valuation.h"
#include "waterfall.h"

/* An account that the transaction took below its floor. */
typedef struct Deficit
{
	int64		account_id;
	LedgerAccount *account;

	char	  **stages;			/* of its policy, ended by NULL */
	int			policy_version;

	int64		cause;			/* of the entry that crossed the floor */
	const char *cause_kind;		/* trade, funding, exchange or transfer */
	int64		fee_cause;		/* trade whose fee is cut */
	Numeric		fees;			/* part of the way down that fees made */
	Numeric		operational;	/* part that is not the market's */

	Numeric		shortfall;		/* what others have to pay, in all */
	Numeric		market_due;		/* what nobody has paid yet, by class */
	Numeric		operational_due;
} Deficit;

/* A payment by another party. */
typedef struct Payment
{
	Deficit    *deficit;
	LedgerAccount *payer;
	const char *stage;
	Numeric		amount;
	Numeric		payer_before;
} Payment;

/* A system account that pays, with its balance over all slots. */
typedef struct Payer
{
	LedgerAccount *account;
	Numeric		total;
} Payer;

/* Profit taken out of a position, or a position that is taken over. */
typedef struct PositionShare
{
	Deficit    *deficit;
	OpenPosition *position;
	Numeric		amount;			/* of profit; unused for a takeover */
} PositionShare;

typedef struct Waterfall
{
	Wiring	   *wiring;
	int32		book_id;
	Posting    *posting;
	Collateral *collateral;		/* NULL: no account is in a margin group */
	Deficit    *deficits;
	int			ndeficits;
	Payment    *payments;
	int			npayments;
	Payer	   *payers;
	int			npayers;
} Waterfall;

/* Pays what it can of one deficit. */
typedef void (*StageFunction) (Waterfall *waterfall, Deficit *deficit);

static void pay_from_fund(Waterfall *waterfall, Deficit *deficit);
static void pay_from_house(Waterfall *waterfall, Deficit *deficit);
static void reject(Waterfall *waterfall, Deficit *deficit);
static void read_causes(Waterfall *waterfall);

static const struct
{
	const char *name;
	StageFunction pay;
}			stages[] = {
	{"fund", pay_from_fund},
	{"house", pay_from_house},
	{"reject", reject},
};

static const LedgerStatement take_notes = {
	"WITH taken AS (DELETE FROM {below_floor} n WHERE n.book_id = $1 RETURNING n.account_id)"
	" SELECT t.account_id FROM taken t ORDER BY t.account_id < 0, t.account_id",
	1, {INT4OID}
};

static const LedgerStatement read_policies = {
	"SELECT DISTINCT ON (p.policy_code) p.policy_code, p.version, array_to_string(p.stages, ' ')"
	" FROM {policy} p WHERE p.policy_code = ANY ($1) AND p.effective_at <= clock_timestamp()"
	" ORDER BY p.policy_code, p.version DESC",
	1, {TEXTARRAYOID}
};

/* the entries since an account was last at or above its floor */
static const LedgerStatement read_entries = {
	"SELECT n.account_id, e.amount, e.balance_after, e.kind, e.cause"
	" FROM unnest($2, $3) AS n(account_id, floor), LATERAL ("
	"  SELECT e.* FROM {entry} e"
	"  WHERE e.book_id = $1 AND e.slot = 0 AND e.account_id = n.account_id"
	"   AND e.seq > coalesce((SELECT f.seq FROM {entry} f"
	"    WHERE f.book_id = $1 AND f.slot = 0 AND f.account_id = n.account_id"
	"     AND f.balance_after >= n.floor ORDER BY f.seq DESC LIMIT 1),"
	"    (SELECT c.seq FROM {checkpoint_balance} c WHERE c.book_id = $1 AND c.slot = 0 AND c.account_id = n.account_id"
	"     ORDER BY c.checkpoint_id DESC LIMIT 1), 0) OFFSET 0) AS e"
	" ORDER BY n.account_id, e.seq",
	3, {INT4OID, INT8ARRAYOID, NUMERICARRAYOID}
};

static const LedgerStatement insert_settlements = {
	"INSERT INTO {settlement} (book_id, account_id, instrument_id, kind, amount)"
	" SELECT $1, u.account_id, u.instrument_id, 'profit', u.amount"
	" FROM unnest($2, $3, $4) WITH ORDINALITY AS u(account_id, instrument_id, amount, place)"
	" ORDER BY u.place RETURNING settlement_id",
	4, {INT4OID, INT8ARRAYOID, INT4ARRAYOID, NUMERICARRAYOID}
};

static const LedgerStatement add_to_costs = {
	"INSERT INTO {position} AS p (book_id, account_id, instrument_id, cost, trades, qty)"
	" SELECT $1, u.*, 0, 0 FROM unnest($2, $3, $4) AS u"
	" ON CONFLICT (book_id, account_id, instrument_id) DO UPDATE"
	" SET cost = p.cost + excluded.cost",
	4, {INT4OID, INT8ARRAYOID, INT4ARRAYOID, NUMERICARRAYOID}
};

/*
 * The numbers of these executions are negative, apart from those of the
 * matching engine.  Executed now, both sides at the same time: after any
 * funding that the transaction has posted.
 */
static const LedgerStatement insert_takeovers = {
	"INSERT INTO {trade} (executed_at, book_id, account_id, instrument_id, execution_id, side, qty, price, kind)"
	" SELECT (SELECT clock_timestamp()), $1, CASE WHEN l.trader THEN t.account_id ELSE t.liquidity_id END, t.instrument_id,"
	"  t.execution_id, CASE WHEN (t.qty > 0) = l.trader THEN 'sell' ELSE 'buy' END,"
	"  abs(t.qty), trim_scale(t.price), 'takeover'"
	" FROM (SELECT u.*, -nextval('{schema}.trade_execution_id_seq') AS execution_id"
	"  FROM unnest($2, $3, $4, $5, $6) AS u(account_id, liquidity_id, instrument_id, qty, price)) AS t,"
	" (VALUES (true), (false)) AS l(trader)",
	6, {INT4OID, INT8ARRAYOID, INT8ARRAYOID, INT4ARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID}
};

static const LedgerStatement insert_resets = {
	"INSERT INTO {reset} (book_id, account_id, payer_account, cause, cause_kind, asset_code, stage,"
	"  shortfall, amount, balance_before, balance_after, payer_before, payer_after, owner_id,"
	"  policy_code, policy_version, instrument_id, mark_price, mark_age)"
	" SELECT $1, u.account_id, u.payer_account, u.cause, u.cause_kind, u.asset_code, u.stage,"
	"  u.shortfall, u.amount, u.balance_after - u.amount, u.balance_after,"
	"  u.payer_before, u.payer_before - u.amount, u.owner_id, u.policy_code, u.policy_version,"
	"  coalesce(t.instrument_id, f.instrument_id), m.price, clock_timestamp() - m.observed_at"
	" FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) WITH ORDINALITY"
	"  AS u(account_id, payer_account, cause, cause_kind, asset_code, stage, shortfall, amount,"
	"   balance_after, payer_before, owner_id, policy_code, policy_version, place)"
	" LEFT JOIN {trade} t ON u.cause_kind = 'trade' AND t.book_id = $1 AND t.trade_id = u.cause"
	" LEFT JOIN {funding} f ON u.cause_kind = 'funding' AND f.book_id = $1 AND f.funding_id = u.cause"
	" LEFT JOIN {mark_price} m ON m.instrument_id = coalesce(t.instrument_id, f.instrument_id)"
	" ORDER BY u.place RETURNING reset_id",
	14, {INT4OID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID,
		TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID}
};

static const LedgerStatement insert_reset_events = {
	"INSERT INTO {event} (book_id, account_id, kind, payload)"
	" SELECT r.book_id, r.account_id, 'reset', jsonb_build_object('reset_id', r.reset_id,"
	"  'asset_code', r.asset_code, 'amount', r.amount, 'shortfall', r.shortfall, 'stage', r.stage,"
	"  'payer_account', r.payer_account, 'payer_after', r.payer_after, 'cause_kind', r.cause_kind,"
	"  'cause', r.cause)"
	" FROM {reset} r WHERE r.book_id = $1 AND r.reset_id = ANY ($2) ORDER BY r.reset_id",
	2, {INT4OID, INT8ARRAYOID}
};

static Numeric
zero(void)
{
	return decimal_from_int64(0);
}

/* What is missing up to the floor; zero or less when nothing is. */
static Numeric
missing(const Deficit *deficit)
{
	return decimal_subtract(deficit->account->floor, deficit->account->amount);
}

/* Adds an asset to a list that names each once. */
static void
add_asset(char **assets, int *n, char *asset_code)
{
	for (int a = 0; a < *n; a++)
		if (strcmp(assets[a], asset_code) == 0)
			return;
	assets[(*n)++] = asset_code;
}

/*
 * Open the accounts and their margin groups, pass the gate, and take a slot of
 * those that only give or take.
 */
static void
open_accounts(Waterfall *waterfall)
{
	Posting    *posting = posting_begin(waterfall->wiring, waterfall->book_id);
	int64	   *ids = palloc(sizeof(int64) * waterfall->ndeficits);
	List	   *exchanged;
	ListCell   *lc;
	char	  **assets;
	int			nassets = 0;
	int			nexchanged;
	LedgerAccount **gated;
	LedgerAccount **others;
	int			ngated = 0;
	int			nothers = 0;

	for (int i = 0; i < waterfall->ndeficits; i++)
		ids[i] = waterfall->deficits[i].account_id;
	posting_open(posting, ids, waterfall->ndeficits);
	for (int i = 0; i < waterfall->ndeficits; i++)
		waterfall->deficits[i].account = posting_account(posting, waterfall->deficits[i].account_id);

	/* before the gate: members of margin groups are traders */
	waterfall->collateral = collateral_open(waterfall->wiring, posting, waterfall->book_id, ids,
											waterfall->ndeficits, COLLATERAL_AS_IT_IS);
	exchanged = collateral_assets(waterfall->collateral);

	assets = palloc(sizeof(char *) * (waterfall->ndeficits + list_length(exchanged)));
	for (int i = 0; i < waterfall->ndeficits; i++)
		add_asset(assets, &nassets, waterfall->deficits[i].account->asset_code);
	nexchanged = nassets;
	foreach(lc, exchanged)
		add_asset(assets, &nexchanged, lfirst(lc));

	gated = palloc(sizeof(LedgerAccount *) * nexchanged * 2);
	others = palloc(sizeof(LedgerAccount *) * nassets * 3);
	for (int a = 0; a < nassets; a++)
	{
		gated[ngated++] = posting_system_account(posting, ACCOUNT_INSURANCE_FUND, assets[a]);
		others[nothers++] = posting_system_account(posting, ACCOUNT_CLEARING, assets[a]);
		others[nothers++] = posting_system_account(posting, ACCOUNT_FEE, assets[a]);
		others[nothers++] = posting_system_account(posting, ACCOUNT_HOUSE, assets[a]);
	}
	for (int a = 0; a < nexchanged; a++)
		gated[ngated++] = posting_system_account(posting, ACCOUNT_LIQUIDITY, assets[a]);
	posting_take_slots(posting, others, nothers);
	posting_pass_gate(posting, gated, ngated);
	waterfall->posting = posting;
}

static int
compare_profit(const void *a, const void *b)
{
	OpenPosition *left = *(OpenPosition *const *) a;
	OpenPosition *right = *(OpenPosition *const *) b;
	int			result = decimal_compare(right->unrealized_pnl, left->unrealized_pnl);

	return result != 0 ? result :
		(left->instrument_id > right->instrument_id) - (left->instrument_id < right->instrument_id);
}

/*
 * Take due out of the profits of an account's positions, largest first, ties
 * by instrument.  Profits are taken down to the scale of the asset; when the
 * sum falls short of due by those fractions only, the largest makes it up.
 */
static void
share_out_profit(Deficit *deficit, OpenPosition *positions, int n, Numeric due, bool in_full,
				 PositionShare *shares, int *nshares)
{
	OpenPosition **order = palloc(sizeof(OpenPosition *) * n);
	int			first = *nshares;

	for (int i = 0; i < n; i++)
		order[i] = &positions[i];
	qsort(order, n, sizeof(OpenPosition *), compare_profit);
	for (int i = 0; i < n && decimal_sign(due) > 0; i++)
	{
		Numeric		profit = decimal_round(order[i]->unrealized_pnl, deficit->account->scale, DECIMAL_DOWN);
		PositionShare *share = &shares[*nshares];

		if (decimal_sign(profit) <= 0)
			break;
		share->deficit = deficit;
		share->position = order[i];
		share->amount = decimal_min(profit, due);
		due = decimal_subtract(due, share->amount);
		(*nshares)++;
	}
	if (in_full && decimal_sign(due) > 0)
	{
		if (*nshares == first)
			shares[(*nshares)++] = (PositionShare) {deficit, order[0], due};
		else
			shares[first].amount = decimal_add(shares[first].amount, due);
	}
}

/* settle(position, amount): the profit goes to the balance, the cost grows by it. */
static void
settle_profits(Waterfall *waterfall, PositionShare *shares, int n)
{
	Datum	   *columns[3];
	Datum		values[4] = {Int32GetDatum(waterfall->book_id)};
	static const Oid types[3] = {INT8OID, INT4OID, NUMERICOID};
	int64	   *settlement_ids = palloc(sizeof(int64) * Max(n, 1));
	TimestampTz now = GetCurrentTimestamp();

	if (n == 0)
		return;
	for (int c = 0; c < 3; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		columns[0][i] = Int64GetDatum(shares[i].deficit->account_id);
		columns[1][i] = Int32GetDatum(shares[i].position->instrument_id);
		columns[2][i] = NumericGetDatum(shares[i].amount);
	}
	for (int c = 0; c < 3; c++)
		values[c + 1] = array_argument(columns[c], NULL, n, types[c]);
	wiring_write(waterfall->wiring, &add_to_costs, values);
	wiring_write(waterfall->wiring, &insert_settlements, values);
	for (int i = 0; i < n; i++)
		settlement_ids[i] = result_int64(i, 1);
	for (int i = 0; i < n; i++)
	{
		LedgerAccount *account = shares[i].deficit->account;

		posting_post(waterfall->posting, account, shares[i].amount, "settlement", settlement_ids[i], now);
		posting_post(waterfall->posting,
					 posting_system_account(waterfall->posting, ACCOUNT_CLEARING, account->asset_code),
					 decimal_negate(shares[i].amount), "settlement", settlement_ids[i], now);
	}
}

/*
 * At what price a position changes hands: the mark; without one, its average
 * entry, since that is how it was valued, rounded so that the account makes no
 * loss by it: up when a long is sold, down when a short is bought back.
 */
static Numeric
takeover_price(OpenPosition *position)
{
	Numeric		price = position->mark_price;

	if (price == NULL)
		price = position_entry_price(position->kind, position->qty, position->cost, position->multiplier,
									 decimal_sign(position->qty) > 0 ? DECIMAL_UP : DECIMAL_DOWN);
	if (decimal_sign(price) <= 0)
	{
		Numeric		cost = decimal_absolute(position->cost);

		price = position_entry_price(position->kind, decimal_absolute(position->qty),
									 position->kind == CONTRACT_INVERSE ? decimal_negate(cost) : cost,
									 position->multiplier, DECIMAL_UP);
	}
	return price;
}

/* Close all these positions against the liquidity account, by trades. */
static void
take_over(Waterfall *waterfall, PositionShare *taken, int n)
{
	Datum	   *columns[5];
	Datum		values[6] = {Int32GetDatum(waterfall->book_id)};
	static const Oid types[5] = {INT8OID, INT8OID, INT4OID, NUMERICOID, NUMERICOID};

	for (int c = 0; c < 5; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		LedgerAccount *liquidity = posting_system_account(waterfall->posting, ACCOUNT_LIQUIDITY,
														  taken[i].deficit->account->asset_code);

		columns[0][i] = Int64GetDatum(taken[i].deficit->account_id);
		columns[1][i] = Int64GetDatum(liquidity->account_id);
		columns[2][i] = Int32GetDatum(taken[i].position->instrument_id);
		columns[3][i] = NumericGetDatum(taken[i].position->qty);
		columns[4][i] = NumericGetDatum(takeover_price(taken[i].position));
	}
	for (int c = 0; c < 5; c++)
		values[c + 1] = array_argument(columns[c], NULL, n, types[c]);
	wiring_write(waterfall->wiring, &insert_takeovers, values);
}

/*
 * Take due out of the profits of an account's positions, and then out of the
 * balances of its margin group.  False, and nothing is taken, when the equity
 * and what the group can give do not reach the floor together.
 */
static bool
share_with_group(Waterfall *waterfall, Deficit *deficit, OpenPosition *positions, int n,
				 Numeric unrealized, Numeric due, PositionShare *profits, int *nprofits)
{
	Numeric		available = collateral_available(waterfall->collateral, deficit->account);
	int			first = *nprofits;

	if (decimal_compare(decimal_add(unrealized, available), due) < 0)
		return false;
	share_out_profit(deficit, positions, n, due, false, profits, nprofits);
	for (int i = first; i < *nprofits; i++)
		due = decimal_subtract(due, profits[i].amount);
	if (decimal_compare(available, due) < 0)
	{
		*nprofits = first;
		return false;
	}
	collateral_exchange(waterfall->collateral, deficit->account, due, deficit->cause, deficit->cause_kind);
	return true;
}

/*
 * Stage `own`.  Equity at or above the floor: exactly what is missing is
 * settled out of unrealised profit, and then taken out of the other balances
 * of the margin group.  Below it: every position is closed against the
 * liquidity account, so that who is reset keeps no position, and the group
 * gives what it has.  The liquidity account has nobody to hand its positions
 * to: it gives what profit it has.
 */
static void
pay_from_own(Waterfall *waterfall)
{
	int64	   *ids = palloc(sizeof(int64) * waterfall->ndeficits);
	Valuation  *valuation;
	PositionShare *profits;
	PositionShare *taken;
	int			nprofits = 0;
	int			ntaken = 0;

	for (int i = 0; i < waterfall->ndeficits; i++)
		ids[i] = waterfall->deficits[i].account_id;
	valuation = valuation_read(waterfall->wiring, waterfall->book_id, ids, waterfall->ndeficits);
	if (waterfall->collateral != NULL)
		read_causes(waterfall); /* which exchanges name */
	profits = palloc(sizeof(PositionShare) * valuation->n);
	taken = palloc(sizeof(PositionShare) * valuation->n);

	for (int i = 0; i < waterfall->ndeficits; i++)
	{
		Deficit    *deficit = &waterfall->deficits[i];
		Numeric		due = missing(deficit);
		Numeric		unrealized = zero();
		int			n;
		OpenPosition *positions = valuation_of_account(valuation, deficit->account_id, &n);

		if (decimal_sign(due) <= 0 || n == 0)
			continue;
		for (int p = 0; p < n; p++)
			unrealized = decimal_add(unrealized, positions[p].unrealized_pnl);
		if (decimal_compare(unrealized, due) >= 0)
			share_out_profit(deficit, positions, n, due, true, profits, &nprofits);
		else if (deficit->account->kind != ACCOUNT_TRADER)
			share_out_profit(deficit, positions, n, due, false, profits, &nprofits);
		else if (!share_with_group(waterfall, deficit, positions, n, unrealized, due, profits, &nprofits))
			for (int p = 0; p < n; p++)
				taken[ntaken++] = (PositionShare) {deficit, &positions[p], NULL};
	}

	settle_profits(waterfall, profits, nprofits);
	collateral_post(waterfall->collateral);
	if (ntaken > 0)
	{
		/* the trades are posted like any others, so all is written before them and read again after */
		posting_write(waterfall->posting);
		take_over(waterfall, taken, ntaken);
		open_accounts(waterfall);
	}

	/* for what is still missing the groups give what they have */
	for (int i = 0; i < waterfall->ndeficits; i++)
		collateral_exchange(waterfall->collateral, waterfall->deficits[i].account, missing(&waterfall->deficits[i]),
							waterfall->deficits[i].cause, waterfall->deficits[i].cause_kind);
	collateral_post(waterfall->collateral);
}

/* How each account came below its floor: which entry crossed it, and what share fees and operations have. */
static void
read_causes(Waterfall *waterfall)
{
	int			n = waterfall->ndeficits;
	Datum	   *ids = palloc(sizeof(Datum) * n);
	Datum	   *floors = palloc(sizeof(Datum) * n);
	Datum		values[3] = {Int32GetDatum(waterfall->book_id)};
	int			d = 0;

	for (int i = 0; i < n; i++)
	{
		ids[i] = Int64GetDatum(waterfall->deficits[i].account_id);
		floors[i] = NumericGetDatum(waterfall->deficits[i].account->floor);
		waterfall->deficits[i].fees = zero();
		waterfall->deficits[i].operational = zero();
		waterfall->deficits[i].cause_kind = "transfer";
	}
	values[1] = array_argument(ids, NULL, n, INT8OID);
	values[2] = array_argument(floors, NULL, n, NUMERICOID);
	wiring_read(waterfall->wiring, &read_entries, values, LEDGER_LATEST);

	/* both lists are sorted by account */
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		int64		account_id = result_int64(row, 1);
		Numeric		amount = result_numeric(row, 2);
		Numeric		after = result_numeric(row, 3);
		Numeric		before = decimal_subtract(after, amount);
		Numeric		floor;
		Numeric		down;
		char	   *kind;
		EntryClass	class;

		while (waterfall->deficits[d].account_id != account_id)
			d++;
		floor = waterfall->deficits[d].account->floor;
		if (decimal_sign(amount) >= 0)
			continue;
		down = decimal_subtract(decimal_min(before, floor), after);
		kind = result_text(row, 4);
		class = entry_class(kind);
		if (decimal_compare(before, floor) >= 0)
		{
			waterfall->deficits[d].cause = result_int64(row, 5);
			waterfall->deficits[d].cause_kind = entry_cause_kind(kind);
		}
		if (class == CLASS_FEE)
		{
			waterfall->deficits[d].fees = decimal_add(waterfall->deficits[d].fees, down);
			waterfall->deficits[d].fee_cause = result_int64(row, 5);
		}
		if (class == CLASS_OPERATIONAL)
			waterfall->deficits[d].operational = decimal_add(waterfall->deficits[d].operational, down);
	}
}

static void
read_stages(Waterfall *waterfall)
{
	Datum	   *codes = palloc(sizeof(Datum) * waterfall->ndeficits);
	Datum		values[1];

	for (int i = 0; i < waterfall->ndeficits; i++)
		codes[i] = CStringGetTextDatum(waterfall->deficits[i].account->policy_code);
	values[0] = array_argument(codes, NULL, waterfall->ndeficits, TEXTOID);
	wiring_read(waterfall->wiring, &read_policies, values, LEDGER_LATEST);

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		char	   *code = result_text(row, 1);
		int			version = result_int32(row, 2);
		char	   *list = result_text(row, 3);
		char	  **names = palloc0(sizeof(char *) * (strlen(list) / 2 + 2));
		int			n = 0;

		for (char *name = strtok(list, " "); name != NULL; name = strtok(NULL, " "))
			names[n++] = name;
		for (int i = 0; i < waterfall->ndeficits; i++)
			if (strcmp(waterfall->deficits[i].account->policy_code, code) == 0)
			{
				waterfall->deficits[i].stages = names;
				waterfall->deficits[i].policy_version = version;
			}
	}
}

static Payer *
payer(Waterfall *waterfall, AccountKind kind, const char *asset_code)
{
	LedgerAccount *account = posting_system_account(waterfall->posting, kind, asset_code);
	Payer	   *found;

	for (int i = 0; i < waterfall->npayers; i++)
		if (waterfall->payers[i].account == account)
			return &waterfall->payers[i];
	found = &waterfall->payers[waterfall->npayers++];
	found->account = account;
	found->total = posting_total(waterfall->posting, account);
	return found;
}

static void
pay(Waterfall *waterfall, Deficit *deficit, Payer *by, const char *stage, Numeric amount)
{
	if (decimal_sign(amount) <= 0)
		return;
	waterfall->payments[waterfall->npayments++] = (Payment)
	{
		deficit, by->account, stage, amount, by->total
	};
	by->total = decimal_subtract(by->total, amount);
}

/* Stage `fund`: what the market did, as far as the insurance fund goes. */
static void
pay_from_fund(Waterfall *waterfall, Deficit *deficit)
{
	Payer	   *fund = payer(waterfall, ACCOUNT_INSURANCE_FUND, deficit->account->asset_code);
	Numeric		amount = decimal_min(deficit->market_due, decimal_subtract(fund->total, fund->account->floor));

	if (decimal_sign(amount) <= 0)
		return;
	pay(waterfall, deficit, fund, "fund", amount);
	deficit->market_due = decimal_subtract(deficit->market_due, amount);
}

/* Stage `house`: the rest, whatever it is. */
static void
pay_from_house(Waterfall *waterfall, Deficit *deficit)
{
	pay(waterfall, deficit, payer(waterfall, ACCOUNT_HOUSE, deficit->account->asset_code), "house",
		decimal_add(deficit->market_due, deficit->operational_due));
	deficit->market_due = zero();
	deficit->operational_due = zero();
}

/* Stage `reject`: nobody else pays. */
static void
reject(Waterfall *waterfall, Deficit *deficit)
{
	Numeric		due = decimal_add(deficit->market_due, deficit->operational_due);

	if (decimal_sign(due) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("balance of account " INT64_FORMAT " of book %d would be below its floor",
						deficit->account_id, waterfall->book_id),
				 errdetail("%s %s are missing to the floor of %s; %s " INT64_FORMAT " crossed it, and policy %s lets nobody else pay.",
						   decimal_to_cstring(due), deficit->account->asset_code,
						   decimal_to_cstring(deficit->account->floor), deficit->cause_kind, deficit->cause,
						   deficit->account->policy_code),
				 errhint("Pay money in first, or give the account a policy with another payer.")));
}

/* A fee that cannot be paid is cut before anybody pays, so that no shortfall contains one. */
static void
cut_fee(Waterfall *waterfall, Deficit *deficit)
{
	Numeric		cut = decimal_min(missing(deficit), deficit->fees);
	TimestampTz now = GetCurrentTimestamp();

	if (decimal_sign(cut) <= 0)
		return;
	posting_post(waterfall->posting, deficit->account, cut, "fee_cut", deficit->fee_cause, now);
	posting_post(waterfall->posting,
				 posting_system_account(waterfall->posting, ACCOUNT_FEE, deficit->account->asset_code),
				 decimal_negate(cut), "fee_cut", deficit->fee_cause, now);
}

static void
run_stages(Waterfall *waterfall, Deficit *deficit)
{
	deficit->shortfall = missing(deficit);
	deficit->operational_due = decimal_min(deficit->operational, deficit->shortfall);
	deficit->market_due = decimal_subtract(deficit->shortfall, deficit->operational_due);
	for (int s = 1; deficit->stages != NULL && deficit->stages[s] != NULL; s++)
		for (int i = 0; i < (int) lengthof(stages); i++)
			if (strcmp(stages[i].name, deficit->stages[s]) == 0)
				stages[i].pay(waterfall, deficit);
}

/* One row of reset for each payment, the entries that it stands for, and an event. */
static void
write_payments(Waterfall *waterfall)
{
	int			n = waterfall->npayments;
	Datum	   *columns[13];
	bool	   *no_owner = palloc(sizeof(bool) * n);
	Datum		values[14] = {Int32GetDatum(waterfall->book_id)};
	static const Oid types[13] = {INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, NUMERICOID,
	NUMERICOID, NUMERICOID, NUMERICOID, TEXTOID, TEXTOID, INT4OID};
	Datum	   *reset_ids = palloc(sizeof(Datum) * n);
	TimestampTz now = GetCurrentTimestamp();

	if (n == 0)
		return;
	for (int c = 0; c < 13; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		Payment    *payment = &waterfall->payments[i];
		Deficit    *deficit = payment->deficit;
		LedgerAccount *account = deficit->account;
		Numeric		balance = i > 0 && waterfall->payments[i - 1].deficit == deficit ?
			DatumGetNumeric(columns[8][i - 1]) : account->amount;

		columns[0][i] = Int64GetDatum(account->account_id);
		columns[1][i] = Int64GetDatum(payment->payer->account_id);
		columns[2][i] = Int64GetDatum(deficit->cause);
		columns[3][i] = CStringGetTextDatum(deficit->cause_kind);
		columns[4][i] = CStringGetTextDatum(account->asset_code);
		columns[5][i] = CStringGetTextDatum(payment->stage);
		columns[6][i] = NumericGetDatum(deficit->shortfall);
		columns[7][i] = NumericGetDatum(payment->amount);
		columns[8][i] = NumericGetDatum(decimal_add(balance, payment->amount));
		columns[9][i] = NumericGetDatum(payment->payer_before);
		no_owner[i] = account->owner_id == NULL;
		columns[10][i] = no_owner[i] ? (Datum) 0 : CStringGetTextDatum(account->owner_id);
		columns[11][i] = CStringGetTextDatum(account->policy_code);
		columns[12][i] = Int32GetDatum(deficit->policy_version);
	}
	for (int c = 0; c < 13; c++)
		values[c + 1] = array_argument(columns[c], c == 10 ? no_owner : NULL, n, types[c]);
	wiring_write(waterfall->wiring, &insert_resets, values);

	for (int i = 0; i < n; i++)
		reset_ids[i] = Int64GetDatum(result_int64(i, 1));
	for (int i = 0; i < n; i++)
	{
		Payment    *payment = &waterfall->payments[i];

		posting_post(waterfall->posting, payment->deficit->account, payment->amount, "reset",
					 DatumGetInt64(reset_ids[i]), now);
		posting_post(waterfall->posting, payment->payer, decimal_negate(payment->amount), "reset",
					 DatumGetInt64(reset_ids[i]), now);
	}
	values[1] = array_argument(reset_ids, NULL, n, INT8OID);
	wiring_write(waterfall->wiring, &insert_reset_events, values);
}

/* Settle some of the noted accounts; sorted by account_id. */
static void
settle_accounts(Wiring *wiring, int32 book_id, Deficit *deficits, int n)
{
	Waterfall	waterfall = {
		.wiring = wiring,
		.book_id = book_id,
		.deficits = deficits,
		.ndeficits = n
	};
	int			nstages = lengthof(stages);

	open_accounts(&waterfall);
	pay_from_own(&waterfall);
	read_causes(&waterfall);
	read_stages(&waterfall);

	waterfall.payments = palloc(sizeof(Payment) * n * nstages);
	waterfall.payers = palloc(sizeof(Payer) * n * nstages);
	for (int i = 0; i < n; i++)
		if (decimal_sign(missing(&deficits[i])) > 0)
		{
			cut_fee(&waterfall, &deficits[i]);
			if (decimal_sign(missing(&deficits[i])) > 0)
				run_stages(&waterfall, &deficits[i]);
		}
	write_payments(&waterfall);
	posting_write(waterfall.posting);
}

/*
 * waterfall_settle
 *		Bring every account of a book that this transaction took below its
 *		floor back to it, or raise 23514 where a policy says so.  On return no
 *		account is noted in below_floor; one whose policy has no payer is below its floor still.
 */
void
waterfall_settle(Wiring *wiring, int32 book_id)
{
	for (;;)
	{
		Datum		values[1] = {Int32GetDatum(book_id)};
		Deficit    *deficits;
		int			n;
		int			traders = 0;

		wiring_write(wiring, &take_notes, values);
		n = SPI_processed;
		if (n == 0)
			break;
		deficits = palloc0(sizeof(Deficit) * n);
		for (int i = 0; i < n; i++)
		{
			deficits[i].account_id = result_int64(i, 1);
			if (deficits[i].account_id > 0)
				traders++;
		}
		/* what is taken over from traders may cost the liquidity account: it comes last */
		if (traders > 0)
			settle_accounts(wiring, book_id, deficits, traders);
		if (n > traders)
			settle_accounts(wiring, book_id, deficits + traders, n - traders);
	}
}
