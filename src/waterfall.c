/*
 * waterfall.c
 *		Who pays for balances below their floor, when the transaction commits.
 *
 * All accounts that the transaction left below their floor are settled in one
 * pass, traders by account_id first, then the venue's own, in the stages of
 * the policy of each.  That order decides whom the fund pays for when it does
 * not suffice, and costs no trader anything: each is brought back to its floor,
 * by the next stage where not by the fund.  The gate of the book is passed
 * before anything is read, so one waterfall of a book runs at a time, and the
 * accounts themselves have been locked since they were posted to.
 *
 * The stage `own` comes first under every policy: nobody else pays while the
 * equity of the account is at or above its floor.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "margin.h"
#include "position_settlement.h"
#include "stages.h"
#include "takeover.h"
#include "valuation.h"
#include "waterfall.h"

static void read_causes(Waterfall *waterfall);

static const LedgerStatement take_notes = {
	"WITH taken AS (DELETE FROM {below_floor} n WHERE n.book_id = $1 RETURNING n.account_id)"
	" SELECT t.account_id FROM taken t ORDER BY t.account_id < 0, t.account_id",
	1, {INT4OID}
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

static Numeric
zero(void)
{
	return decimal_from_int64(0);
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
	others = palloc(sizeof(LedgerAccount *) * nassets * 2);
	for (int a = 0; a < nassets; a++)
	{
		gated[ngated++] = posting_system_account(posting, ACCOUNT_INSURANCE_FUND, assets[a]);
		others[nothers++] = posting_system_account(posting, ACCOUNT_CLEARING, assets[a]);
		others[nothers++] = posting_system_account(posting, ACCOUNT_FEE, assets[a]);
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
				 PositionSettlement *shares, int *nshares)
{
	OpenPosition **order = palloc(sizeof(OpenPosition *) * n);
	int			first = *nshares;

	for (int i = 0; i < n; i++)
		order[i] = &positions[i];
	qsort(order, n, sizeof(OpenPosition *), compare_profit);
	for (int i = 0; i < n && decimal_sign(due) > 0; i++)
	{
		Numeric		profit = decimal_round(order[i]->unrealized_pnl, deficit->account->scale, DECIMAL_DOWN);
		PositionSettlement *share = &shares[*nshares];

		if (decimal_sign(profit) <= 0)
			break;
		share->account = deficit->account;
		share->instrument_id = order[i]->instrument_id;
		share->amount = decimal_min(profit, due);
		due = decimal_subtract(due, share->amount);
		(*nshares)++;
	}
	if (in_full && decimal_sign(due) > 0)
	{
		if (*nshares == first)
			shares[(*nshares)++] = (PositionSettlement) {deficit->account, order[0]->instrument_id, due};
		else
			shares[first].amount = decimal_add(shares[first].amount, due);
	}
}

/*
 * Take due out of the profits of an account's positions, and then out of the
 * balances of its margin group.  False, and nothing is taken, when the equity
 * and what the group can give do not reach the floor together.
 */
static bool
share_with_group(Waterfall *waterfall, Deficit *deficit, OpenPosition *positions, int n,
				 Numeric unrealized, Numeric due, PositionSettlement *profits, int *nprofits)
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
 * to: it gives what profit it has.  Returns what was taken over.
 */
static Takeover *
pay_from_own(Waterfall *waterfall, int *ntaken)
{
	int64	   *ids = palloc(sizeof(int64) * waterfall->ndeficits);
	Valuation  *valuation;
	PositionSettlement *profits;
	Takeover   *taken;
	int			nprofits = 0;

	for (int i = 0; i < waterfall->ndeficits; i++)
		ids[i] = waterfall->deficits[i].account_id;
	valuation = valuation_read(waterfall->wiring, waterfall->book_id, ids, waterfall->ndeficits);
	if (waterfall->collateral != NULL)
		read_causes(waterfall); /* which exchanges name */
	profits = palloc(sizeof(PositionSettlement) * valuation->n);
	taken = palloc0(sizeof(Takeover) * valuation->n);
	*ntaken = 0;

	for (int i = 0; i < waterfall->ndeficits; i++)
	{
		Deficit    *deficit = &waterfall->deficits[i];
		Numeric		due = deficit_missing(deficit);
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
				taken[(*ntaken)++] = (Takeover) {
					.account_id = deficit->account_id,
					.liquidity_account = posting_system_account(waterfall->posting, ACCOUNT_LIQUIDITY,
																deficit->account->asset_code)->account_id,
					.instrument_id = positions[p].instrument_id,
					.qty = positions[p].qty,
					.price = takeover_price_at_mark(&positions[p]),
					.mark_price = positions[p].mark_price
				};
	}

	settle_positions(waterfall->wiring, waterfall->posting, waterfall->book_id, profits, nprofits, false);
	collateral_post(waterfall->collateral);
	if (*ntaken > 0)
	{
		/* the trades are posted like any others, so all is written before them and read again after */
		posting_write(waterfall->posting);
		takeover_read_bankruptcy_prices(waterfall->wiring, waterfall->book_id, taken, *ntaken);
		takeover_trade(waterfall->wiring, waterfall->book_id, taken, *ntaken);
		open_accounts(waterfall);
	}

	/* for what is still missing the groups give what they have */
	for (int i = 0; i < waterfall->ndeficits; i++)
		collateral_exchange(waterfall->collateral, waterfall->deficits[i].account, deficit_missing(&waterfall->deficits[i]),
							waterfall->deficits[i].cause, waterfall->deficits[i].cause_kind);
	collateral_post(waterfall->collateral);
	return taken;
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

/* A fee that cannot be paid is cut before anybody pays, so that no shortfall contains one. */
static void
cut_fee(Waterfall *waterfall, Deficit *deficit)
{
	Numeric		cut = decimal_min(deficit_missing(deficit), deficit->fees);
	TimestampTz now = GetCurrentTimestamp();

	if (decimal_sign(cut) <= 0)
		return;
	posting_post(waterfall->posting, deficit->account, cut, "fee_cut", deficit->fee_cause, now);
	posting_post(waterfall->posting,
				 posting_system_account(waterfall->posting, ACCOUNT_FEE, deficit->account->asset_code),
				 decimal_negate(cut), "fee_cut", deficit->fee_cause, now);
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
	Takeover   *taken;
	int			ntaken;

	open_accounts(&waterfall);
	taken = pay_from_own(&waterfall, &ntaken);
	read_causes(&waterfall);
	stages_read(&waterfall);

	for (int i = 0; i < n; i++)
		if (decimal_sign(deficit_missing(&deficits[i])) > 0)
		{
			cut_fee(&waterfall, &deficits[i]);
			if (decimal_sign(deficit_missing(&deficits[i])) > 0)
				stages_run(&waterfall, &deficits[i]);
		}
	stages_write(&waterfall);
	posting_write(waterfall.posting);

	/* both lists are sorted by account */
	for (int t = 0, d = 0; t < ntaken; t++)
	{
		while (deficits[d].account_id != taken[t].account_id)
			d++;
		taken[t].shortfall_id = deficits[d].shortfall_id;
	}
	if (ntaken > 0)
		takeover_judge_capacity(wiring, book_id, taken, ntaken);
	takeover_record(wiring, book_id, taken, ntaken);
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
